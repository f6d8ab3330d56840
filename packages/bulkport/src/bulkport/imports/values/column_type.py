"""What a column's type is, as far as reading and writing its values goes."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from bulkport.imports.values.durations import IntervalFields


class TypeKind(StrEnum):
    """How a type is built (`pg_type.typtype`; arrays are distinguished, domains are seen through)."""

    BASE = "base"
    ARRAY = "array"
    ENUM = "enum"
    RANGE = "range"
    MULTIRANGE = "multirange"
    COMPOSITE = "composite"


@dataclass(frozen=True)
class ColumnType:
    """The type of a column behind its domains."""

    name: str
    """Name in the catalogue, such as `int4` or `timestamptz`; for a type outside `pg_catalog` its own name too."""
    kind: TypeKind = TypeKind.BASE
    modifier: int = -1
    """`atttypmod`, or the domain's; -1 for none."""
    element: "ColumnType | None" = None
    """Type of an array's elements, a range's bounds, or a multirange's ranges."""
    labels: tuple[str, ...] = ()
    """Labels of an enumeration, in order."""
    attributes: tuple[tuple[str, "ColumnType"], ...] = ()
    """Name and type of each part of a composite type, in order."""
    delimiter: str = ","
    """The separator of an array's elements."""
    money_point: str | None = None
    """Decimal sign of `money` in the database's locale; empty where amounts have no fraction."""

    @cached_property
    def precision_and_scale(self) -> tuple[int, int] | None:
        """Digits in all and behind the point, of a `numeric(p, s)`; the scale may be negative."""
        if self.name != "numeric" or self.modifier < _HEADER:
            return None
        packed = self.modifier - _HEADER
        scale = packed & 0x7FF
        return (packed >> 16) & 0xFFFF, scale - 0x800 if scale & 0x400 else scale

    @cached_property
    def max_length(self) -> int | None:
        """Characters that a `varchar(n)` or `char(n)` takes; for `name` see `MAX_NAME_BYTES`."""
        return self.modifier - _HEADER if self.name in ("varchar", "bpchar") and self.modifier >= _HEADER else None

    @cached_property
    def second_digits(self) -> int:
        """Decimals of a second that a time keeps."""
        return (
            self.modifier if self.name in _TIMES and 0 <= self.modifier < _MOST_SECOND_DIGITS else _MOST_SECOND_DIGITS
        )

    @cached_property
    def interval_fields(self) -> IntervalFields | None:
        """What an `interval` with fields or decimals keeps; None: everything."""
        return IntervalFields.of(self.modifier) if self.name == "interval" else None

    @cached_property
    def is_text(self) -> bool:
        """Whether every text is a value unchanged."""
        return self.kind is TypeKind.BASE and self.name in TEXT_TYPES


_HEADER: Final = 4
_MOST_SECOND_DIGITS: Final = 6
_TIMES: Final = frozenset({"timestamp", "timestamptz", "time", "timetz"})
TEXT_TYPES: Final = frozenset({"text", "varchar", "bpchar", "name", "citext", "char"})
MAX_NAME_BYTES: Final = 63

_SQL_NAMES: Final = {
    "bigint": "int8",
    "integer": "int4",
    "smallint": "int2",
    "boolean": "bool",
    "double precision": "float8",
    "real": "float4",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "character varying": "varchar",
    "bit varying": "varbit",
}


def named(sql_name: str) -> ColumnType:
    """A built-in type by its name in SQL, without modifiers: `bigint`, `timestamptz[]`."""
    if sql_name.endswith("[]"):
        return ColumnType("_array", TypeKind.ARRAY, element=named(sql_name[:-2]))
    return ColumnType(_SQL_NAMES.get(sql_name, sql_name.strip('"')))
