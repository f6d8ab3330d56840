"""A workbook to fill in: a sheet of records with examples, and one that describes the fields."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import xlsxwriter

from bulkport.fastapi.examples import cell_text
from bulkport.imports.validation.not_blank import NOT_BLANK_PATTERN

_FILLED_ROWS: Final = 10_000
"""Rows below the header in which a cell offers the values that its field takes."""
_MAX_LISTED_CHARACTERS: Final = 255
"""Of a list of values (ECMA-376)."""
_CONSTRAINTS: Final = {
    "maxLength": "at most {} characters",
    "minLength": "at least {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "pattern": "matches {}",
    "format": "{}",
}


def template_workbook(schema: Mapping[str, Any], examples: Sequence[Mapping[str, Any]]) -> bytes:
    """The workbook.

    Parameters
    ----------
    schema:
        JSON Schema of one record.
    examples:
        Records, with the columns in their order.
    """
    content = io.BytesIO()
    # Nothing that a cell says is a formula, a link or another number than it shows.
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
    rows, fields = book.add_worksheet("Rows"), book.add_worksheet("Fields")
    for position, name in enumerate(examples[0]):
        described = _described(schema, name)
        rows.write_string(0, position, name, bold)
        # Text stays text: 007 keeps its zeros, and 1-2 is not a date.
        is_text = described.get("type") in ("string", "array", "object")
        rows.set_column(position, position, 24, text if is_text else None)
        for number, example in enumerate(examples, 1):
            _write(rows, number, position, example[name], text)
        if listed := _listed(described):
            rows.data_validation(1, position, _FILLED_ROWS, position, {"validate": "list", "source": listed})
    rows.freeze_panes(1, 0)
    for position, heading in enumerate(("field", "required", "type", "rules", "description")):
        fields.write_string(0, position, heading, bold)
    fields.set_column(0, 3, 20)
    fields.set_column(4, 4, 60)
    required = schema.get("required", [])
    for number, name in enumerate(schema["properties"], 1):
        described = _described(schema, name)
        words = (name, "yes" if name in required else "", _type(described), _rules(described), _description(described))
        for position, word in enumerate(words):
            fields.write_string(number, position, word)
    book.close()
    return content.getvalue()


def _write(sheet: Any, row: int, column: int, value: Any, text: Any) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value)
    else:
        sheet.write_string(row, column, cell_text(value), text)


def _described(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field's schema without references, and without the null that it may be."""
    found: Mapping[str, Any] = schema["properties"][name]
    for _ in range(5):
        if "$ref" in found:
            found = {**schema["$defs"][found["$ref"].rpartition("/")[2]], **found}
            found = {key: value for key, value in found.items() if key != "$ref"}
        chosen = [one for one in found.get("anyOf", ()) if one.get("type") != "null"]
        if not chosen:
            break
        found = {**{key: value for key, value in found.items() if key != "anyOf"}, **chosen[0]}
    return found


def _listed(described: Mapping[str, Any]) -> list[str]:
    values = [str(value) for value in described.get("enum", ())]
    if described.get("type") == "boolean":
        values = ["TRUE", "FALSE"]
    return values if len(",".join(values)) <= _MAX_LISTED_CHARACTERS else []


def _type(described: Mapping[str, Any]) -> str:
    return str(described.get("type", "any value" if "enum" not in described else "string"))


def _rules(described: Mapping[str, Any]) -> str:
    if described.get("pattern") == NOT_BLANK_PATTERN:
        described = {**{key: value for key, value in described.items() if key != "pattern"}, "format": "not blank"}
    rules = [words.format(described[name]) for name, words in _CONSTRAINTS.items() if name in described]
    if "enum" in described:
        rules.append("one of " + ", ".join(map(str, described["enum"])))
    return "; ".join(rules)


def _description(described: Mapping[str, Any]) -> str:
    return " ".join(str(described.get("description", "")).split())
