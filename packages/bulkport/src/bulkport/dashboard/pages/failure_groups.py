"""Groups failures by task, error type and message without its variable parts."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bulkport.dashboard.core.page import Query
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobSummary
from bulkport.jobs.port.query import MOST_JOBS_A_PAGE, JobQuery, JobSort

_VARYING: Final = re.compile(
    r"""[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}   # a UUID
    | \b0x[0-9a-f]+\b | \b(?=[a-z]*\d)[0-9a-f]{8,}\b   # an address, a hash
    | '[^']*' | "[^"]*"                              # something quoted
    | \d+(?:[.,:]\d+)*                                # a number, a time, an address of a host
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAME: Final = re.compile(r"(['\"])[a-z_]+\1")
_GAP: Final = "…"
_GAPS: Final = re.compile(r"…(?:[\s,:;.()=]*…)+")
_TREND_STEPS: Final = 12
_MESSAGE_CHARACTERS: Final = 300
_MIN_FRAGMENT: Final = 4
SAMPLE: Final = MOST_JOBS_A_PAGE
"""Failed jobs that are grouped: the latest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed jobs that are alike."""

    task: str
    error_type: str
    message: str
    """The first line with variable parts replaced by an ellipsis."""
    jobs: int
    first_at: datetime
    last_at: datetime
    last_job: str
    """Id of the latest one."""
    trend: Sequence[int]
    """Jobs by time, from the earliest failure of all groups to the latest."""
    query: Query
    """Of the list of jobs that are in the group."""
    is_muted: bool = False
    """Whether an operator has muted it."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the group: task, error type and message."""
        return self.task, self.error_type, self.message


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """The groups, the largest first."""

    groups: Sequence[FailureGroup]
    grouped: int
    """Failed jobs that were grouped."""
    is_sample: bool
    """There are more failed jobs, which ended earlier."""

    @property
    def loud(self) -> Sequence[FailureGroup]:
        """Those that are not muted."""
        return [group for group in self.groups if not group.is_muted]


async def read_failure_groups(jobs: InspectCalls, muted: Collection[tuple[str, str, str]] = ()) -> FailureGroups:
    """Group the latest failed jobs; those of the muted groups come last."""
    page = await jobs.search(JobQuery(states={JobState.FAILED}, sort=JobSort.FINISHED), limit=SAMPLE)
    groups = [replace(group, is_muted=group.key in muted) for group in group_failures(page.items)]
    groups.sort(key=lambda group: group.is_muted)
    return FailureGroups(groups, len(page.items), page.next_cursor is not None)


def group_failures(failed: Sequence[JobSummary]) -> list[FailureGroup]:
    """The groups of failed jobs, the largest first, among equals the latest."""
    by_key: dict[tuple[str, str, str], list[JobSummary]] = {}
    for job in failed:
        by_key.setdefault((job.task, job.error_type or "", normalised(job.error or "")), []).append(job)
    if not by_key:
        return []
    times = [_at(job) for job in failed]
    earliest, latest = min(times), max(times)
    groups = [_group(key, members, earliest, latest) for key, members in by_key.items()]
    return sorted(groups, key=lambda group: (group.jobs, group.last_at), reverse=True)


def normalised(message: str) -> str:
    """The first line of an error's message with variable parts replaced by an ellipsis.

    Numbers, ids and quoted values vary; a quoted name in lower case, such as `'order_id'`, distinguishes errors.
    """
    line = message.strip().partition("\n")[0]
    return _GAPS.sub(_GAP, _VARYING.sub(lambda found: found[0] if _NAME.fullmatch(found[0]) else _GAP, line))[
        :_MESSAGE_CHARACTERS
    ]


def _group(
    key: tuple[str, str, str], members: Sequence[JobSummary], earliest: datetime, latest: datetime
) -> FailureGroup:
    task, error_type, message = key
    latest_member = max(members, key=_at)
    return FailureGroup(
        task=task,
        error_type=error_type,
        message=message,
        jobs=len(members),
        first_at=min(_at(job) for job in members),
        last_at=_at(latest_member),
        last_job=str(latest_member.id),
        trend=_trend((_at(job) for job in members), earliest, latest),
        query=Query(
            [("state", "failed"), ("task", task), ("error", error_type), ("text", _searchable(message))],
        ),
    )


def _searchable(message: str) -> str:
    """The longest part of a message that all failures of its group have, for a search; empty if all are short."""
    longest = max((part.strip() for part in message.split(_GAP)), key=len)
    return longest[:100].strip() if len(longest) >= _MIN_FRAGMENT else ""


def _trend(times: Iterable[datetime], earliest: datetime, latest: datetime) -> list[int]:
    seconds = (latest - earliest).total_seconds()
    counts = [0] * _TREND_STEPS
    for at in times:
        share = (at - earliest).total_seconds() / seconds if seconds else 1.0
        counts[min(_TREND_STEPS - 1, int(share * _TREND_STEPS))] += 1
    return counts


def _at(job: JobSummary) -> datetime:
    return job.finished_at or job.created_at
