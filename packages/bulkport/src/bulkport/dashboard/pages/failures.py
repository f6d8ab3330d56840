"""The failures page: failures grouped by task, error and message, with actions on a whole group."""

import json
from collections.abc import Mapping
from typing import Any, Final

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.core.table import Column
from bulkport.dashboard.pages.failure_groups import SAMPLE, FailureGroups, read_failure_groups
from bulkport.dashboard.pages.muted_failures import FailureKey, MutedFailures
from bulkport.jobs.inspect import InspectCalls
from bulkport.jobs.job import JobState

_COLUMNS: Final = (
    Column("Error"),
    Column("Jobs", is_number=True),
    Column("Trend", is_minor=True),
    Column("First", is_number=True, is_minor=True),
    Column("Last", is_number=True),
    Column(""),
)
_CACHE_SECONDS: Final = 2.0


def failures_component(jobs: InspectCalls, muted: MutedFailures) -> Component:
    """The page, and the actions `failures/mute` and `failures/unmute`; its other buttons are those of `jobs_component`.

    Their forms have the field `failure`: task, error type and message of a group as a JSON array.
    """

    async def read(_: None) -> FailureGroups:
        return await read_failure_groups(jobs, await muted.keys())

    cache = TTLCache(read, seconds=_CACHE_SECONDS)

    async def load(request: PageRequest) -> Mapping[str, Any]:
        text = request.query.get("text").lower()
        found = await cache.get(None)
        shows_muted = request.query.get("muted") == "yes"
        return {
            "found": found,
            "groups": [
                group
                for group in (found.groups if shows_muted else found.loud)
                if text in f"{group.task} {group.error_type}: {group.message}".lower()
            ],
            "muted_count": len(found.groups) - len(found.loud),
            "shows_muted": shows_muted,
            "columns": _COLUMNS,
            "sample": SAMPLE,
        }

    async def mute(request: ActionRequest) -> Done:
        key = _key(request)
        await muted.mute(key, request.viewer.name)
        cache.clear()
        return Done(
            t("Muted {error}. New failures of this kind no longer appear on the overview.", error=_name(key)),
            _name(key),
        )

    async def unmute(request: ActionRequest) -> Done:
        key = _key(request)
        await muted.unmute(key)
        cache.clear()
        return Done(t("Unmuted {error}.", error=_name(key)), _name(key))

    return Component(
        section=Section("failures", "Failures", "failures", JobState.FAILED.value, is_alarming=True),
        pages=[Page("failures", "failures.html", load, section="failures", follows_counts=True)],
        actions=[
            Action("failures/mute", "Mute error", mute),
            Action("failures/unmute", "Unmute error", unmute),
        ],
    )


def _key(request: ActionRequest) -> FailureKey:
    try:
        task, error_type, message = json.loads(request.form.get("failure", ""))
    except (ValueError, TypeError, RecursionError):
        raise ActionRefused(t("No error selected.")) from None
    if not all(isinstance(part, str) and "\0" not in part for part in (task, error_type, message)):
        raise ActionRefused(t("No error selected."))
    return task, error_type, message


def _name(key: FailureKey) -> str:
    return f"{key[0]}: {key[1] or key[2]}"
