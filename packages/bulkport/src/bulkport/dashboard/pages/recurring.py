"""The recurring jobs: when they are due, how the last one went; and what operators do to them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.component import Component
from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.core.page import Page, PageRequest, Section
from bulkport.dashboard.core.table import Paging
from bulkport.dashboard.pages.managed_jobs import ManagedJobs
from bulkport.errors import BadRequest
from bulkport.jobs.recurring.errors import UnknownRecurringJob

_FIELD = "recurring"
_MOST_ID_LENGTH = 200


def recurring_component(jobs: ManagedJobs, masking: Masking) -> Component:
    """The page, and the actions `recurring/trigger`, `pause`, `resume` and `remove` for the one that the field
    `recurring` names.

    Parameters
    ----------
    masking:
        Hides arguments.
    """

    async def load(request: PageRequest) -> Mapping[str, Any]:
        size = Paging.size_of(request)
        text, after = request.query.get("text") or None, request.query.get("cursor") or None
        if "\0" in f"{text}{after}":
            raise BadRequest("No recurring job has such a character in its name.")
        # One more than is shown tells whether there is a next page.
        found = await jobs.recurring.list(text, after=after, limit=size + 1)
        shown = found[:size]
        return {
            "recurring": shown,
            "arguments": {one.id: masking.apply(one.definition.args) for one in shown},
            "paging": Paging(size, shown[-1].id if len(found) > size else None),
        }

    return Component(
        section=Section("recurring", "Recurring", "recurring", "recurring"),
        pages=[Page("recurring", "recurring.html", load, section="recurring")],
        actions=[
            _action("trigger", "Run now", _trigger(jobs)),
            _action("pause", "Pause", _pause(jobs)),
            _action("resume", "Resume", _resume(jobs)),
            _action("remove", "Remove", _remove(jobs), _remove_question),
        ],
    )


Steer = Callable[[str], Awaitable[Done]]
"""Does something to the recurring job of an id."""


def _action(
    name: str, label: str, steer: Steer, question: Callable[[ActionRequest], Awaitable[str]] | None = None
) -> Action:
    async def run(request: ActionRequest) -> Done:
        recurring_id = _id(request)
        try:
            return await steer(recurring_id)
        except UnknownRecurringJob:
            raise ActionRefused(f"There is no recurring job {recurring_id} any more.") from None

    return Action(f"recurring/{name}", label, run, question)


def _trigger(jobs: ManagedJobs) -> Steer:
    async def trigger(recurring_id: str) -> Done:
        job_id = await jobs.recurring.trigger(recurring_id)
        return Done(f"{recurring_id} runs now, as job {job_id}.", _target(recurring_id), lead_to=f"jobs/{job_id}")

    return trigger


def _pause(jobs: ManagedJobs) -> Steer:
    async def pause(recurring_id: str) -> Done:
        await jobs.recurring.pause(recurring_id)
        return Done(f"{recurring_id} is paused.", _target(recurring_id))

    return pause


def _resume(jobs: ManagedJobs) -> Steer:
    async def resume(recurring_id: str) -> Done:
        await jobs.recurring.resume(recurring_id)
        return Done(f"{recurring_id} goes on with its next tick.", _target(recurring_id))

    return resume


def _remove(jobs: ManagedJobs) -> Steer:
    async def remove(recurring_id: str) -> Done:
        is_gone = await jobs.recurring.remove(recurring_id)
        text = f"{recurring_id} is removed." if is_gone else f"{recurring_id} had already been removed."
        return Done(text, _target(recurring_id))

    return remove


async def _remove_question(request: ActionRequest) -> str:
    return f"Remove {_id(request)}? Its jobs stay."


def _id(request: ActionRequest) -> str:
    recurring_id = request.form.get(_FIELD, "")
    if not 0 < len(recurring_id) <= _MOST_ID_LENGTH or not recurring_id.isprintable():
        raise ActionRefused("No recurring job was named.")
    return recurring_id


def _target(recurring_id: str) -> str:
    return f"recurring job {recurring_id}"
