"""How jobs are shown: the application's own short texts and links in place of their arguments and results."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from bulkport.dashboard.core.masking import Masking
from bulkport.jobs.job import JSONValue
from bulkport.jobs.port.details import JobSummary

logger = logging.getLogger(__name__)

FormatArguments: TypeAlias = Callable[[JobSummary], str | None]
"""A short text in place of a job's arguments; None: as they are."""
FormatResult: TypeAlias = Callable[[JobSummary, JSONValue], str | None]
"""A short text about what a job returned; None: nothing."""
FormatLinks: TypeAlias = Callable[[JobSummary], Mapping[str, str] | None]
"""Addresses that a job's page leads to, by their labels."""

_MOST_CHARACTERS: Final = 200
_MOST_LINKS: Final = 10
_MOST_LABEL: Final = 60
_SAFE_ADDRESS: Final = re.compile(r"(?:https?://|/(?![/\\]))[^\s\\\x00-\x1f\x7f]{1,2000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFormat:
    """Functions that say how jobs are shown.

    They are given jobs with secrets masked, must be quick (lists call one for each row), and may return anything: what
    they return is shown as text, shortened, and never as HTML. One that raises is passed over, and the log says so.
    Jobs with arguments too long for a list are shown without them.

    Parameters
    ----------
    arguments
        In lists and in the title of a job's page: `lambda job: f"to {job.args['recipient']}"`.
    result
        On the page of a job, beside what it returned.
    links
        On the page of a job: `lambda job: {"Order": f"/orders/{job.args['order_id']}"}`. Addresses begin with `/`,
        `https://` or `http://`; others are left out.
    """

    arguments: FormatArguments | None = None
    result: FormatResult | None = None
    links: FormatLinks | None = None

    def arguments_of(self, job: JobSummary, masking: Masking) -> str:
        """What to show in place of a job's arguments; empty: the arguments."""
        return _text(self.arguments, _masked(job, masking)) if self.arguments and job.args is not None else ""

    def result_of(self, job: JobSummary, result: JSONValue, masking: Masking) -> str:
        """What to say of a job's result; empty: nothing."""
        return _text(self.result, _masked(job, masking), masking.apply(result)) if self.result else ""

    def links_of(self, job: JobSummary, masking: Masking) -> Sequence[tuple[str, str]]:
        """Labels and addresses."""
        if self.links is None or job.args is None:
            return ()
        found = _called(self.links, _masked(job, masking))
        if not isinstance(found, Mapping):
            return ()
        links = [(_line(label)[:_MOST_LABEL], address) for label, address in found.items()]
        return [(label, str.__str__(address)) for label, address in links if label and _is_safe(address)][:_MOST_LINKS]


AS_THEY_ARE: Final = JobFormat()
"""Arguments and results are shown as they are."""


def _masked(job: JobSummary, masking: Masking) -> JobSummary:
    args = masking.apply(job.args)
    return replace(job, args=args if isinstance(args, Mapping) else None)


def _text(function: Callable[..., Any], *arguments: Any) -> str:
    text = _line(_called(function, *arguments))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:
        # Whatever the application's function does: the page must come.
        logger.warning("a function that formats jobs raised an error", exc_info=True, extra={"job_id": arguments[0].id})
        return None


def _line(value: object) -> str:
    """A value as text on one line; plain text, whatever class of text it is."""
    return "" if value is None else " ".join(_printed(value).split())


def _printed(value: object) -> str:
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:
        return ""
    return "".join(each if each.isprintable() else " " for each in text[: 4 * _MOST_CHARACTERS])


def _is_safe(address: object) -> bool:
    return isinstance(address, str) and _SAFE_ADDRESS.fullmatch(address) is not None
