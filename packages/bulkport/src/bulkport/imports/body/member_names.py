"""Renames members of JSON records to their fields, and adds constant members."""

from collections.abc import Collection

import msgspec

from bulkport.imports.formats.csv import ColumnNames
from bulkport.imports.options import ReadingOptions
from bulkport.imports.resource import Resource
from bulkport.imports.validation.remarks import repeated_names


class MemberNames:
    """Gives the members of a record the names of their fields; false if there is nothing to do.

    Names are those of `map=` and the resource's aliases. A record that has a field under its own name too keeps both,
    and the other one is unknown. What is not a JSON object is left as it is.

    Raises
    ------
    ValidationFailed
        `map` or `set` names a field that the resource does not have.
    """

    def __init__(self, resource: Resource, options: ReadingOptions) -> None:
        self._names = ColumnNames(resource, options)
        self._own = set(resource.wire_names.values())
        self._wire_names = resource.wire_names
        self._has_names = bool(options.map or resource.aliases)
        self._constants = {
            resource.wire_names[field]: msgspec.Raw(msgspec.json.encode(text)) for field, text in self._names.constants
        }
        self._decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def __bool__(self) -> bool:
        return self._has_names or bool(self._constants)

    def __call__(self, record: bytes) -> bytes:
        """The record with the names of its fields."""
        try:
            members = self._decoder.decode(record)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return record
        # Duplicate members are reported later, by their final name.
        names = repeated_names(record) if len(members) < record.count(b'":') else []
        twice = dict.fromkeys(self._wire_name(name, members) for name in names)
        found: dict[str, msgspec.Raw] = {}
        for name, value in members.items():
            wire = self._wire_name(name, members)
            if wire in found:
                twice[wire] = None
            found[wire] = value
        for wire, value in self._constants.items():
            found.setdefault(wire, value)
        renamed = msgspec.json.encode(found)
        if not twice:
            return renamed
        return b"{" + b"".join(msgspec.json.encode(wire) + b":null," for wire in twice) + renamed[1:]

    def _wire_name(self, name: str, members: Collection[str]) -> str:
        field = None if name in self._own else self._names.field_of(name)
        wire = name if field is None else self._wire_names[field]
        return name if wire in members else wire
