"""Formats valid rows as text for their columns, and finds rows that their columns cannot hold."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from bulkport.imports.resource import Resource
from bulkport.imports.validation.messages import value_message
from bulkport.imports.validation.row_errors import FieldError
from bulkport.imports.validation.text_fields import field_schemas, is_text
from bulkport.imports.values.column_text import column_texts, value_text
from bulkport.imports.values.column_type import ColumnType
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.options import PLAIN, ValueOptions


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """Texts of rows, column by column."""

    columns: list[list[str | None]]
    """One list for each imported column, all of one length; None is SQL NULL."""
    faults: Mapping[int, list[FieldError]]
    """What is wrong, by position, with the rows that cannot be stored."""


def stored_texts(
    columns: Sequence[Sequence[Any]],
    resource: Resource,
    types: Sequence[ColumnType],
    options: ValueOptions = PLAIN,
    *,
    encoded: Collection[str] = (),
    sent: Callable[[int], Any] | None = None,
) -> StoredTexts:
    """The texts of valid rows.

    Parameters
    ----------
    columns:
        Values of the valid rows, one sequence for each of the resource's `field_names`.
    types:
        Type of each column, parallel to `columns`.
    encoded:
        Fields whose values are texts already.
    sent:
        What the client sent for the row at a position (`SourceRecord.value`): messages quote values as written there.
    """
    texts: list[list[str | None]] = []
    faults: dict[int, list[FieldError]] = {}
    traits = _traits(resource.model)
    for field, values, kind in zip(resource.field_names, columns, types, strict=True):
        if field in encoded:
            texts.append(list(values))
            continue
        is_document, allow_special = traits[field]
        column, found = column_texts(values, kind, options, is_document=is_document, allow_special=allow_special)
        texts.append(column)
        for position, fault in found.items():
            wire = resource.wire_names[field]
            value = values[position]
            message = unstorable_message(wire, fault, value, sent(position) if sent else None)
            error = FieldError(wire, message)
            faults.setdefault(position, []).append(error)
    return StoredTexts(texts, faults)


def unstorable_message(wire: str, fault: ValueFault, value: Any, record: Any) -> str:
    """What is wrong with a value of a field, quoted as the client wrote it.

    Parameters
    ----------
    record:
        What the client sent.
    """
    is_whole = fault.value is value and isinstance(record, Mapping)
    return value_message(wire, fault.message, record.get(wire, value) if is_whole else fault.value)


def encoders(
    model: type[BaseModel], fields: Collection[str], types: Mapping[str, ColumnType], options: ValueOptions
) -> dict[str, Callable[[Any], str]]:
    """What gives the text of one value, by field."""
    traits = _traits(model)
    return {
        field: value_text(types[field], options, is_document=traits[field][0], allow_special=traits[field][1])
        for field in fields
    }


@lru_cache(maxsize=256)
def _traits(model: type[BaseModel]) -> Mapping[str, tuple[bool, bool]]:
    """For each field: whether it is text, and whether the model takes NaN and infinity for it."""
    schemas = field_schemas(model)
    unknown = {"type": "any"}
    return {
        name: (is_text(schemas.get(name, unknown), alone=True), _says_special(schemas.get(name, unknown)))
        for name in model.model_fields
    }


def _says_special(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return schema.get("allow_inf_nan") is True or any(_says_special(part) for part in schema.values())
    return isinstance(schema, list | tuple) and any(_says_special(part) for part in schema)
