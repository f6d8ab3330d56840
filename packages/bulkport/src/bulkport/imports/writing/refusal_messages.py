"""Why the database does not take a row, in the client's words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import psycopg

from bulkport.imports.writing.rows import Refusal
from bulkport.imports.writing.table import TargetTable
from bulkport.imports.writing.table_facts import UniqueIndex

_MAX_LENGTH: Final = 500
_MAX_VALUE: Final = 80

# "Key (sku, region)=(1, eu) already exists", whatever language the server speaks.
_KEY_DETAIL: Final = re.compile(r"\((.*?)\)\s*=\s*\((.*)\)", re.DOTALL)
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_FOLDED: Final = re.compile(r"(?:lower|upper)\(\(?\"?(\w+)\"?\)?(?:::\w+)?\)")


@dataclass(frozen=True, slots=True)
class Fault:
    """The fields of a PostgreSQL error (PostgreSQL manual, "Error and Notice Message Fields"); empty if absent."""

    code: str
    message: str
    detail: str = ""
    column: str = ""
    constraint: str = ""
    table: str = ""
    schema: str = ""

    @classmethod
    def of(cls, error: psycopg.Error) -> Self:
        """What an error of psycopg says."""
        said = error.diag
        return cls(
            code=said.sqlstate or "",
            message=said.message_primary or str(error),
            detail=said.message_detail or "",
            column=said.column_name or "",
            constraint=said.constraint_name or "",
            table=said.table_name or "",
            schema=said.schema_name or "",
        )


def refusal(table: TargetTable, position: int, fault: Fault, texts: Sequence[str | None]) -> Refusal:
    """The refusal of the row at a position.

    Parameters
    ----------
    texts:
        The row's values by column, as they were sent.
    """
    fields, message = _said(table, fault, texts)
    return Refusal(position, fields[0] if fields else "", message[:_MAX_LENGTH])


def taken_key(table: TargetTable, position: int, key: Sequence[int]) -> Refusal:
    """The rejection of a row whose key, the columns at these positions, belongs to another row."""
    fields = _fields(table, [table.names[i] for i in key])
    return Refusal(position, fields[0] if fields else "", _already_exists(table, fields))


def _said(table: TargetTable, fault: Fault, texts: Sequence[str | None]) -> tuple[list[str], str]:
    """Model fields that a fault is about, and the message."""
    if fault.table and f"{fault.schema}.{fault.table}" not in table.facts.relations:
        # A trigger wrote to another table: its keys and rules are not the resource's.
        return [], f"{fault.message} ({fault.detail})" if fault.detail else fault.message
    index = next((i for i in table.facts.unique_indexes if i.name == fault.constraint), None)
    key = _KEY_DETAIL.search(fault.detail)
    columns = [fault.column] if fault.column else []
    if index is not None:
        columns += index.used
        if index.plain:
            columns = list(index.plain)
    elif key is not None:
        columns += [name.strip(' "') for name in key[1].split(",")]
    fields = _fields(table, columns)
    subject = " and ".join(_wires(table, fields))
    if fault.code[:2] == "23" and not (fault.constraint or fault.column or key):
        return fields, fault.message  # a trigger's own RAISE
    match fault.code:
        case "23505" if index is not None and None in index.columns:
            return fields, _expression_taken(table, index, fields, texts)
        case "23505" if key is not None and not fields:  # a column that the table fills
            return [], f"{table.resource.label} with {key[1]} {_quoted(key[2])} already exists"
        case "23505":
            return fields, _already_exists(table, fields)
        case "23502":
            return fields, _needs_value(fault, subject)
        case "23503" if key is None and fault.detail:  # MATCH FULL, and some of the columns are null
            return fields, f"{fault.constraint}: {fault.detail}"
        case "23503":
            return fields, not_existing(subject, _values(table, fields, texts))
        case "23514" if fault.constraint:
            return _broken_rule(table, fault, fields, texts)
        case "23514" if key is not None:
            return fields, f"no partition for {key[1]} = {_cut(key[2])}"
        case "23P01" if fields:
            values = zip(_wires(table, fields), _values(table, fields, texts), strict=False)
            given = " and ".join(f"{wire} {value}" for wire, value in values)
            verb = "conflict" if len(fields) > 1 else "conflicts"
            return fields, f"{given} {verb} with another row: {fault.constraint} allows no two such rows"
        case "22003" if subject:
            return fields, f"{subject} is out of range"
        case "22P05":
            fields, subject = _unstorable(table, texts, fault.message)
            return fields, subject
    return fields, f"{subject}: {fault.message}" if subject else fault.message


def not_existing(subject: str, values: Sequence[str]) -> str:
    """The message for a row whose reference does not exist."""
    given = f": {', '.join(values)}" if values else ""
    verb = "refer" if len(values) > 1 else "refers"
    return f"{subject or 'the row'} {verb} to something that does not exist{given}"


def _broken_rule(
    table: TargetTable, fault: Fault, fields: Sequence[str], texts: Sequence[str | None]
) -> tuple[list[str], str]:
    """`price -1 breaks the rule price_is_positive: price > 0`; of several fields that a rule reads none is named."""
    check = table.facts.checks.get(fault.constraint)
    found = list(fields) or _fields(table, check.columns if check else ())
    named = zip(_wires(table, found), _values(table, found, texts), strict=False)
    subject = " and ".join(f"{wire} {value}" for wire, value in named) or "the row"
    verb = "break" if len(found) > 1 else "breaks"
    rule = f"{fault.constraint}: {_cut(check.condition)}" if check else fault.constraint
    return found if len(found) == 1 else [], f"{subject} {verb} the rule {rule}"


def _values(table: TargetTable, fields: Sequence[str], texts: Sequence[str | None]) -> list[str]:
    """The row's values of these fields: text in quotes, numbers without."""
    given = dict(zip(table.resource.field_names, texts, strict=False))
    return [_quoted(given.get(field)) for field in fields]


def _quoted(text: str | None) -> str:
    if text is None:
        return "null"
    return text if _NUMBER.fullmatch(text) else f"'{_cut(text)}'"


def _already_exists(table: TargetTable, fields: Sequence[str]) -> str:
    return f"{table.resource.label} with this {' and '.join(_wires(table, fields)) or 'key'} already exists"


def _needs_value(fault: Fault, subject: str) -> str:
    if subject:
        return f"{subject} must not be null"
    if not fault.column:
        return fault.message
    return f"{fault.column} must not be null: the table needs a value and the resource does not import this column"


def _expression_taken(
    table: TargetTable, index: UniqueIndex, fields: Sequence[str], texts: Sequence[str | None]
) -> str:
    by_column = dict(zip(table.names, texts, strict=False))
    given = [
        f"{wire} '{_cut(by_column.get(column) or '')}'"
        for column, wire in zip((c for c in index.used if c in by_column), _wires(table, fields), strict=False)
    ]
    expressions = [part for part, column in zip(index.parts, index.columns, strict=True) if column is None]
    folded = all(_FOLDED.fullmatch(part) for part in expressions)
    how = "without case" if folded else f"by {', '.join(expressions)}"
    return f"{' and '.join(given) or table.resource.label} is already taken (compared {how})"


def _unstorable(table: TargetTable, texts: Sequence[str | None], message: str) -> tuple[list[str], str]:
    """Which value has a sign that the database's encoding lacks; PostgreSQL names its bytes only."""
    found = [bytes.fromhex(byte) for byte in re.findall(r"0x([0-9a-f]{2})", message)]
    sign = b"".join(found).decode(errors="replace")
    encoding = re.findall(r'"([^"]+)"', message)[-1:] or ["of the database"]
    for column, text in zip(table.names, texts, strict=False):
        if sign and text and sign in text:
            fields = _fields(table, [column])
            name = " and ".join(_wires(table, fields)) or column
            return fields, f"{name} contains {sign!r}, which the database's encoding {encoding[0]} cannot store"
    return [], message


def _fields(table: TargetTable, columns: Sequence[str]) -> list[str]:
    fields = dict(zip(table.resource.column_names, table.resource.field_names, strict=True))
    return list(dict.fromkeys(fields[column] for column in columns if column in fields))


def _wires(table: TargetTable, fields: Sequence[str]) -> list[str]:
    return [table.resource.wire_names[field] for field in fields]


def _cut(value: str) -> str:
    return value if len(value) <= _MAX_VALUE else value[: _MAX_VALUE - 1] + "…"
