"""Match the columns of a header to the fields of a resource."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bulkport.errors import CsvHeaderError, ValidationFailed
from bulkport.imports.column_names import normalized_name
from bulkport.imports.formats.csv.format_hints import format_hint
from bulkport.imports.formats.csv.records import CsvRecords
from bulkport.imports.options import ReadingOptions
from bulkport.imports.resource import Resource

_OTHER_DELIMITERS: Final = ("^", "~", ":", "#", "!", "\x01", "\x1e", "\x1f", "\xa6", "\xb6")
_BLANKS: Final = re.compile(r" {2,}")
_REMARK: Final = re.compile(r"[(\[{<][^()\[\]{}<>]*[)\]}>]|[^\w\s()\[\]{}<>-]+")
"""What stands beside a name in a header, such as `(required)`, `[EUR]` or `*`."""
_MARK_READ_AS_LATIN: Final = "\u00ef\u00bb\u00bf"


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """What each column of a CSV body is."""

    fields: list[str | None]
    """Field of the resource for each column, in order; None if the column is unknown and not read."""
    unknown: list[str]
    """Names of the unknown columns, as they were written, but each its own: a nameless one is `(column 3)`, and a
    second `a` is `a (column 3)`. They are members of reported records.
    """
    constants: list[tuple[str, str]] = field(default_factory=list)
    """Fields that have one text in all rows, and their text."""


class ColumnNames:
    """The names that columns may have, and the fields they mean.

    Parameters
    ----------
    options:
        Its `map` gives columns names, its `set` fields without a column.

    Raises
    ------
    ValidationFailed
        `map` or `set` names a field that the resource does not have.
    """

    def __init__(self, resource: Resource, options: ReadingOptions | None = None) -> None:
        options = options or ReadingOptions()
        self.resource = resource
        self._exact: dict[str, str] = {wire: name for name, wire in resource.wire_names.items()}
        self._loose: dict[str, str | None] = {}
        for wire, name in self._exact.items():
            key = normalized_name(wire)
            # Names that differ only in disregarded characters must match exactly.
            self._loose[key] = None if key in self._loose else name
        for name, aliases in resource.aliases.items():
            for alias in aliases:
                self._loose.setdefault(normalized_name(alias), name)
        self._given = list(options.map)
        self._mapped = {normalized_name(header): self._known(wire, "map") for header, wire in options.map.items()}
        self.constants = [(self._known(wire, "set"), text) for wire, text in options.set.items()]
        """Fields that have one text in all rows, and their text."""

    def field_of(self, cell: str) -> str | None:
        """The field that a column of this name is; None if it is unknown."""
        key = normalized_name(cell)
        return self._mapped.get(key) or self._exact.get(cell) or self._loose.get(key)

    def fields_of(self, header: Iterable[str]) -> list[str | None]:
        """The field of each column."""
        return [self.field_of(cell) for cell in header]

    def missing(self, fields: Iterable[str | None]) -> list[str]:
        """Required fields without a column, by their external names, with possible substitutes."""
        resource = self.resource
        given = {*fields, *(name for name, _ in self.constants)}
        substitutes = {reference.field: reference.lookup_field for reference in resource.references}
        missing = []
        for name, info in resource.model.model_fields.items():
            substitute = substitutes.get(name)
            if info.is_required() and name not in given and (substitute is None or substitute not in given):
                wire = resource.wire_names[name]
                missing.append(f"{wire} (or {resource.wire_names[substitute]})" if substitute else wire)
        return missing

    def mapped_but_absent(self, header: Iterable[str]) -> list[str]:
        """The columns that the request's `map` names and a header does not have."""
        there = set(map(normalized_name, header))
        return [given for given in self._given if normalized_name(given) not in there]

    def required_names(self) -> list[list[str]]:
        """What columns may be called that a file must have, one list for each, as `normalized_name` has them."""
        resource = self.resource
        names: dict[str, list[str]] = {}
        for key, name in [*self._loose.items(), *self._mapped.items()]:
            names.setdefault(name or "", []).append(key)
        for wire, name in self._exact.items():
            names.setdefault(name, []).append(normalized_name(wire))
        given = {name for name, _ in self.constants}
        substitutes = {reference.field: reference.lookup_field or "" for reference in resource.references}
        return [
            sorted({*names.get(name, ()), *names.get(substitutes.get(name) or name, ())})
            for name, info in resource.model.model_fields.items()
            if info.is_required() and name not in given and substitutes.get(name) not in given
        ]

    def _known(self, wire: str, parameter: str) -> str:
        found = self._exact.get(wire) or self._loose.get(normalized_name(wire))
        if found is None:
            message = f"{parameter}: {self.resource.name} has no field {wire!r}; it has {', '.join(self._exact)}"
            raise ValidationFailed({parameter: [message]}, f"{message}.")
        return found


def match_header(
    header: list[str], resource: Resource, names: ColumnNames | None = None, *, report_columns: int = 0
) -> CsvColumns:
    """Match header cells to wire names without regard to case, spaces, `_`, `-` and signs that cannot be seen.

    Parameters
    ----------
    names:
        Also the names that the request gives; None: those of the resource alone.
    report_columns:
        How many columns at the end are those of an error report, whatever the resource's fields are called.

    Raises
    ------
    CsvHeaderError
        If a required field has no column (a field with a reference may come as its lookup field instead), or two
        columns are the same field.
    """
    names = names or ColumnNames(resource)
    fields = [*names.fields_of(header[: len(header) - report_columns]), *[None] * report_columns]
    set_fields = [name for name, _ in names.constants]
    for position, name in enumerate(fields):
        if name is None:
            continue
        if name in fields[:position]:
            raise CsvHeaderError(f"The CSV header has the column {resource.wire_names[name]} twice.")
        if name in set_fields:
            wire = resource.wire_names[name]
            raise CsvHeaderError(f"The CSV header has the column {wire}, which set= gives a value too; leave one out.")
    missing = names.missing(fields)
    if missing:
        raise CsvHeaderError(_missing_columns(missing, header, fields, names))
    if not any(fields):
        raise CsvHeaderError(f"The CSV header has no column of {resource.name}.")
    unknown: dict[str, None] = {}
    wire_names = set(resource.wire_names.values())
    for number, (cell, name) in enumerate(zip(header, fields, strict=True), start=1):
        if name is None:
            own = cell.strip()
            while not own or own in unknown or own in wire_names:
                own = f"{own} (column {number})".lstrip()
            unknown[own] = None
    return CsvColumns(fields, list(unknown), names.constants)


def without_report(records: CsvRecords, columns: CsvColumns, width: int) -> tuple[CsvRecords, CsvColumns]:
    """The records without the columns that an error report has added, `width` at their end."""
    if not width:
        return records, columns
    kept = CsvColumns(columns.fields[:-width], columns.unknown[:-width], columns.constants)
    return CsvRecords(records.columns[:-width], records.bad), kept


def with_constants(records: CsvRecords, columns: CsvColumns) -> tuple[CsvRecords, CsvColumns]:
    """The records with a column more for each field that has one text in all rows."""
    if not columns.constants:
        return records, columns
    added = [[text] * len(records) for _, text in columns.constants]
    fields = [*columns.fields, *(name for name, _ in columns.constants)]
    return CsvRecords([*records.columns, *added], records.bad), CsvColumns(fields, columns.unknown)


def similar_names(unknown: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """The likely intended name for each unknown name that resembles a known one."""
    by_key = {normalized_name(name): name for name in known}
    found: dict[str, str] = {}
    for name in unknown:
        near = difflib.get_close_matches(normalized_name(name)[:100], by_key, n=1, cutoff=0.75)
        if near:
            found[name] = by_key[near[0]]
    return found


def _missing_columns(missing: list[str], header: list[str], fields: list[str | None], names: ColumnNames) -> str:
    resource = names.resource
    detail = f"The CSV header has no column {', '.join(missing)}."
    if kind := format_hint(";".join(header[:2])) or _other_delimiter(header, names):
        return detail + kind
    if header[0].startswith(_MARK_READ_AS_LATIN):
        return (
            f"{detail} The file begins with {_MARK_READ_AS_LATIN}, a byte order mark that was read in another charset; "
            "so was its text: export it again, as UTF-8."
        )
    if len(header) == 1 and any(sign in header[0] for sign in ",;|\t"):
        detail += " Is another delimiter needed (?delimiter=)?"
        if any(any(names.fields_of(header[0].split(sign))) for sign in ",;|\t"):
            detail += " If each row stands in one pair of quotes, take these away."
    elif not any(fields):
        detail += " The first row must name the columns."
    unknown = [cell for cell, name in zip(header, fields, strict=True) if name is None and cell.strip()]
    absent = [wire for name, wire in resource.wire_names.items() if name not in fields]
    meant = {cell: names.field_of(_REMARK.sub("", cell)) for cell in unknown}
    likely = {cell: resource.wire_names[name] for cell, name in meant.items() if name and name not in fields}
    for cell, wire in list({**similar_names(unknown, absent), **likely}.items())[:3]:
        detail += (
            f" Did you mean {wire} by {_shown(cell)}? Then rename it, or send map={_shown(cell, bare=True)}:{wire}."
        )
    return detail


def _other_delimiter(header: list[str], names: ColumnNames) -> str:
    """The separator of column names if it is not a known delimiter; else empty."""
    for line in header if len(header) == 1 else ():
        for sign in _OTHER_DELIMITERS:
            cells = line.split(sign)
            if len(cells) > 1 and any(names.fields_of(cells)):
                return f" Its columns seem to be separated by {sign!r}; the delimiter must be one of , ; | and tab."
        cells = _BLANKS.split(line.strip())
        if len(cells) > 1 and any(names.fields_of(cells)):
            return " Its columns seem to be separated by blanks; save the table as CSV, with a delimiter."
    return ""


def _shown(cell: str, *, bare: bool = False) -> str:
    short = " ".join(cell.split())[:60]
    return short if bare else f"'{short}'"
