"""Actions of operators and how each is performed: checked, carried out, audited and reported."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bulkport.dashboard.core.flash import Flash
from bulkport.dashboard.core.language import english, t
from bulkport.dashboard.core.viewer import Viewer
from bulkport.errors import BulkportError

logger = logging.getLogger(__name__)

MAX_TARGET_CHARACTERS: Final = 500
_MAX_OUTCOME_CHARACTERS: Final = 1000
_SECONDS_FOR_THE_FIRST: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_NOT_ASKED_FOR: Final = ("csrf", "confirmed", "back", "again")


class Form(Mapping[str, str]):
    """The fields of a form that was sent."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._fields = tuple(fields)

    def __getitem__(self, name: str) -> str:
        for key, value in self._fields:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._fields))

    def __len__(self) -> int:
        return len(dict(self._fields))

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self._fields if key == name]

    def numbers(self, name: str = "id") -> list[int]:
        """All values of a field that are numbers, such as the ids of chosen rows."""
        return [int(value) for value in self.all(name) if value.isascii() and value.isdecimal() and len(value) < 19]

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Every field, in order."""
        return self._fields


class ActionRefused(BulkportError):
    """The action cannot be carried out."""

    status = 409
    title = "Not possible"


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """The viewer who requests an action, and the form."""

    viewer: Viewer
    form: Form
    entry_id: int | None = None
    """From the audit entry of the finished operation."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an action."""

    text: str
    """As the operator reads it: `12 jobs requeued.`"""
    target: str
    """What it was done to, as the audit has it: `job 17`, `jobs 1, 2 and 10 more`."""
    is_good: bool = True
    lead_to: str | None = None
    """Address relative to the dashboard to go on at; None: where the operator came from."""
    status: int | None = None
    """Of the answer to a program if it is not good; None: that of the command."""
    is_shown_there: bool = False
    """Whether the page there shows by itself what was done."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that operators can do."""

    name: str
    """In the address of its form: `jobs/requeue`."""
    label: str
    """On its button, verb and object: `Requeue jobs`."""
    run: Callable[[ActionRequest], Awaitable[Done]]
    """Does it. Must come to the same when another form asks for it again. Raises `ActionRefused`."""
    question: Callable[[ActionRequest], Awaitable[str | None]] | None = None
    """The question before it is done, with numbers; without one it is done at once."""
    asks_for_note: bool = False
    """Whether its question has a field `note` for a reason; see `Form`."""
    is_audited: bool = True
    """Whether it has its own audit entry, instead of being part of another."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An entry of the audit about something that begins."""

    entry_id: int
    is_new: bool
    """False: the same form began it before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an action in the audit log."""

    text: str | None
    """None: it is under way, or was broken off."""
    led_to: str | None = None
    """The page with details, relative to the dashboard."""


class Audit(Protocol):
    """Where it is kept what operators did."""

    async def begin(self, actor: str, action: str, target: str, form: str) -> Begun:
        """Keep that something begins, unless `form` has begun it before. Raises if it cannot be kept."""
        ...

    async def settle(self, entry_id: int, target: str, outcome: Outcome) -> None:
        """Record the result; the target stays unless another is given."""
        ...

    async def break_off(self, entry_id: int, why: str) -> None:
        """Record that the action did not finish, after its known result."""
        ...

    async def outcome(self, entry_id: int) -> Outcome:
        """The result so far."""
        ...


async def perform(action: Action, request: ActionRequest, audit: Audit) -> tuple[Done, Flash | None]:
    """Perform the action, audit it whatever the result, and report it.

    A form sent twice, as by a double click without JavaScript, acts once: the second time shows the result of
    the first.

    Raises
    ------
    PermissionError
        If the viewer may not do it.
    """
    if not request.viewer.may(action.name):
        raise PermissionError
    done = await (_run_audited(action, request, audit) if action.is_audited else _run(action, request))
    return done, None if done.is_shown_there else Flash(done.text, done.is_good)


async def _run(action: Action, request: ActionRequest) -> Done:
    try:
        return await action.run(request)
    except ActionRefused as error:
        return Done(error.detail, target=_asked_for(request.form), is_good=False)


async def _run_audited(action: Action, request: ActionRequest, audit: Audit) -> Done:
    form = _identity(action, request)
    begun = await audit.begin(request.viewer.name, action.name, _asked_for(request.form), form)
    if not begun.is_new:
        return await _done_before(audit, begun.entry_id)
    try:
        done = await _run(action, replace(request, entry_id=begun.entry_id))
    except Exception:
        await _try_to_break_off(audit, begun.entry_id, "failed; some of it may be done")
        raise
    except asyncio.CancelledError:
        # The server is stopping. Bulk operations commit page by page, so a part may already be done.
        await _try_to_break_off(audit, begun.entry_id, "interrupted; some of it may be done")
        raise
    outcome = Outcome(english(done.text)[:_MAX_OUTCOME_CHARACTERS], done.lead_to)
    await audit.settle(begun.entry_id, english(done.target)[:MAX_TARGET_CHARACTERS], outcome)
    return done


async def _done_before(audit: Audit, entry_id: int) -> Done:
    """What the form did when it was sent first, which may be just now."""
    outcome = await audit.outcome(entry_id)
    looks = int(_SECONDS_FOR_THE_FIRST / _LOOK_SECONDS)
    while outcome.text is None and looks:
        looks -= 1
        await asyncio.sleep(_LOOK_SECONDS)
        outcome = await audit.outcome(entry_id)
    if outcome.text is None:
        return Done(
            t("This was sent before and is still running. See the audit for its result."), target="", is_good=False
        )
    return Done(t("Already done: {result}", result=outcome.text), target="", lead_to=outcome.led_to)


async def _try_to_break_off(audit: Audit, entry_id: int, why: str) -> None:
    try:
        await audit.break_off(entry_id, why)
    except Exception:
        logger.exception("audit entry %d was not updated: it %s", entry_id, why)


def _identity(action: Action, request: ActionRequest) -> str:
    """What distinguishes a form from every other one: every page has a CSRF token of its own."""
    sent = json.dumps([request.viewer.name, action.name, request.form.fields()])
    return hashlib.sha256(sent.encode("utf-8", "surrogatepass")).hexdigest()


def _asked_for(form: Form) -> str:
    """What a form names, for an action that could not say it itself."""
    fields = (f"{name}={value}" for name, value in form.fields() if name not in _NOT_ASKED_FOR)
    return ", ".join(fields)[:MAX_TARGET_CHARACTERS]
