"""Renders templates to pages and to the fragments that are sent live."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from html import escape as escape_html
from typing import Any, Final

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bulkport.dashboard.core import formatting, language
from bulkport.dashboard.core.charts import Series, band, bars, lines, sparkline
from bulkport.dashboard.core.page import Counts, PageRequest, Search, Section
from bulkport.dashboard.core.several import exactly
from bulkport.dashboard.core.static_files import StaticFiles

FRAGMENT_PREFIX: Final = "live_"

_BROWSER_TEXTS: Final = {
    "ago": "{time} ago",
    "ahead": "in {time}",
    "now": "now",
    "live": "Live",
    "liveTitle": "Updates as things change. Press p to pause.",
    "paused": "Paused",
    "pausedTitle": "Updates are paused. Press p to resume.",
    "offline": "Offline",
    "offlineTitle": "Reconnecting… data from {time}",
    "stale": "Database unavailable: retrying",
    "staleTitle": "Data from {time}",
    "select": "Select jobs",
    "selected": "{count} selected",
    "newRows": "{count} new: show",
    "newRow": "1 new: show",
    "changes": "Show changes",
    "copied": "Copied",
    "theme": "Theme: {theme}",
    "changeTheme": "Change theme (now {theme})",
    "auto": "auto",
    "light": "light",
    "dark": "dark",
}
"""By the name that the script knows each text by."""

_ROW: Final = re.compile(r'<tr data-row id="(?P<id>[^"]*)">.*?</tr>', re.DOTALL)
# Relative times are kept up to date by the browser: that they differ is not a change of the fragment.
_TICKING: Final = re.compile(r"(<time\b[^>]*\bdata-tick\b[^>]*>)[^<]*")


@dataclass(frozen=True)
class Fragment:
    """A part of a page that is rendered again while somebody watches."""

    name: str
    html: str

    @cached_property
    def version(self) -> str:
        """Identifies the content; equal for contents that differ in relative times alone."""
        return _hash(self.html)

    @cached_property
    def rows(self) -> Mapping[str, str]:
        """The rows of its list by their ids, in order; empty for a fragment without a list."""
        return {found["id"]: found[0] for found in _ROW.finditer(self.html)}

    @cached_property
    def around(self) -> str:
        """Identifies the page around its rows."""
        return _hash(_ROW.sub("", self.html))

    def rows_changed_since(self, earlier: "Fragment") -> Mapping[str, str] | None:
        """The rows that differ from an earlier content, if nothing else does; None: something else does."""
        if not self.rows or not earlier.rows or self.around != earlier.around:
            return None
        return {
            name: html for name, html in self.rows.items() if _untimed(html) != _untimed(earlier.rows.get(name, ""))
        }


def _hash(html: str) -> str:
    return hashlib.blake2b(_untimed(html).encode(), digest_size=12).hexdigest()


def _untimed(html: str) -> str:
    return _TICKING.sub(r"\1", html)


class Renderer:
    """Renders the dashboard's templates.

    Parameters
    ----------
    title:
        Name of the application, shown at the top.
    sections:
        The navigation.
    loaders:
        Where further templates are, for pages of the application's own; they may extend `frame.html`.
    links:
        Addresses elsewhere that every page leads to, by their names.
    """

    def __init__(
        self,
        title: str,
        sections: Sequence[Section],
        search: Search | None,
        static_files: StaticFiles,
        loaders: Sequence[BaseLoader] = (),
        *,
        links: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader("bulkport.dashboard"), *loaders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {
            "title": title,
            "sections": sections,
            "search": search,
            "elsewhere": links or {},
            "static": static_files.address,
            "line_chart": lines,
            "bar_chart": bars,
            "sparkline": sparkline,
            "band": band,
            "chart_rows": chart_rows,
            "exactly": exactly,
            "fragment": _fragment_mark,
            "ago": ago,
            "running_for": running_for,
            "t": language.markup,
            "code": _code,
            "n": language.markup_n,
            "languages": language.LANGUAGES,
            "as_number": formatting.number,
            "as_duration": formatting.duration,
            "as_bytes": lambda value: formatting.size(None if value is None else int(value)),
            "texts": browser_texts,
        }
        self._environment.filters |= FILTERS

    def page(self, template: str, request: PageRequest, counts: Counts, variables: Mapping[str, Any]) -> str:
        """A whole page."""
        return self._environment.get_template(template).render(self._variables(request, counts, variables))

    def fragments(
        self, template: str, request: PageRequest, counts: Counts, variables: Mapping[str, Any]
    ) -> list[Fragment]:
        """The fragments of a page, as `page` would have them."""
        whole = self._environment.get_template(template)
        context = whole.new_context(self._variables(request, counts, variables))
        # Until its first output a template imports what its blocks use, and joins its blocks with its parents'.
        beginning = whole.root_render_func(context)
        next(beginning, None)
        return [
            Fragment(name, "".join(blocks[0](context)))
            for name, blocks in context.blocks.items()
            if name.startswith(FRAGMENT_PREFIX)
        ]

    def _variables(self, request: PageRequest, counts: Counts, variables: Mapping[str, Any]) -> dict[str, Any]:
        return {"request": request, "counts": counts, "now": datetime.now(UTC), **variables}


def ago(at: datetime | None) -> Markup | str:
    """`12 s ago` as a `<time>` with the exact time, which the browser keeps up to date."""
    return formatting.NOTHING if at is None else _time(at, "ago", formatting.relative(at, datetime.now(UTC)))


def running_for(since: datetime | None) -> Markup | str:
    """How long ago something began, as `21 s`, which the browser keeps up to date."""
    if since is None:
        return formatting.NOTHING
    return _time(since, "for", formatting.elapsed((datetime.now(UTC) - since).total_seconds()))


def browser_texts() -> str:
    """What the script says, in the language of the request, as JSON."""
    return json.dumps({name: language.translated(text) for name, text in _BROWSER_TEXTS.items()}, ensure_ascii=False)


def chart_rows(positions: Sequence[str], series: Sequence[Series], show: Callable[[float | None], str]) -> Markup:
    """The rows of the table behind a chart: hundreds, too many for a template to make in the time there is."""
    # Python's own escape: that of templates makes an object of each text.
    columns = [[f'<td class="n">{escape_html(show(value))}</td>' for value in one.values] for one in series]
    rows = (
        f'<tr><th scope="row">{escape_html(name)}</th>{"".join(cells)}</tr>'
        for name, *cells in zip(positions, *columns, strict=True)
    )
    return Markup("".join(rows))  # noqa: S704 # names and values are escaped


def _time(at: datetime, tick: str, text: str) -> Markup:
    # Nothing in it needs escaping, and long lists have several in each row.
    machine, exact = formatting.machine_and_exact_time(at)
    return Markup(f'<time datetime="{machine}" title="{exact}" data-tick="{tick}">{text}</time>')  # noqa: S704


def _code(text: str) -> Markup:
    """Text within a sentence that is code."""
    return Markup("<code>{}</code>").format(text)


def _fragment_mark(name: str, is_held: bool = False) -> Markup:
    """Marks the element of a fragment.

    Parameters
    ----------
    is_held
        Rows that come or go do not move those that are read; the viewer asks for them.
    """
    mark = Markup(' data-fragment="{}"').format(FRAGMENT_PREFIX + name)
    return mark + Markup(" data-hold") if is_held else mark


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "number": formatting.number,
    "short_number": formatting.short_number,
    "duration": formatting.duration,
    "elapsed": formatting.elapsed,
    "bytes": formatting.size,
    "exact": formatting.exact,
    "machine_time": formatting.machine_time,
    "minute": formatting.minute,
    "relative": formatting.relative,
    "percent": formatting.percent,
    "enumerated": enumerate,
    "json": lambda value: json.dumps(value, ensure_ascii=False, default=str),
}
