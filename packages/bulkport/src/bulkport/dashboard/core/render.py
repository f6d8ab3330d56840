"""From templates to pages and to the fragments of pages that are sent live."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape as escape_html
from typing import Any, Final

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bulkport.dashboard.core import formatting
from bulkport.dashboard.core.charts import Series, band, bars, lines, sparkline
from bulkport.dashboard.core.page import Counts, PageRequest, Search, Section
from bulkport.dashboard.core.static_files import StaticFiles

FRAGMENT_PREFIX: Final = "live_"

# Relative times are kept up to date by the browser: that they differ is no change of the fragment.
_TICKING: Final = re.compile(r"(<time\b[^>]*\bdata-tick\b[^>]*>)[^<]*")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a page that is rendered again while somebody watches."""

    name: str
    html: str

    @property
    def version(self) -> str:
        """What the content is told from another by; equal for contents that differ in relative times alone."""
        return hashlib.blake2b(_TICKING.sub(r"\1", self.html).encode(), digest_size=12).hexdigest()


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
    """

    def __init__(
        self,
        title: str,
        sections: Sequence[Section],
        search: Search | None,
        static_files: StaticFiles,
        loaders: Sequence[BaseLoader] = (),
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
            "static": static_files.address,
            "line_chart": lines,
            "bar_chart": bars,
            "sparkline": sparkline,
            "band": band,
            "chart_rows": chart_rows,
            "fragment": _fragment_mark,
            "ago": ago,
            "running_for": running_for,
            "number_of": formatting.plural,
            "as_number": formatting.number,
            "as_duration": formatting.duration,
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


def _fragment_mark(name: str) -> Markup:
    return Markup(' data-fragment="{}"').format(FRAGMENT_PREFIX + name)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "number": formatting.number,
    "short_number": formatting.short_number,
    "duration": formatting.duration,
    "bytes": formatting.size,
    "exact": formatting.exact,
    "machine_time": formatting.machine_time,
    "relative": formatting.relative,
    "percent": formatting.percent,
    "plural": formatting.plural,
}
