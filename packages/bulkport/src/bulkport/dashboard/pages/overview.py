"""The first page: how things stand, in numbers, graphs and short lists."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bulkport.dashboard.core.charts import BarChart, LineChart
from bulkport.dashboard.core.page import Page, PageRequest


@dataclass(frozen=True, slots=True)
class Tile:
    """One number with its name, and what puts it in place: `1,272`, `Enqueued`, `oldest waits 0.4 s`."""

    label: str
    value: str
    note: str = ""
    path: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    """Of the query of the page that it leads to."""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job in one of the short lists."""

    job_id: int
    task: str
    note: str
    """What it does now, or why it failed."""
    at: datetime
    """When it began, or failed."""
    place: str = ""
    """Where it runs, or which attempt it was."""


@dataclass(frozen=True, slots=True)
class ImportInFlight:
    """An import that has not ended."""

    import_id: int
    resource: str
    user_id: str
    format: str
    done: int
    failed: int
    total: int | None
    rows_per_second: float | None
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows. A part that is None is left out: this application does not have it."""

    tiles: Sequence[Tile] = field(default_factory=tuple)
    realtime: LineChart | None = None
    """Succeeded and failed a second."""
    history: BarChart | None = None
    """The same over a day or a week, by the query's `period`."""
    latency: LineChart | None = None
    failed_last: Sequence[ListedJob] | None = None
    running: Sequence[ListedJob] | None = None
    imports: Sequence[ImportInFlight] | None = None


ReadOverview = Callable[[PageRequest], Awaitable[Overview]]


def overview_page(read: ReadOverview) -> Page:
    """The page, showing what `read` gives."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        return {"overview": await read(request)}

    return Page("", "overview.html", load, section="overview")
