"""One import: its progress by chunk, its errors, the rejected rows, and the full report to download."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from bulkport.dashboard.core.formatting import number
from bulkport.dashboard.core.language import n, t
from bulkport.dashboard.core.page import Download, Page, PageNotFound, PageRequest
from bulkport.dashboard.pages.imported_rows import speed_chart
from bulkport.errors import JobNotFound
from bulkport.identifiers import MAX_BIGINT, ImportId
from bulkport.imports.admin import MOST_LOOKED_AT, ChunkCell, OperatedImport, OperatedImports
from bulkport.imports.error_report import report_disposition, report_lines
from bulkport.imports.formats import BodyFormat
from bulkport.imports.read import ReportedRow
from bulkport.sanitize import storable_text

_MOST_CELLS: Final = 240
_CELLS_IN_A_ROW: Final = 40
_CELL: Final = 20
_GAP: Final = 3
_MOST_KINDS: Final = 12
_SHOWN_ROWS: Final = 20
_SAMPLED_ROWS: Final = 300
_MAX_VALUES: Final = 3
_VALUE_CHARACTERS: Final = 60
_RECORD_CHARACTERS: Final = 400


@dataclass(frozen=True, slots=True)
class MapCell:
    """A cell of the chunk map."""

    x: int
    y: int
    done_height: float
    failed_height: float
    checked_height: float
    is_running: bool
    text: str


@dataclass(frozen=True, slots=True)
class ChunkMap:
    """All chunks of an import as a drawing, from left to right and row by row."""

    cells: Sequence[MapCell]
    width: int
    height: int
    cell: int
    chunks: int
    done: int
    checked: int
    running: int

    @property
    def waiting(self) -> int:
        """Chunks that no worker has started."""
        return self.chunks - self.done - self.checked - self.running


@dataclass(frozen=True, slots=True)
class BadRow:
    """A rejected row as the page shows it."""

    row: int
    errors: Sequence[str]
    record: str


def import_page(imports: OperatedImports) -> Page:
    """The page."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        job = await _import(imports, request)
        import_id = ImportId(job.id)
        has_errors = job.failure_count > 0
        after = request.query.number("after", 0, least=0, most=MAX_BIGINT)
        kind = _kind(request)
        rows, next_after = await _rows(imports, import_id, kind, after) if has_errors else ([], None)
        sample = await imports.bad_rows(import_id, limit=_SAMPLED_ROWS) if has_errors else []
        return {
            "job": job,
            "map": chunk_map(await imports.chunks(job, cells=_MOST_CELLS)),
            "kinds": await imports.error_kinds(import_id, most=_MOST_KINDS) if has_errors else [],
            "most_kinds": _MOST_KINDS,
            "most_looked_at": MOST_LOOKED_AT,
            "bad_rows": [_bad_row(row) for row in rows],
            "kind": kind,
            "speed": await speed_chart(imports, job),
            "after_row": after,
            "next_after": next_after,
            "values": frequent_values(sample),
            "reading": _reading(job),
            "outcome_words": _outcome_words(job),
        }

    return Page("imports/{import_id:int}", "import.html", load, section="imports")


def _kind(request: PageRequest) -> tuple[str, str] | None:
    """The requested kind of error, field and message; None for all."""
    message = storable_text(request.query.get("message"))
    return (storable_text(request.query.get("field")), message) if message else None


async def _rows(
    imports: OperatedImports, import_id: ImportId, kind: tuple[str, str] | None, after: int
) -> tuple[list[ReportedRow], int | None]:
    """A page of rejected rows, and after which row the next one begins."""
    if kind is not None:
        return await imports.rows_of_kind(import_id, kind, after_row=after, limit=_SHOWN_ROWS)
    rows = await imports.bad_rows(import_id, after_row=after, limit=_SHOWN_ROWS + 1)
    return rows[:_SHOWN_ROWS], rows[_SHOWN_ROWS - 1].row if len(rows) > _SHOWN_ROWS else None


def report_download(imports: OperatedImports) -> Download:
    """The whole report of bad rows, as CSV or NDJSON."""

    async def answer(request: PageRequest) -> Response:
        job = await _import(imports, request)
        report_format = {"csv": BodyFormat.CSV, "ndjson": BodyFormat.NDJSON}.get(request.params["format"])
        resource = imports.resources.get(job.resource)
        if report_format is None or (resource is None and report_format is BodyFormat.CSV):
            raise PageNotFound(t("The error report is available as CSV and NDJSON."))
        header, wire_names = None, list[str]()
        if resource is not None:
            header, wire_names = await imports.csv_header(job, resource), list(resource.wire_names.values())
        pages = imports.all_bad_rows(ImportId(job.id))
        return StreamingResponse(
            report_lines(report_format, pages, header=header, wire_names=wire_names),
            media_type=report_format.media_type,
            headers={"Content-Disposition": report_disposition(job.id, report_format)},
        )

    return Download("imports/{import_id:int}/errors.{format}", answer)


async def _import(imports: OperatedImports, request: PageRequest) -> OperatedImport:
    import_id: int = request.params["import_id"]
    try:
        if import_id <= MAX_BIGINT:
            return await imports.get(ImportId(import_id))
    except JobNotFound:
        pass
    raise PageNotFound(t("Import #{number} not found.", number=import_id))


def chunk_map(cells: Sequence[ChunkCell]) -> ChunkMap:
    """The drawing of an import's chunks."""
    columns = min(max(1, len(cells)), _CELLS_IN_A_ROW)
    rows = -(-len(cells) // columns)
    pitch = _CELL + _GAP
    drawn = [_drawn(cell, index % columns * pitch, index // columns * pitch) for index, cell in enumerate(cells)]
    return ChunkMap(
        drawn,
        # As wide as a full row, so that few chunks are not drawn larger than many.
        width=_CELLS_IN_A_ROW * pitch,
        height=max(1, rows) * pitch,
        cell=_CELL,
        chunks=sum(cell.chunks for cell in cells),
        done=sum(cell.done for cell in cells),
        checked=sum(cell.checked for cell in cells),
        running=sum(cell.running for cell in cells),
    )


def _drawn(cell: ChunkCell, x: int, y: int) -> MapCell:
    done = cell.done / cell.chunks * _CELL
    failed = min(cell.failed_rows / cell.rows, 1) * _CELL if cell.rows else 0.0
    last = cell.first_chunk + cell.chunks
    if cell.chunks == 1:
        name = t("Chunk {number}", number=last)
    else:
        name = t("Chunks {first} to {last}", first=cell.first_chunk + 1, last=last)
    counts = {
        "{count} done": cell.done,
        "{count} validated": cell.checked,
        "{count} in progress": cell.running,
        "{count} waiting": cell.chunks - cell.done - cell.checked - cell.running,
    }
    states = ", ".join(t(state, count=number(count)) for state, count in counts.items() if count)
    rejected = t("{count} rejected", count=number(cell.failed_rows))
    rows = n(cell.rows, "{count} row", "{count} rows")
    bad = f", {rejected}" if cell.failed_rows else ""
    return MapCell(
        x,
        y,
        done_height=round(done, 1),
        # A few rejected rows among many are still visible.
        failed_height=round(max(failed, 3.0), 1) if cell.failed_rows else 0.0,
        checked_height=round(cell.checked / cell.chunks * _CELL, 1),
        is_running=cell.running > 0,
        text=f"{name}: {states}; {rows}{bad}",
    )


def _bad_row(row: ReportedRow) -> BadRow:
    errors = [
        f"{error['field']}: {error['message']}"
        if error["field"] and not error["message"].startswith(f"{error['field']} ")
        else error["message"]
        for error in _errors_of(row)
    ]
    record = row.record
    return BadRow(row.row, errors, record if len(record) <= _RECORD_CHARACTERS else record[:_RECORD_CHARACTERS] + "…")


def _errors_of(row: ReportedRow) -> list[dict[str, str]]:
    """What is wrong with the row: field and message of each error."""
    found = json.loads(row.errors)
    return [
        {"field": str(one.get("field") or ""), "message": str(one.get("message") or "")}
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
    ]


def frequent_values(rows: Sequence[ReportedRow]) -> Mapping[tuple[str, str], Sequence[tuple[str, int]]]:
    """By field and message, the values that rows were most often rejected for, and how often."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        try:
            record = json.loads(row.record)
        except ValueError:
            continue
        if not isinstance(record, dict):
            continue
        for error in _errors_of(row):
            field = error["field"]
            if field not in record:
                continue
            value = record[field]
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            kind = (field, _without_values(error["message"]))
            counts.setdefault(kind, Counter())[_shown(text)] += 1
    return {
        kind: [(value, count) for value, count in counted.most_common(_MAX_VALUES) if count > 1]
        for kind, counted in counts.items()
    }


def _without_values(message: str) -> str:
    """A message without the values that it quotes, as `ErrorKind.message` has it."""
    return re.sub(r" \S+ does not exist$", " … does not exist", re.sub(r"'.*'", "'…'", message))


def _shown(text: str) -> str:
    """A value in a line; one of blanks alone is quoted, so that it can be seen."""
    if text and not text.strip():
        return json.dumps(text, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"


_READING_LABELS: Final = {
    "encoding": "Encoding",
    "delimiter": "Delimiter",
    "decimal": "Decimal mark",
    "sheet": "Sheet",
    "compression": "Compression",
    "header": "Header row",
    "date_order": "Date order",
}


def _reading(job: OperatedImport) -> list[tuple[str, str]]:
    """How the file is read: requested or detected options."""
    reading: object = job.reading
    if not isinstance(reading, dict):
        return []
    detected = reading.get("detected") or ()
    detected = detected if isinstance(detected, list) else ()
    return [
        (
            _READING_LABELS.get(name, _words_of(name)),
            t("{value} (detected)", value=_plain(value)) if name in detected else _plain(value),
        )
        for name, value in sorted(reading.items())
        if name != "detected" and value not in (None, "", [], {})
    ]


def _words_of(name: str) -> str:
    """`headerRow` as `Header row`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).capitalize()


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return t("yes") if value else t("no")
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, str):
        return {"\t": "tab", ",": "comma (,)", ";": "semicolon (;)", "|": "pipe (|)"}.get(value, value)
    return json.dumps(value, ensure_ascii=False)


def _outcome_words(job: OperatedImport) -> str:
    """What became of the rows: `120 created, 3 updated`."""
    words = {
        "created": "{count} created",
        "updated": "{count} updated",
        "unchanged": "{count} unchanged",
        "skipped": "{count} skipped",
        "deleted": "{count} deleted",
    }
    return ", ".join(t(words[name], count=number(count)) for name, count in job.counts.items() if count)
