"""The sessions: which browsers are signed in, and the button that ends a session."""

from collections.abc import Mapping
from typing import Any, Final

from bulkport.dashboard.access.sessions import Sessions
from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.language import n, t
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.core.table import Column

_COLUMNS: Final = (Column("User"), Column("Browser"), Column("Signed in"), Column("Last seen"), Column(""))


def sessions_component(sessions: Sessions) -> Component:
    """The page, and its action."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        return {"sessions": await sessions.live(), "columns": _COLUMNS}

    async def end(request: ActionRequest) -> Done:
        ids = request.form.numbers()
        if not ids:
            raise ActionRefused(t("No session selected."))
        count = await sessions.end(ids)
        target = f"sessions {', '.join(map(str, ids))}"
        return Done(n(count, "{count} session ended.", "{count} sessions ended."), target=target)

    return Component(
        section=Section("sessions", "Sessions", "sessions", is_in_footer=True),
        pages=[Page("sessions", "sessions.html", load, section="sessions")],
        actions=[Action("sessions/end", "End session", end)],
    )
