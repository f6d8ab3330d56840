"""Validates rows: the values of a record, or its errors.

A resource's Pydantic model has the last word on every row. Where its constraints are plain, a msgspec struct derived
from it accepts most rows ten times as fast (`fast_path_for`), and Pydantic sees the others only::

    validator = ChunkValidator(resource, streamed=True)
    batch = validator.decode_json(records, first_row)       # or decode_text(rows of cells, columns, first_row)
    valid = validator.finish(batch, resolved)               # ids in the place of names (`batch.lookups`)
    valid.columns, valid.row_numbers, valid.errors
"""

from bulkport.imports.validation.batch import Batch, ValidRows
from bulkport.imports.validation.chunk_validator import ChunkValidator
from bulkport.imports.validation.envelope import validate_envelope, validation_steps
from bulkport.imports.validation.not_blank import NotBlank
from bulkport.imports.validation.remarks import once
from bulkport.imports.validation.row_errors import FieldError, RowError
from bulkport.imports.validation.stored_texts import StoredTexts, stored_texts

__all__ = [
    "Batch",
    "ChunkValidator",
    "FieldError",
    "NotBlank",
    "RowError",
    "StoredTexts",
    "ValidRows",
    "once",
    "stored_texts",
    "validate_envelope",
    "validation_steps",
]
