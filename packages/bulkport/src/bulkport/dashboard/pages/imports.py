"""The imports: all users' list of them, by status, resource and user."""

from collections.abc import Mapping
from typing import Any, Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.page import Counts, CountsSource, Entry, Page, PageRequest, Section
from bulkport.dashboard.core.table import Column, Paging
from bulkport.dashboard.pages.import_cancel import cancel_import_action
from bulkport.dashboard.pages.import_detail import import_page, report_download
from bulkport.dashboard.pages.job import Related
from bulkport.identifiers import ImportId
from bulkport.imports.admin import UNFINISHED, ImportFilter, OperatedImports
from bulkport.imports.states import ImportStatus
from bulkport.jobs.port.details import JobSummary
from bulkport.sanitize import storable_text

_IN_FLIGHT: Final = "in-flight"
_FILTERS: Final = ("text", "resource", "user", "tag")
_TAGS_SECONDS: Final = 10.0
_COLUMNS: Final = (
    Column("Import"),
    Column("Status"),
    Column("Resource, user"),
    Column("Progress"),
    Column("Speed", is_number=True, is_minor=True),
    Column("Created", is_number=True),
    Column(""),
)
_EMPTY: Final = {
    "": ("No imports yet", "Files sent to a bulk endpoint appear here."),
    _IN_FLIGHT: ("No active imports", "Files sent to a bulk endpoint appear here until their last row is processed."),
}


def imports_component(imports: OperatedImports) -> Component:
    """The list, the page of one import with its report, and the action that cancels one."""

    async def read_tags(_: None) -> Mapping[str, int]:
        return await imports.tags()

    tags = TTLCache(read_tags, seconds=_TAGS_SECONDS)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        status = _status_of(request)
        size = Paging.size_of(request)
        wanted = ImportFilter(
            statuses=_statuses(status),
            resource=storable_text(request.query.get("resource")) or None,
            user_id=storable_text(request.query.get("user")) or None,
            tag=storable_text(request.query.get("tag")) or None,
            text=storable_text(request.query.get("text")) or None,
        )
        cursor = request.query.get("cursor")
        before = ImportId(request.query.number("cursor", 0, least=0, most=2**62)) if cursor.isdecimal() else None
        found = await imports.find(wanted, before=before, limit=size)
        return {
            "imports": found.items,
            "columns": _COLUMNS,
            "paging": Paging(size, None if found.before is None else str(found.before)),
            "status": status,
            "resources": sorted(imports.resources),
            "is_narrowed": any(request.query.get(name) for name in _FILTERS),
            "without_filters": request.here(**dict.fromkeys((*_FILTERS, "cursor"))),
            "tags": await tags.get(None),
            "empty": _EMPTY.get(status, ("No matching imports", "No import has this status.")),
            "number": _number(request.query.get("user")),
        }

    return Component(
        section=Section(
            "imports",
            "Imports",
            "imports",
            "imports",
            hint="{count} active imports",
            entries=(
                Entry("All", "imports", (("status", ""),)),
                Entry("Active", "imports", (("status", _IN_FLIGHT),), "imports"),
                Entry("Completed", "imports", (("status", ImportStatus.COMPLETED.value),)),
                Entry("Completed with errors", "imports", (("status", ImportStatus.PARTIAL_SUCCESS.value),)),
                Entry("Failed", "imports", (("status", ImportStatus.FAILED.value),)),
                Entry("Cancelled", "imports", (("status", ImportStatus.CANCELLED.value),)),
            ),
        ),
        pages=[Page("imports", "imports.html", load, section="imports"), import_page(imports)],
        actions=[cancel_import_action(imports)],
        downloads=[report_download(imports)],
    )


def with_import_counts(counts: CountsSource, imports: OperatedImports) -> CountsSource:
    """The counts of `counts`, and of active imports (`imports`)."""

    async def read() -> Counts:
        known = await counts()
        return Counts({**known.by_name, "imports": await imports.count_unfinished()})

    return read


def related_import(job: JobSummary) -> list[Related]:
    """The import that a job works on, for the job's page."""
    import_id = job.args.get("import_id") if job.args and job.task.startswith("bulkport.") else None
    return [Related("Import", f"#{import_id}", f"imports/{import_id}")] if isinstance(import_id, int) else []


def _status_of(request: PageRequest) -> str:
    return request.query.choice("status", [_IN_FLIGHT, *(status.value for status in ImportStatus)], "")


def _statuses(status: str) -> frozenset[ImportStatus] | None:
    if status == _IN_FLIGHT:
        return UNFINISHED
    return frozenset({ImportStatus(status)}) if status else None


def _number(text: str) -> int | None:
    """The number of an import that was typed into the field for a user."""
    number = text.removeprefix("#")
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else None
