"""What a page of the dashboard is made of.

A page is a path, a template and a function that loads what the template shows::

    async def load(request: PageRequest) -> Mapping[str, Any]:
        return {"server": await reader.server(request.params["name"])}

    Page("servers/{name}", "server.html", load, section="servers")

Template blocks named `live_…` are its fragments: they are rendered every `Page.every` seconds for everyone who watches
the page, and sent where they changed. So `load` depends on nothing but the request, which holds the viewer's role and
language but not who they are.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import Response

from bulkport.dashboard.core.viewer import Role, Viewer, may

MAX_QUERY_FIELDS: Final = 100
_OF_SELECTED: Final = ("jobs/requeue", "jobs/run-now", "jobs/cancel", "jobs/delete")


class PageNotFound(Exception):
    """There is no page at this address; the message says what is missing."""


class Redirect(Exception):  # not an error
    """The page is at another address, relative to this page."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class Query:
    """The query of a page's address: every filter, sort and cursor is kept there.

    Fields without a value are left out, and order makes no difference, so that two addresses of the same thing are one.
    """

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        self._fields = tuple(sorted((name, value) for name, value in fields if value))

    @classmethod
    def parse(cls, text: str) -> "Query":
        """From `state=failed&task=send_report`; more than 100 fields are cut off."""
        return cls([(name, value.strip()) for name, value in parse_qsl(text, separator="&")[:MAX_QUERY_FIELDS]])

    def get(self, name: str, default: str = "") -> str:
        """The value of a field, the first one if there are several."""
        return next((value for key, value in self._fields if key == name), default)

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self._fields if key == name]

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A field as a number within bounds; `default` where it is none."""
        text = self.get(name)
        return max(least, min(most, int(text))) if text.isdecimal() and len(text) < 20 else default

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """A field's value if it is one of `choices`, else `default`."""
        return value if (value := self.get(name)) in choices else default

    def with_(self, **changes: str | int | None) -> "Query":
        """The query with some fields replaced; None and "" remove one."""
        unchanged = [(name, value) for name, value in self._fields if name not in changes]
        return Query([*unchanged, *((name, str(value)) for name, value in changes.items() if value is not None)])

    def items(self, *, without: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Names and values, for hidden fields of a form."""
        return [(name, value) for name, value in self._fields if name not in without]

    def __str__(self) -> str:
        return urlencode(self._fields)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page request. Two equal requests show the same."""

    path: str
    """Relative to the dashboard, without a slash at either end; `""` is the first page."""
    params: Mapping[str, Any]
    """Path parameters."""
    query: Query
    role: Role
    language: str = "en"
    """Of the texts; see `bulkport.dashboard.core.language`."""
    actions: frozenset[str] | None = None
    """Those that the viewer is confined to; see `Viewer.actions`."""

    def may(self, action: str) -> bool:
        """Whether the viewer may carry out an action, so that its button is shown."""
        return may(self.role, self.actions, action)

    @property
    def may_pick(self) -> bool:
        """Whether the viewer may do something to selected jobs."""
        return any(map(self.may, _OF_SELECTED))

    @property
    def root(self) -> str:
        """The way from this page up to the dashboard: `./`, `../`, …

        All links are relative, so the dashboard works under any path, and behind a proxy that adds or removes a prefix
        without telling.
        """
        return "../" * self.path.count("/") or "./"

    def link(self, path: str = "", query: "Query | None" = None, /, **fields: str | int | None) -> str:
        """A link from this page to another of the dashboard: `link("jobs", state="failed")`."""
        if query is None and not fields:
            return self.root + quote(path)
        whole = (query or Query()).with_(**fields)
        text = str(whole)
        return self.root + quote(path) + (f"?{text}" if text else "")

    def here(self, /, **changes: str | int | None) -> str:
        """A link to this page with some fields of its query replaced."""
        return self.link(self.path, self.query, **changes)

    @property
    def address(self) -> str:
        """Path and query relative to the dashboard."""
        text = str(self.query)
        return quote(self.path) + (f"?{text}" if text else "")


Load = Callable[[PageRequest], Awaitable[Mapping[str, Any]]]
"""Gives a page's template its variables. Raises `PageNotFound`."""


LoadOwn = Callable[[PageRequest, Viewer], Awaitable[Mapping[str, Any]]]
"""Gives a page's template the variables of one viewer."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    path: str
    """Relative to the dashboard, with parameters as Starlette's routes have them: `jobs/{job_id:int}`."""
    template: str
    load: Load
    section: str
    """Key of the section it belongs to."""
    every: float = 1.0
    """Polling interval in seconds while somebody watches."""
    load_own: "LoadOwn | None" = None
    """Gives the template what belongs to one viewer, for use outside of its fragments."""
    follows_counts: bool = False
    """Whether what it shows hardly changes unless jobs run or the counts change: then it is looked at less often."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a page offers."""

    path: str
    """As of a page."""
    answer: Callable[[PageRequest], Awaitable[Response]]
    """Gives the file. Raises `PageNotFound`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a section's sidebar: a view of one of its pages."""

    label: str
    path: str
    fields: tuple[tuple[str, str], ...] = ()
    """Parameters that the query must have, or must not have if the value is ""."""
    count: str | None = None
    is_alarming: bool = False

    def is_current(self, request: PageRequest) -> bool:
        """Whether `request` is for this view."""
        is_below = not self.fields and request.path.startswith(f"{self.path}/")
        return is_below or (
            request.path == self.path and all(request.query.get(name) == value for name, value in self.fields)
        )


@dataclass(frozen=True, slots=True)
class Search:
    """The search field at the top."""

    path: str
    """The URL of the results page."""
    field: str
    """Of that page's query."""
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation at the top."""

    key: str
    label: str
    path: str
    """Of its first page."""
    count: str | None = None
    """Name of the count shown beside it; see `Counts`."""
    is_alarming: bool = False
    """Whether a count above zero calls for attention."""
    entries: tuple[Entry, ...] = ()
    """Its sidebar; without any it has none."""
    hint: str = ""
    """What the count counts, such as `{count} active jobs`."""
    is_in_footer: bool = False
    """Whether it is at the bottom of the page, beside who is signed in, and not at the top."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers that every page shows, in its navigation and its title."""

    by_name: Mapping[str, int] = field(default_factory=dict)
    """By job state (`enqueued`, `failed`, …) and by section (`imports`, `servers`, …)."""

    def get(self, name: str | None) -> int | None:
        """A count; None if it is not known."""
        return None if name is None else self.by_name.get(name)

    @property
    def tell_of_work(self) -> bool:
        """Whether jobs run now, so that there is news that no count shows, such as progress."""
        return bool(self.get("processing") or self.get("imports"))


CountsSource = Callable[[], Awaitable[Counts]]


async def no_counts() -> Counts:
    """For a dashboard that counts nothing."""
    return Counts()
