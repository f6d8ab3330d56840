"""Saved views: filters of the list of jobs that an operator gave a name, for themselves or for everyone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import class_row

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageNotFound, PageRequest, Query, Redirect
from bulkport.dashboard.core.viewer import Viewer
from bulkport.dashboard.pages.job_filters import FILTERS, TAGS
from bulkport.identifiers import MAX_BIGINT
from bulkport.pools import AsyncPool
from bulkport.sanitize import storable_text

_MAX_NAME: Final = 60
_MAX_FILTER: Final = 2_000
_MAX_VIEWS: Final = 100
_KEPT: Final = ("state", *FILTERS, TAGS, "sort", "order", "size")
"""Fields of a list's address that a view has: not the place in it."""

_COLUMNS: Final = "id, owner, name, filter, is_shared"
_SEEN_BY: Final = f"""
SELECT {_COLUMNS} FROM bulkport.saved_views WHERE owner = %(viewer)s OR is_shared
ORDER BY owner <> %(viewer)s, lower(name), id LIMIT {2 * _MAX_VIEWS}
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM bulkport.saved_views WHERE id = %(id)s"
_SAVE: Final = f"""
INSERT INTO bulkport.saved_views AS known (owner, name, filter, is_shared)
SELECT %(owner)s, %(name)s, %(filter)s, %(is_shared)s
WHERE (SELECT count(*) FROM bulkport.saved_views WHERE owner = %(owner)s AND name <> %(name)s) < {_MAX_VIEWS}
ON CONFLICT (owner, name) DO UPDATE SET
    filter = EXCLUDED.filter, is_shared = EXCLUDED.is_shared, saved_at = clock_timestamp()
RETURNING {_COLUMNS}
"""
_REMOVE: Final = f"DELETE FROM bulkport.saved_views WHERE id = %(id)s AND owner = %(owner)s RETURNING {_COLUMNS}"


@dataclass(frozen=True, slots=True)
class SavedView:
    """One view."""

    id: int
    owner: str
    name: str
    filter: str
    """The query of the list's address."""
    is_shared: bool
    """Whether everyone's list of views has it; by its link everyone may open it."""


class SavedViews:
    """Keeps views.

    Parameters
    ----------
    pool
        Gives the pool of autocommit connections once the application is connected.
    """

    def __init__(self, pool: Callable[[], AsyncPool]) -> None:
        self._pool = pool

    async def seen_by(self, viewer: str) -> Sequence[SavedView]:
        """The viewer's own views, then those that others share; by name."""
        return await self._fetch(_SEEN_BY, {"viewer": storable_text(viewer)})

    async def get(self, view_id: int) -> SavedView | None:
        """A view; None: there is none of this id."""
        found = await self._fetch(_ONE, {"id": view_id}) if 0 < view_id <= MAX_BIGINT else ()
        return found[0] if found else None

    async def save(self, owner: str, name: str, fields: Query, *, is_shared: bool) -> SavedView | None:
        """Store a view, in place of the owner's of the same name; None: the owner has too many."""
        values = {"owner": storable_text(owner), "name": name, "filter": str(fields), "is_shared": is_shared}
        found = await self._fetch(_SAVE, values)
        return found[0] if found else None

    async def remove(self, owner: str, view_id: int) -> SavedView | None:
        """Remove one of the owner's views; None: there is no such."""
        found = await self._fetch(_REMOVE, {"owner": storable_text(owner), "id": view_id})
        return found[0] if found else None

    async def _fetch(self, query: str, values: Mapping[str, Any]) -> Sequence[SavedView]:
        async with self._pool().connection() as connection:
            cursor = connection.cursor(row_factory=class_row(SavedView))
            return await (await cursor.execute(query, values)).fetchall()


def views_of(views: SavedViews) -> Callable[[PageRequest, Viewer], Awaitable[Mapping[str, Any]]]:
    """What the page of jobs shows of views: variables of its template, for one viewer."""

    async def load(request: PageRequest, viewer: Viewer) -> Mapping[str, Any]:
        here = str(_kept(request.query))
        found = await views.seen_by(viewer.name)
        return {
            "views": [
                (view, request.link(f"views/{view.id}"), view.filter == here, view.owner == viewer.name)
                for view in found
            ],
            "can_save_view": bool(here),
        }

    return load


def saved_view_page(views: SavedViews) -> Page:
    """The page `views/{id}`, which leads to the list: a link that stays when the view is changed."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        view = await views.get(request.params["view_id"])
        if view is None:
            raise PageNotFound(t("View {view} no longer exists.", view=request.params["view_id"]))
        raise Redirect(request.link("jobs", Query.parse(view.filter)))

    return Page("views/{view_id:int}", "jobs.html", load, section="jobs")


def saved_view_actions(views: SavedViews) -> list[Action]:
    """The actions `views/save`, with the fields `view_name`, `shared` and `filter`, and `views/remove` with `view`."""

    async def save(request: ActionRequest) -> Done:
        name = " ".join(storable_text(request.form.get("view_name", "")).split())
        fields = _kept(Query.parse(request.form.get("filter", "")))
        if not 0 < len(name) <= _MAX_NAME:
            raise ActionRefused(t("Enter a name of 1 to {most} characters for the view.", most=_MAX_NAME))
        if not str(fields):
            raise ActionRefused(t("Filter the list first: a view stores its filters."))
        if len(str(fields)) > _MAX_FILTER:
            raise ActionRefused(t("These filters are too long for a view."))
        is_shared = request.form.get("shared", "") in ("yes", "true")
        view = await views.save(request.viewer.name, name, fields, is_shared=is_shared)
        if view is None:
            raise ActionRefused(t("You have {most} views. Remove one first.", most=_MAX_VIEWS))
        return Done(t("Saved the view {name}.", name=name), f"view {view.id}: {name}", lead_to=f"jobs?{fields}")

    async def remove(request: ActionRequest) -> Done:
        ids = request.form.numbers("view")
        view = await views.remove(request.viewer.name, ids[0]) if len(ids) == 1 else None
        if view is None:
            raise ActionRefused(t("You have no such view."))
        return Done(t("Removed the view {name}.", name=view.name), f"view {view.id}: {view.name}")

    return [Action("views/save", "Save view", save), Action("views/remove", "Remove view", remove)]


def _kept(fields: Query) -> Query:
    return Query([(name, value) for name, value in fields.items() if name in _KEPT])
