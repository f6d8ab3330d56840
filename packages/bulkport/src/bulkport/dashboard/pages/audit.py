"""The audit page: actions of operators, newest first."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from bulkport.dashboard.core.audit_log import EVERYTHING, AuditEntry, AuditFilter
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.core.table import Column, Paging
from bulkport.identifiers import MAX_BIGINT

_COLUMNS: Final = (
    Column("Time"),
    Column("User"),
    Column("Action"),
    Column("Target"),
    Column("Result"),
)
LABELS: Final = {
    "jobs/requeue": "Requeued jobs",
    "jobs/run-now": "Started jobs now",
    "jobs/cancel": "Cancelled jobs",
    "jobs/delete": "Deleted jobs",
    "jobs/enqueue": "Enqueued a job",
    "jobs/edit": "Edited a job",
    "jobs/stack": "Read a job's running code",
    "jobs/profile": "Profiled a job",
    "views/save": "Saved a view",
    "views/remove": "Removed a view",
    "imports/cancel": "Cancelled an import",
    "queues/pause": "Paused a queue",
    "queues/resume": "Resumed a queue",
    "queues/limit": "Limited a queue",
    "tasks/pause": "Paused a task",
    "tasks/resume": "Resumed a task",
    "servers/quiet": "Quieted a server",
    "servers/resume": "Resumed a server",
    "servers/stop": "Stopped a server",
    "sessions/end": "Ended a session",
    "failures/mute": "Muted an error",
    "failures/unmute": "Unmuted an error",
    "recurring/trigger": "Started a recurring job",
    "recurring/pause": "Paused a recurring job",
    "recurring/resume": "Resumed a recurring job",
    "recurring/remove": "Removed a recurring job",
    "recurring/save": "Saved a recurring job",
}
"""What each action did, by its name."""
_FILTERS: Final = ("actor", "action", "target")
_PLACES: Final = (
    (re.compile(r"job (\d+)"), "jobs/{}"),
    (re.compile(r"import (\d+)"), "imports/{}"),
    (re.compile(r"server (.+)"), "servers/{}"),
    (re.compile(r"recurring job (.+)"), "recurring/{}"),
    (re.compile(r"queue (.+)"), "queues/{}"),
    (re.compile(r"task (.+)"), "tasks/{}"),
    (re.compile(r"view (\d+): .+"), "views/{}"),
)
"""What targets are, and the pages that they have."""


class KeptAudit(Protocol):
    """Where entries are stored; `AuditLog` is one."""

    async def entries(
        self, wanted: AuditFilter = EVERYTHING, *, before: int | None = None, limit: int = 50
    ) -> Sequence[AuditEntry]:
        """Matching entries with an id below `before`, newest first."""
        ...


def place_of(target: str) -> str | None:
    """The page of a target; None if it is not a single object."""
    return next((page.format(*found.groups()) for form, page in _PLACES if (found := form.fullmatch(target))), None)


def audit_component(audit: KeptAudit) -> Component:
    """The page."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        size = Paging.size_of(request)
        before = request.query.number("cursor", 0, least=0, most=MAX_BIGINT) or None
        # One more than is shown: there is a next page.
        wanted = AuditFilter(**{name: request.query.get(name) or None for name in _FILTERS})
        found = await audit.entries(wanted, before=before, limit=size + 1)
        shown = found[:size]
        return {
            "entries": shown,
            "is_narrowed": wanted != EVERYTHING,
            "without_filters": request.here(**dict.fromkeys((*_FILTERS, "cursor"))),
            "columns": _COLUMNS,
            "labels": LABELS,
            "place_of": place_of,
            "actions": list(LABELS.items()),
            "paging": Paging(size, str(shown[-1].id) if len(found) > size else None),
        }

    return Component(
        section=Section("audit", "Audit", "audit"), pages=[Page("audit", "audit.html", load, section="audit")]
    )
