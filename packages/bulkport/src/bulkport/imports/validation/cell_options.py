"""Prepares cells before they are read: trims, normalises, and recognises blank cells and words for null."""

from collections.abc import Sequence
from unicodedata import normalize

from bulkport.imports.formats.csv import CsvRecords
from bulkport.imports.validation.not_blank import is_blank
from bulkport.imports.values.options import ValueOptions


def prepared(records: CsvRecords, fields: Sequence[str | None], options: ValueOptions) -> CsvRecords:
    """The cells as the import's options want them; the same object where they want nothing.

    A cell that is a word for null is None. With `trim` a cell in which nothing is seen is empty.
    """
    if options.are_plain_cells:
        return records
    columns = [
        cells if field is None else _prepared_column(cells, options)
        for field, cells in zip(fields, records.columns, strict=True)
    ]
    return CsvRecords(columns, records.bad)  # type: ignore[arg-type] # None stands for null


def _prepared_column(cells: list[str], options: ValueOptions) -> list[str | None]:
    texts = cells
    if options.normalize:
        form = options.normalize
        texts = [text if text.isascii() else normalize(form, text) for text in texts]
    if options.trim:
        texts = ["" if is_blank(text) else text.strip() for text in texts]
    if options.null_words:
        words = frozenset(options.null_words)
        return [None if text in words else text for text in texts]
    return list(texts)
