"""Validates single rows with Pydantic, which has the last word."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import AliasChoices, AliasPath, BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from bulkport.imports.formats.bad_bytes import bad_bytes_message, has_bad_bytes
from bulkport.imports.formats.json_hints import hint
from bulkport.imports.resource import Resource
from bulkport.imports.validation.exact_schema import JSON_ITEMS, TEXT_ITEMS, exact_validator
from bulkport.imports.validation.lookups import Lookup, NamedRow
from bulkport.imports.validation.messages import field_message, row_message, sentence
from bulkport.imports.validation.row_errors import FieldError
from bulkport.imports.validation.text_fields import EmptyCell, blankless_fields, empty_cells
from bulkport.imports.values.column_type import ColumnType
from bulkport.imports.values.faults import ValueFault
from bulkport.imports.values.json_text import RepeatedMember, read_json, read_repeating_json, repeated_member
from bulkport.imports.values.options import PLAIN, Blank, ValueOptions

_MAX_ERRORS: Final = 20
_MAX_BRACKETS: Final = 100
_SIDE_BY_SIDE: Final = re.compile(rb"\}\s*\{")
_CSV_LIKE: Final = re.compile(rb"[^{}:]+[,;\t][^{}:]*")
NO_COLUMNS: Final[Mapping[str, ColumnType]] = {}

Refused = Sequence[FieldError]
"""What is wrong with a row; never empty."""
Verdict = BaseModel | NamedRow | Refused


class RowValidator(ABC):
    """Validates one row at a time; no value makes it raise.

    Parameters
    ----------
    keys:
        Every key that a row may give a field's value under.
    """

    def __init__(self, resource: Resource, lookups: Sequence[Lookup], keys: Mapping[str, Sequence[str]]) -> None:
        self._model = resource.model
        self._lookups = lookups
        self._id_keys = {lookup.id_field: keys[lookup.id_field] for lookup in lookups}
        # Pydantic names a place by the key it looked for, or by the field's name.
        names = {field: resource.wire_names[field] for field in keys}
        self._wire_names = names | {key: names[field] for field, given in keys.items() for key in given}

    @abstractmethod
    def _validate(self, members: Any) -> Any:
        """The row of these members by key."""

    @abstractmethod
    def _name_key(self, lookup: Lookup) -> str:
        """Key of a lookup's name in a row."""

    def validate_members(self, members: dict[str, Any]) -> Verdict:
        """Validate a row of members by key, which may be changed."""
        names: dict[str, str] = {}
        errors: list[FieldError] = []
        for lookup in self._lookups:
            name = members.pop(self._name_key(lookup), None)
            if name is None:
                continue
            if not isinstance(name, str):
                errors.append(lookup.not_text())
            elif any(members.get(key) is not None for key in self._id_keys[lookup.id_field]):
                errors.append(lookup.both_given())
            else:
                names[lookup.id_field] = name
            if lookup.id_field in names or errors:
                for key in self._id_keys[lookup.id_field]:
                    if members.get(key, ...) is None:
                        del members[key]
        if errors:
            reported = {error.field for error in errors}
            reported |= {lookup.id_wire for lookup in self._lookups if lookup.name_wire in reported}
            verdict = self._checked(members)
            return (
                [*errors, *(error for error in verdict if error.field not in reported)]
                if isinstance(verdict, list)
                else errors
            )
        return NamedRow(members, names) if names else self._checked(members)

    def validate_named(self, row: NamedRow, ids: Mapping[str, Mapping[str, Any]]) -> BaseModel | Refused:
        """Validate a row with the ids that were found for its names (by id field, then by name)."""
        members = dict(row.members)
        unknown: dict[str, FieldError] = {}
        for lookup in self._lookups:
            name = row.names.get(lookup.id_field)
            if name is None:
                continue
            found = ids.get(lookup.id_field, {}).get(name)
            if found is None:
                unknown[lookup.id_wire] = lookup.unknown_name(name)
            else:
                members[self._id_keys[lookup.id_field][0]] = self._id_value(found)
        verdict = self._checked(members)
        if not unknown:
            return verdict
        others = verdict if isinstance(verdict, list) else []
        return [*unknown.values(), *(error for error in others if error.field not in unknown)]

    def _id_value(self, value: Any) -> Any:
        return value

    def _checked(self, members: Any) -> BaseModel | list[FieldError]:
        return self._call(self._validate, members)

    def _call(self, validate: Any, given: Any) -> BaseModel | list[FieldError]:
        try:
            row = validate(given)
        except ValidationError as error:
            return self._errors(error)
        except Exception as error:  # a validator of the model stumbled over this row: the row is bad
            return [FieldError("", f"the row cannot be checked: {type(error).__name__}")]
        if not isinstance(row, self._model):
            return [FieldError("", "the row cannot be checked: its model makes something else of it")]
        return row

    def _errors(self, error: ValidationError) -> list[FieldError]:
        found = [self._field_error(details) for details in error.errors(include_url=False)[:_MAX_ERRORS]]
        return list(dict.fromkeys(found))

    def _field_error(self, details: ErrorDetails) -> FieldError:
        place = [step for step in details["loc"] if step not in (TEXT_ITEMS, JSON_ITEMS)]
        if not place:
            return FieldError("", sentence("", row_message(details)))
        first = str(place[0])
        path = self._wire_names.get(first, first)
        if details["type"] == "missing" and len(place) == 1:
            for lookup in self._lookups:
                if lookup.id_wire == path:
                    return lookup.none_given()
        path += "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place[1:])
        return FieldError(path, field_message(path, details))


class JsonRowValidator(RowValidator):
    """Validates JSON rows strictly: neither `"5"` nor `true` is a number."""

    def __init__(
        self,
        resource: Resource,
        lookups: Sequence[Lookup],
        options: ValueOptions = PLAIN,
        columns: Mapping[str, ColumnType] = NO_COLUMNS,
    ) -> None:
        keys = json_keys(resource.model)
        super().__init__(resource, lookups, keys)
        self._keys = [key for given in keys.values() for key in given]
        self._validator = exact_validator(resource.model, options, columns, is_text=False)

    def validate(self, record: bytes) -> Verdict:
        """Validate a row."""
        try:
            members, is_repeating = _members(record)
        except (ValueError, ValueFault) as error:
            return [FieldError("", sentence("", _not_json(record, str(error))))]
        if not isinstance(members, dict):
            return self._checked(members)
        # Of duplicate members the last one counts, with a warning.
        if is_repeating and (refused := self._repeated(members)):
            return refused
        return self.validate_members(members)

    def _repeated(self, members: Mapping[str, Any]) -> Refused:
        """The errors of values with duplicate members."""
        return [
            FieldError(wire, sentence(wire, str(RepeatedMember(name))))
            for key in self._keys
            if (name := repeated_member(members.get(key))) is not None
            for wire in [self._wire_names[key]]
        ][:_MAX_ERRORS]

    def _validate(self, members: Any) -> Any:
        return self._validator.validate_python(members)

    def _name_key(self, lookup: Lookup) -> str:
        return lookup.name_wire


class TextRowValidator(RowValidator):
    """Validates rows of text cells: values are read from their text."""

    def __init__(
        self,
        resource: Resource,
        lookups: Sequence[Lookup],
        options: ValueOptions = PLAIN,
        columns: Mapping[str, ColumnType] = NO_COLUMNS,
    ) -> None:
        super().__init__(resource, lookups, {field: [field] for field in resource.model.model_fields})
        self._validator = exact_validator(resource.model, options, columns, is_text=True)
        self._empty = empty_cells(resource.model, options.blank)
        self.blankless = blankless_fields(resource.model)
        nulls = empty_cells(resource.model, Blank.NULL)
        self._defaulted = {
            name
            for name, info in resource.model.model_fields.items()
            if not info.is_required() and nulls[name] is not EmptyCell.NULL
        }

    def validate(self, cells: Iterable[str | None], fields: Sequence[str | None]) -> Verdict:
        """Validate a row.

        Parameters
        ----------
        cells:
            Text; None if a word for null stood.
        fields:
            Field of the resource for each cell; None if it is not read.
        """
        members: dict[str, Any] = {}
        for field, cell in zip(fields, cells, strict=False):
            if field is None:
                continue
            if cell is None:
                if field not in self._defaulted:
                    members[field] = None
                continue
            if cell and not (cell.isspace() and field in self.blankless):
                members[field] = cell
                continue
            match self._empty.get(field, EmptyCell.ABSENT):
                case EmptyCell.TEXT:
                    members[field] = ""
                case EmptyCell.NULL:
                    members[field] = None
        return self.validate_members(members)

    def _validate(self, members: Any) -> Any:
        return self._validator.validate_python(members)

    def _name_key(self, lookup: Lookup) -> str:
        return lookup.name_field

    def _id_value(self, value: Any) -> Any:
        return str(value)


def _members(record: bytes) -> tuple[Any, bool]:
    """The value of a JSON record, and whether an object in it has duplicate members.

    Raises
    ------
    ValueError, ValueFault
        If it is not JSON (RFC 8259), or nested more deeply than any reader takes.
    """
    if b"\\u" in record or record.count(b"[") + record.count(b"{") > _MAX_BRACKETS:
        from_json(record, allow_inf_nan=False)  # it knows half a surrogate pair, and stops at 200 levels
    text = record.decode()
    try:
        try:
            return read_json(text), False
        except RepeatedMember:  # and perhaps something worse behind it
            return read_repeating_json(text), True
    except ValueFault:
        from_json(record, allow_inf_nan=False)  # has better messages about invalid JSON
        raise


def _not_json(record: bytes, reason: str) -> str:
    text = record.decode(errors="surrogateescape")
    if has_bad_bytes(text):
        return f"the row is not valid JSON: it {bad_bytes_message(text)}"
    reason = reason.replace(" at line 1 column ", " at column ")
    if record.rstrip().endswith(b"},"):
        reason += "; leave out the comma at the end of the line"
    elif _SIDE_BY_SIDE.search(record) and reason.startswith("trailing characters"):
        reason += "; write each object on a line of its own"
    elif not record.lstrip().startswith((b"{", b"[", b'"')) and _CSV_LIKE.match(record):
        reason += "; the line looks like CSV, whose Content-Type is text/csv"
    else:
        reason += hint(record)
    return f"the row is not valid JSON: {reason}"


def json_keys(model: type[BaseModel]) -> dict[str, list[str]]:
    """The members of a JSON object that may give each field of a model its value."""
    config = model.model_config
    by_name = bool(config.get("populate_by_name") or config.get("validate_by_name"))
    keys: dict[str, list[str]] = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias or info.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        given = [str(choice.path[0]) if isinstance(choice, AliasPath) else choice for choice in choices if choice]
        if by_name or not given or config.get("validate_by_alias") is False:
            given.append(name)
        keys[name] = list(dict.fromkeys(given))
    return keys
