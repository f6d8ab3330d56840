"""One column of each type: values sent in every format, and the stored values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from pydantic import create_model

from bulkport import ImportLimits, Resource
from bulkport.imports.formats import CsvRecords, match_header, parse_envelope
from bulkport.imports.validation import ChunkValidator, stored_texts
from bulkport.imports.values.copy_text import copy_block
from bulkport.imports.values.options import PLAIN, ValueOptions
from bulkport.imports.writing.column_types import COLUMNS, MONEY_SAMPLE, TYPES, column_types

FORMATS = ("csv", "ndjson", "json")


@dataclass(frozen=True)
class Refused:
    """A row that is an error."""

    message: str


class TypedColumn:
    """A table with one column of a type, and a resource whose model sees it as `annotation`."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        sql_type: str,
        annotation: Any = str,
        options: ValueOptions = PLAIN,
    ) -> None:
        self.connection = connection
        self.sql_type = sql_type
        self.options = options
        connection.execute("DROP TABLE IF EXISTS typed")
        connection.execute(
            f"CREATE TEMP TABLE typed (position int GENERATED ALWAYS AS IDENTITY, label text, value {sql_type})"
        )
        model = create_model("Typed", label=(str, ...), value=(annotation, ...))
        self.resource = Resource(name="typed", label="Row", label_field="label", model=model, table="typed")
        name = {"table": "typed"}
        columns = connection.execute(COLUMNS, name).fetchall()
        sample = connection.execute(MONEY_SAMPLE).fetchone()
        types = column_types(columns, connection.execute(TYPES, name).fetchall(), sample[0] if sample else None)
        self.types = {field: types[field] for field in ("label", "value")}

    def cells(self, *cells: str, way: str = "copy") -> list[Any]:
        """What is stored, or why it is not, for each cell of CSV."""
        validator = self._validator(streamed=True)
        records = CsvRecords.of_rows([["x", cell] for cell in cells], 2)
        batch = validator.decode_text(records, match_header(["label", "value"], self.resource), 1)
        return self._stored(validator, batch, len(cells), way)

    def json(self, *values: str, envelope: bool = False, way: str = "copy") -> list[Any]:
        """The same for values written in JSON, as lines or in an envelope."""
        records = [f'{{"label":"x","value":{value}}}'.encode() for value in values]
        validator = self._validator(streamed=not envelope)
        if envelope:
            body = b'{"typed":[' + b",".join(records) + b"]}"
            records = parse_envelope(body, self.resource, ImportLimits())
        return self._stored(validator, validator.decode_json(records, 1), len(values), way)

    def send(self, form: str, cell: str, value: str) -> Any:
        """What is stored of one value by a format."""
        (stored,) = self.cells(cell) if form == "csv" else self.json(value, envelope=form == "json")
        return stored

    def canonical(self, text: str) -> Any:
        """What PostgreSQL itself makes of a text."""
        row = self.connection.execute(f"SELECT %s::{self.sql_type}", (text,)).fetchone()
        assert row is not None
        return row[0]

    def _validator(self, *, streamed: bool) -> ChunkValidator:
        return ChunkValidator(self.resource, streamed=streamed, options=self.options, columns=self.types)

    def _stored(self, validator: ChunkValidator, batch: Any, size: int, way: str) -> list[Any]:
        valid = validator.finish(batch, {})
        found: list[Any] = [None] * size
        for error in valid.errors:
            found[error.row - 1] = Refused("; ".join(fault.message for fault in error.errors))
        texts = stored_texts(
            valid.columns, self.resource, list(self.types.values()), self.options, encoded=valid.encoded
        )
        rows = [position for position in range(len(valid.row_numbers)) if position not in texts.faults]
        for position, faults in texts.faults.items():
            found[valid.row_numbers[position] - 1] = Refused("; ".join(fault.message for fault in faults))
        for position in rows:
            number = valid.row_numbers[position]
            found[number - 1] = self._write([column[position] for column in texts.columns], way)
        return found

    def _write(self, row: Sequence[str | None], way: str) -> Any:
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                if way == "copy":
                    with cursor.copy("COPY typed (label, value) FROM STDIN") as copy:
                        copy.write(copy_block([[text] for text in row]))
                else:
                    cast = "text" if row[1] is None else self.sql_type.split("(")[0]
                    cursor.execute(
                        f"INSERT INTO typed (label, value) SELECT a, b::{cast} FROM unnest(%b::text[], %b::text[])"
                        " AS given (a, b)",
                        [[text] for text in row],
                    )
                stored = cursor.execute("DELETE FROM typed RETURNING value").fetchone()
                assert stored is not None
                return stored[0]
        except psycopg.Error as error:
            return Refused(f"database: {error.diag.message_primary}")


def quoted(text: str) -> str:
    """A text as JSON has it."""
    return json.dumps(text, ensure_ascii=False)
