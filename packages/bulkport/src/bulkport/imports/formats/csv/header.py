"""Match the columns of a CSV header to the fields of a resource."""

from dataclasses import dataclass

from bulkport.errors import CsvHeaderError
from bulkport.imports.resource import Resource


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """What each column of a CSV body is."""

    fields: list[str | None]
    """Field of the resource for each column, in order; None where the column is unknown and not read."""
    unknown: list[str]
    """Names of the unknown columns, as they were written, but each its own: a nameless one is `(column 3)`, and a
    second `a` is `a (column 3)`. They are members of reported records.
    """


def match_header(header: list[str], resource: Resource) -> CsvColumns:
    """Match header cells to wire names without regard to case, spaces, `_` and `-`.

    Raises
    ------
    CsvHeaderError
        If a required field has no column (a field with a reference may come as its lookup field instead), or two
        columns are the same field.
    """
    exact: dict[str, str] = {wire: field for field, wire in resource.wire_names.items()}
    loose: dict[str, str | None] = {}
    for wire, field in exact.items():
        key = _loosened(wire)
        # Names that differ only in what is disregarded have to be written exactly.
        loose[key] = None if key in loose else field
    fields = [exact.get(cell) or loose.get(_loosened(cell)) for cell in header]
    for position, name in enumerate(fields):
        if name is not None and name in fields[:position]:
            raise CsvHeaderError(f"The CSV header has the column {resource.wire_names[name]} twice.")
    _check_required(header, fields, resource)
    unknown: dict[str, None] = {}
    for number, (cell, name) in enumerate(zip(header, fields, strict=True), start=1):
        if name is None:
            own = cell.strip()
            while not own or own in unknown:
                own = f"{own} (column {number})".lstrip()
            unknown[own] = None
    return CsvColumns(fields, list(unknown))


def _check_required(header: list[str], fields: list[str | None], resource: Resource) -> None:
    substitutes = {reference.field: reference.lookup_field for reference in resource.references}
    missing = []
    for name, info in resource.model.model_fields.items():
        substitute = substitutes.get(name)
        if info.is_required() and name not in fields and (substitute is None or substitute not in fields):
            wire = resource.wire_names[name]
            missing.append(f"{wire} (or {resource.wire_names[substitute]})" if substitute else wire)
    if missing:
        detail = f"The CSV header has no column {', '.join(missing)}."
        if header[0].lstrip().startswith(("{", "[")):
            detail += " Is the body JSON? Then its Content-Type is another."
        elif len(header) == 1 and any(sign in header[0] for sign in ",;|\t"):
            detail += " Is another delimiter needed (?delimiter=)?"
        raise CsvHeaderError(detail)
    if not any(fields):
        raise CsvHeaderError(f"The CSV header has no column of {resource.name}.")


def _loosened(name: str) -> str:
    return "".join(name.split()).replace("_", "").replace("-", "").casefold()
