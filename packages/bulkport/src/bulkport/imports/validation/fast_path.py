"""The fast path: msgspec decodes rows, which are checked by column without Pydantic.

What the fast path accepts is accepted, with the values Pydantic would give; whatever it refuses is left for Pydantic
to validate. So it may refuse too much, and never too little.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec
from pydantic import BaseModel

from bulkport.imports.resource import Resource
from bulkport.imports.validation.cells import read_cells
from bulkport.imports.validation.lookups import Lookup
from bulkport.imports.validation.not_blank import blank_positions
from bulkport.imports.validation.translation import PlainField, TextRule, translate
from bulkport.imports.validation.typed_cells import Check, read_typed, typed_check
from bulkport.imports.validation.unknown_fields import UnknownFields
from bulkport.imports.values.column_text import value_text
from bulkport.imports.values.column_type import ColumnType
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.options import PLAIN, ValueOptions

# Pydantic's parser stops at 200 levels; brackets are counted instead, which is cheap and never too few.
_MAX_BRACKETS: Final = 100
_UNUSABLE: Final = frozenset({'"', "\\", *map(chr, range(32))})
_NO_VALUE: Final = "-"
"""Stands where no row was accepted, in a column whose values must not be blank."""
_RARE: Final = 10
"""Where one record in so many has unknown fields, all are decoded as if they had."""
_LONG: Final = 300
"""Bytes of a record in which a number may have as many zeros as a float has no room for."""
_REFUSALS: Final = (msgspec.DecodeError, ValueError, RecursionError)


Columns: TypeAlias = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class TypedField:
    """How the cells of a field become the texts of its column."""

    check: Check
    empty: str | None
    """Text of an empty cell; None for NULL."""
    is_required: bool
    """Whether an empty cell is an error."""


class FastPath:
    """Decodes the rows of one resource.

    What it gives are columns: values by attribute, one for each record. Attributes are the model's field names, and one
    for each lookup (`name_attribute`). An id that is not given is `msgspec.UNSET`, and so is a name. What stands at the
    place of a refused record means nothing.

    Parameters
    ----------
    tracks_given:
        Whether a field that a record does not give is `msgspec.UNSET` in place of its default (see `defaults`).
    """

    def __init__(
        self,
        fields: Sequence[PlainField],
        lookups: Sequence[Lookup],
        *,
        forbids_unknown_fields: bool,
        tracks_given: bool = False,
    ) -> None:
        self._lookups = lookups
        self._learns = not forbids_unknown_fields
        self._learned: list[str] = []
        self._expects_learned = False
        self._ids: dict[str, Any] = {}
        members: list[tuple[str, str, Any, Any]] = []
        substituted = {lookup.id_field for lookup in lookups}
        for field in fields:
            kind, default = field.type, field.default
            if field.name in substituted:
                self._ids[field.name] = kind
            if tracks_given if default is not msgspec.NODEFAULT else field.name in substituted:
                kind, default = kind | msgspec.UnsetType, msgspec.UNSET
            members.append((field.name, field.wire_name, kind, default))
        members += [
            (name_attribute(number), lookup.name_wire, str | msgspec.UnsetType, msgspec.UNSET)
            for number, lookup in enumerate(lookups)
        ]
        # Fields without a default come first: so the positional constructor knows all of them.
        self._members = sorted(members, key=lambda member: member[3] is not msgspec.NODEFAULT)
        self._fields = {field.name: field for field in fields}
        self._not_blank = [field.name for field in fields if isinstance(field.rule, TextRule) and field.rule.not_blank]
        self.defaults = {
            field.name: field.default for field in fields if tracks_given and field.default is not msgspec.NODEFAULT
        }
        """Default by optional field, where those given are distinguished from the others."""
        self._floats = [field.name for field in fields if field.is_float]
        names = {name_attribute(number) for number in range(len(lookups))}
        self._stand_ins = {
            name: msgspec.UNSET if name in names else _NO_VALUE if name in self._not_blank else None
            for name, *_ in self._members
        }
        self._checks: Mapping[str, TypedField] = {}
        self._stand_in: Any = None
        self._compile()

    def fresh(self, checks: Mapping[str, TypedField]) -> "FastPath":
        """A path without learned structure; costly parts are shared."""
        path = copy(self)
        path._learned = []  # noqa: SLF001 # its own class
        path._checks = checks  # noqa: SLF001
        return path

    @property
    def reads_json(self) -> bool:
        """Whether msgspec reads all fields as exactly as they have to be."""
        return self._stand_in is not None

    @property
    def reads_cells(self) -> bool:
        """Whether there is a way to read all fields from cells."""
        return all(field.rule is not None or field.name in self._checks for field in self._fields.values())

    def decode_json(self, records: Sequence[bytes], unknown_fields: UnknownFields) -> tuple[Columns, set[int]]:
        """Decode rows of JSON.

        Returns
        -------
        The columns, and the positions of the records that were not accepted.
        """
        rows: list[Any] = []
        refused: set[int] = set()
        rest = iter(records)
        decode = self._learned_decoder.decode if self._expects_learned else self._decoder.decode
        rescued = 0
        while len(rows) < len(records):
            try:
                # The rows before a refused record stay in the list, so its length is that record's position.
                rows.extend(map(decode, rest))
            except _REFUSALS:
                position = len(rows)
                row = self._decode_learned(records[position], unknown_fields)
                if row is None:
                    refused.add(position)
                else:
                    rescued += 1
                rows.append(row or self._stand_in)
        if self._expects_learned:
            refused |= _nested_positions(records)
        self._expects_learned |= rescued * _RARE > len(records)
        columns = {name: list(map(attrgetter(name), rows)) for name, *_ in self._members}
        for name in self._not_blank:
            refused |= _blank_positions(columns[name])
        for name in self._floats:
            refused |= _vanished_positions(columns[name], records)
        return columns, refused

    def decode_cells(
        self, columns: Sequence[list[str]], fields: Sequence[str | None]
    ) -> tuple[Columns, set[int]] | None:
        """Read columns of text cells; an empty cell has no value.

        Parameters
        ----------
        fields:
            Field of the resource for each column; None if it is not read.

        Returns
        -------
        As `decode_json`; None if a column is of a type whose text Pydantic alone can read. The values of
        `encoded` fields are the texts of their columns.
        """
        by_field = {field: cells for field, cells in zip(fields, columns, strict=True) if field is not None}
        names = {lookup.name_field: name_attribute(number) for number, lookup in enumerate(self._lookups)}
        by_attribute = {names.get(field, field): cells for field, cells in by_field.items()}
        size = len(columns[0])
        values: Columns = {}
        refused: set[int] = set()
        for attribute, _, _, default in self._members:
            cells = by_attribute.get(attribute)
            if cells is None:
                if default is msgspec.NODEFAULT:
                    return None
                typed = self._checks.get(attribute)
                values[attribute] = [default if typed is None else typed.empty] * size
            elif attribute in names.values():
                values[attribute] = [cell or msgspec.UNSET for cell in cells]
            else:
                field = self._fields[attribute]
                if field.rule is None:
                    typed = self._checks.get(attribute)
                    if typed is None:
                        return None
                    values[attribute], suspects = read_typed(cells, typed.check, typed.empty, typed.is_required)
                    refused |= suspects
                    continue
                empty = default if field.default is msgspec.NODEFAULT else field.default
                empty = None if empty is msgspec.NODEFAULT and field.is_nullable else empty
                values[attribute], suspects = read_cells(cells, field.rule, empty)
                refused |= suspects
        return values, refused

    def takes_id(self, field: str, value: Any) -> bool:
        """Whether a value found by name is as good as one that the row gives itself."""
        try:
            return bool(msgspec.convert(value, self._ids[field], strict=True) == value)
        except msgspec.ValidationError:
            return False

    @property
    def encoded(self) -> frozenset[str]:
        """Fields whose cells become the texts of their columns at once."""
        return frozenset(self._checks)

    def _compile(self) -> None:
        if any(kind is None for _, _, kind, _ in self._members):
            return
        struct = self._make_struct(self._members)
        self._stand_in = struct(**self._stand_ins)
        self._decoder = msgspec.json.Decoder(struct)

    def _compile_learned(self) -> None:
        learned = [(f"_unknown_{i}", name, Any, None) for i, name in enumerate(self._learned)]
        self._learned_decoder = msgspec.json.Decoder(self._make_struct([*self._members, *learned]))

    def _make_struct(self, members: Sequence[tuple[str, str, Any, Any]]) -> type[msgspec.Struct]:
        return msgspec.defstruct(
            "Row",
            [
                (attribute, kind) if default is msgspec.NODEFAULT else (attribute, kind, default)
                for attribute, _, kind, default in members
            ],
            rename={attribute: wire for attribute, wire, _, _ in members},
            forbid_unknown_fields=True,
            gc=False,
        )

    def _decode_learned(self, record: bytes, unknown_fields: UnknownFields) -> Any:
        """The row of a record that has unknown fields; None if that is not all that stands against it.

        Unknown fields become members of a second struct whose values are checked as JSON and left alone: so rows that
        have them keep their speed.
        """
        if not self._learns:
            return None
        names = [name for name in unknown_fields.note(record) if _is_learnable(name)]
        if names:
            self._learned += names
            self._compile_learned()
        # Only unknown fields may nest, and only as deep as Pydantic's parser takes.
        if not self._learned or record.count(b"[") + record.count(b"{") > _MAX_BRACKETS:
            return None
        try:
            return self._learned_decoder.decode(record)
        except _REFUSALS:
            return None


def is_fast(model: type[BaseModel], options: ValueOptions, columns: Mapping[str, ColumnType]) -> bool:
    """Whether the fast path gives what the options and the columns want: it reads plain forms, and floats as such."""
    if options.trim or options.normalize or options.date_format or options.excel_dates:
        return False
    plain = translate(model)
    if plain is None:
        return False
    floats = [columns[field.name] for field in plain.fields if field.is_float and field.name in columns]
    return all(column.name in ("float4", "float8") for column in floats)


def name_attribute(number: int) -> str:
    """Attribute of a row that holds the name for a lookup."""
    return f"_name_{number}"


def fast_path_for(
    resource: Resource,
    lookups: tuple[Lookup, ...],
    *,
    tracks_given: bool = False,
    columns: Mapping[str, ColumnType] | None = None,
    options: ValueOptions = PLAIN,
) -> FastPath | None:
    """A fast path for one import into a resource; None where its model needs Pydantic for every row.

    Parameters
    ----------
    columns:
        Type of each field's column, where cells of typed columns may become their texts without a value in between.
    """
    path = _fast_path_of(resource.model, lookups, tracks_given)
    if path is None:
        return None
    return path.fresh(_typed_fields(resource.model, tuple((columns or {}).items()), options))


@lru_cache(maxsize=256)
def _typed_fields(
    model: type[BaseModel], columns: tuple[tuple[str, ColumnType], ...], options: ValueOptions
) -> Mapping[str, TypedField]:
    plain = translate(model)
    types = dict(columns)
    found = {}
    for field in plain.fields if plain else ():
        column = types.get(field.name)
        check = typed_check(field.cells, column, options) if field.cells and column else None
        if check is None or column is None:
            continue
        has_default = field.default is not msgspec.NODEFAULT
        try:
            empty = value_text(column)(field.default) if has_default and field.default is not None else None
        except ValueFault:
            continue
        found[field.name] = TypedField(check, empty, is_required=not has_default and not field.is_nullable)
    return found


@lru_cache(maxsize=256)
def _fast_path_of(model: type[BaseModel], lookups: tuple[Lookup, ...], tracks_given: bool) -> FastPath | None:
    plain = translate(model)
    if plain is None:
        return None
    substituted = {lookup.id_field for lookup in lookups}
    for field in plain.fields:
        if field.name in substituted and field.default not in (msgspec.NODEFAULT, None):
            return None
    try:
        return FastPath(
            plain.fields,
            lookups,
            forbids_unknown_fields=plain.forbids_unknown_fields,
            tracks_given=tracks_given,
        )
    except (TypeError, ValueError):  # constraints that msgspec does not know, such as bounds beyond 64 bits
        return None


def _is_learnable(name: str) -> bool:
    """Whether msgspec takes the name for a member."""
    return len(name) <= UnknownFields.MAX_LENGTH and _UNUSABLE.isdisjoint(name)


def _nested_positions(records: Sequence[bytes]) -> set[int]:
    """Positions of records that may nest more deeply than Pydantic's parser takes."""
    return {
        position
        for position, record in enumerate(records)
        if len(record) > _MAX_BRACKETS and record.count(b"[") + record.count(b"{") > _MAX_BRACKETS
    }


def _vanished_positions(values: list[Any], records: Sequence[bytes]) -> set[int]:
    """Positions of zeros that may have been written as numbers too small for a float, such as `1e-400`."""
    if 0.0 not in values:
        return set()
    return {
        position
        for position, value in enumerate(values)
        if value == 0 and (b"e-" in records[position] or b"E-" in records[position] or len(records[position]) > _LONG)
    }


def _blank_positions(values: list[Any]) -> set[int]:
    """Positions of texts without a visible character."""
    blank = blank_positions(values)
    position = -1
    while True:
        try:
            position = values.index("", position + 1)
        except ValueError:
            return blank
        blank.add(position)
