"""Reads what precedes the records of a CSV body: Excel's `sep=` line, titles, the header row, units below it.

The header is the first row with a column for each required field. So its place, and the delimiter, need not be said
for most files; what is found is reported, and what does not fit is refused with the first row's faults.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bulkport.errors import CsvHeaderError, MalformedBody
from bulkport.imports.formats.bad_bytes import bad_bytes_message, has_bad_bytes
from bulkport.imports.formats.csv.dialect import BadRecord, CsvSyntax
from bulkport.imports.formats.csv.format_hints import format_hint
from bulkport.imports.formats.csv.grammar import ghost_record, record_line
from bulkport.imports.formats.csv.header import ColumnNames
from bulkport.imports.formats.csv.parser import split_record
from bulkport.imports.options import ReadingOptions

_SEARCHED_ROWS: Final = 20
_DELIMITERS: Final = (",", ";", "\t", "|")
_NAMES: Final = {"\t": "tab"}
_SEP_LINE: Final = re.compile(rb'[\r\n]*"?sep=(.|\\t|tab)"?[,;\t|]*\r?\n', re.IGNORECASE)
_UNIT: Final = re.compile(r"\s*[(\[<{][^()\[\]{}<>]{1,20}[)\]>}]\s*")


@dataclass(frozen=True, slots=True)
class Preamble:
    """The part of a body before its records."""

    end: int
    """Offset of the first record."""
    header: list[str]
    line: bytes
    """The header row as it was written, without its line end."""
    syntax: CsvSyntax
    found: dict[str, Any] = field(default_factory=dict)
    """What was detected, by fields of `ReadingOptions`."""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the block."""

    start: int
    end: int
    number: int
    """Number of its first line in the body, from 1."""
    text: bytes
    """Without its line end."""
    second: int | None = None
    """Number of the second row, where the header is of two."""


def read_preamble(
    block: bytes, options: ReadingOptions, names: ColumnNames | None, *, is_final: bool
) -> Preamble | None:
    """Find the header row; None where more of the body is needed.

    Parameters
    ----------
    block:
        The beginning of the body.
    names:
        What columns may be called. None: the first row is the header, and the delimiter is a comma unless it is said.
    is_final:
        Whether the block is the whole body.

    Raises
    ------
    CsvHeaderError
        If there is no header row, it is not proper CSV, or the `sep=` line says another delimiter than the request.
    MalformedBody
        If the header is not UTF-8, or has NUL characters.
    """
    start, separator = _read_separator(block, options)
    syntax = CsvSyntax(
        options.delimiter or separator or ",", '"' if options.quote is None else options.quote, options.escape
    )
    is_open = options.delimiter is None and separator is None and names is not None
    found: dict[str, Any]
    best: tuple[tuple[int, int, int], CsvSyntax, _Row, list[str]] | None = None
    for delimiter in _DELIMITERS if is_open else (syntax.delimiter,):
        candidate = replace(syntax, delimiter=delimiter)
        rows = _rows(block, start, candidate, options, is_final=is_final)
        header = _find_header(rows, candidate, names, options)
        if header is None:
            continue
        row, cells, rank = header
        if best is None or rank > best[0]:
            best = (rank, candidate, row, cells)
    if best is None:
        if _is_unfinished(block, start, syntax, is_final=is_final):
            if is_final:
                raise CsvHeaderError("A quote in the CSV header is opened but never closed.")
            return None
        raise CsvHeaderError("The CSV body has no header row.")
    _, syntax, row, cells = best
    if not cells:
        cells = _header_cells(row.text, syntax)  # raises what is wrong with the only row there is
    found = {"delimiter": syntax.delimiter}
    end = min(row.end, len(block))
    warnings = []
    if block[start : row.start].strip() and options.header_row is None and options.skip_rows is None:
        found["header_row"] = row.number
        warnings.append(f"The header row was found in row {row.number}; the rows before it were not read")
    if row.second is not None:
        warnings.append(_two_rows(row.second))
    if options.trim is None and _is_padded(cells):
        warnings.append(
            "The header's cells have blanks around them; those around values are kept: trim=true drops them"
        )
    preamble = Preamble(end, cells, row.text, syntax, found, warnings)
    return _without_second_header(block, preamble, options, names, is_final=is_final)


def _is_padded(cells: list[str]) -> bool:
    """Whether a table is drawn with blanks: beside the delimiters, or so that its columns stand below each other."""
    filled = [cell for cell in cells if cell.strip()]
    return len(filled) > 1 and 2 * sum(cell != cell.strip(" ") for cell in filled) >= len(filled)


def _read_separator(block: bytes, options: ReadingOptions) -> tuple[int, str | None]:
    """Excel's `sep=;` line: its end and its delimiter."""
    found = _SEP_LINE.match(block)
    if found is None:
        return 0, None
    said = found[1].decode(errors="replace")
    delimiter = "\t" if said.lower() in ("\\t", "tab") else said
    line = f"sep={said}"
    if options.delimiter is not None and options.delimiter != delimiter:
        asked = _NAMES.get(options.delimiter, options.delimiter)
        raise CsvHeaderError(
            f"The first line of the body says {line}, and the request says delimiter={asked}; leave one of them out."
        )
    if delimiter not in _DELIMITERS:
        raise CsvHeaderError(f"The first line of the body says {line}; the delimiter must be one of , ; | and tab.")
    return found.end(), delimiter


def _rows(block: bytes, start: int, syntax: CsvSyntax, options: ReadingOptions, *, is_final: bool) -> Iterator[_Row]:
    """The rows that may be the header: complete, neither blank nor comments."""
    if is_final and not block.endswith(b"\n"):
        block += b"\n"
    number = block.count(b"\n", 0, start) + 1
    position = start
    first = options.header_row or (options.skip_rows or 0) + number
    comment = options.comment.encode() if options.comment else None
    match = record_line(syntax).match
    while True:
        if number < first:  # skipped by lines, whatever their quotes
            end = block.find(b"\n", position) + 1
            if not end:
                return
        else:
            found = match(block, position)
            if found is None:
                return
            end = found.end()
            text = found[0].rstrip(b"\r\n")
            if text.strip() and not (comment and text.startswith(comment)) and not _is_ghost(text, syntax):
                yield _Row(position, end, number, text)
        number += block.count(b"\n", position, end)
        position = end


def _is_ghost(text: bytes, syntax: CsvSyntax) -> bool:
    return ghost_record(syntax.delimiter).fullmatch(text) is not None


def _find_header(
    rows: Iterator[_Row], syntax: CsvSyntax, names: ColumnNames | None, options: ReadingOptions
) -> tuple[_Row, list[str], tuple[int, int, int]] | None:
    """The header row, its cells, and how well it fits; the first row where none fits."""
    first: tuple[_Row, list[str], tuple[int, int, int]] | None = None
    above: tuple[_Row, list[str]] | None = None
    is_said = options.header_row is not None or options.skip_rows is not None or names is None
    for count, row in enumerate(rows):
        if count >= (1 if is_said else _SEARCHED_ROWS):
            break
        try:
            cells = _header_cells(row.text, syntax)
        except (CsvHeaderError, MalformedBody):
            if first is None and is_said:
                raise
            if first is None and count == 0:
                first = (row, [], (0, 0, 0))
            continue
        fields = [] if names is None else [name for name in names.fields_of(cells) if name]
        # Columns of no delimiter at all are one; the more of a row is known, the likelier it is cut in the right way.
        is_complete = names is None or (bool(fields) and not names.missing(fields))
        found = (row, cells, (int(is_complete), len(fields), len(cells) if len(cells) > 1 else 0))
        if above is not None and names is not None and (whole := _joined_header(cells, above[1], names)) is not None:
            fields = [name for name in names.fields_of(whole) if name]
            if not names.missing(fields):
                both = replace(row, start=above[0].start, number=above[0].number, second=row.number)
                return both, whole, (1, len(fields), len(whole))
        if is_complete:
            return found
        above = (row, cells) if fields else None
        if first is None:
            first = found
    return first


def _header_cells(line: bytes, syntax: CsvSyntax) -> list[str]:
    text = line.decode(errors="surrogateescape")
    if has_bad_bytes(text):
        raise MalformedBody(f"The CSV header {bad_bytes_message(text)}.")
    if "\0" in text:
        raise MalformedBody(f"The CSV header has a NUL byte, which no text has.{format_hint(text)}")
    cells = split_record(text, syntax)
    if isinstance(cells, BadRecord):
        raise CsvHeaderError(f"The CSV header cannot be read: {cells.message}.{format_hint(text)}")
    return cells


def _is_unfinished(block: bytes, start: int, syntax: CsvSyntax, *, is_final: bool) -> bool:
    """Whether the block ends within its first row."""
    text = block + b"\n" if is_final else block
    position = len(text) - len(text[start:].lstrip(b"\r\n \t"))
    return position < len(text) and record_line(syntax).match(text, position) is None


def _without_second_header(
    block: bytes, preamble: Preamble, options: ReadingOptions, names: ColumnNames | None, *, is_final: bool
) -> Preamble:
    """The preamble with the rows between the header and the first record."""
    end = preamble.end
    if options.data_row is not None:
        while block.count(b"\n", 0, end) + 1 < options.data_row and (newline := block.find(b"\n", end)) >= 0:
            end = newline + 1
        return replace(preamble, end=end)
    if names is None:
        return preamble
    below = next(_rows(block, end, preamble.syntax, ReadingOptions(comment=options.comment), is_final=is_final), None)
    cells = [] if below is None else split_record(below.text.decode(errors="surrogateescape"), preamble.syntax)
    whole = None if isinstance(cells, BadRecord) else _joined_header(cells, preamble.header, names)
    if below is not None and whole is not None:
        return replace(
            preamble,
            end=min(below.end, len(block)),
            header=whole,
            found={**preamble.found, "data_row": below.number + 1},
            warnings=[*preamble.warnings, _two_rows(below.number)],
        )
    kind = None if below is None else _kind_of_second(below.text, preamble.header, preamble.syntax, names)
    if below is None or kind is None:
        return preamble
    return replace(
        preamble,
        end=min(below.end, len(block)),
        found={**preamble.found, "data_row": below.number + 1},
        warnings=[*preamble.warnings, f"Row {below.number}, below the header, has {kind}; it was not read"],
    )


def _two_rows(number: int) -> str:
    return f"Row {number} names columns too and was read as part of the header"


def _joined_header(cells: list[str], header: list[str], names: ColumnNames) -> list[str] | None:
    """The header with the names below it, of columns that share a title; None if the row names no such columns."""
    if len(cells) > len(header):
        return None
    known = names.fields_of(header)
    below = [(position, cell, names.field_of(cell)) for position, cell in enumerate(cells) if cell.strip()]
    own = [field for _, _, field in below]
    if not below or None in own or len({*own}) < len(own) or not {*known}.isdisjoint(own):
        return None
    if any(known[position] is not None for position, _, _ in below):
        return None
    names_below = {position: cell for position, cell, _ in below}
    return [names_below.get(position, title) for position, title in enumerate(header)]


def _kind_of_second(text: bytes, header: list[str], syntax: CsvSyntax, names: ColumnNames) -> str | None:
    """What a row below the header is if it is not a record: units in brackets, or a second header."""
    cells = split_record(text.decode(errors="surrogateescape"), syntax)
    if isinstance(cells, BadRecord) or len(cells) > len(header):
        return None
    filled = [(cell, title) for cell, title in zip(cells, header, strict=False) if cell.strip()]
    if not filled:
        return None
    # A single word in brackets is a unit if it cannot be all that a record says.
    if (len(filled) > 1 or not cells[0].strip()) and all(_UNIT.fullmatch(cell) for cell, _ in filled):
        return "units"
    fields = [(names.field_of(cell), names.field_of(title)) for cell, title in filled]
    is_header = len(filled) > 1 and cells != header and all(own is not None and own == other for own, other in fields)
    return "the header once more" if is_header else None
