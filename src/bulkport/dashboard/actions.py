"""What operators can do, and the one way in which all of it is done: checked, carried out, audited, told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bulkport.dashboard.access.viewers import Viewer
from bulkport.dashboard.flash import Flash
from bulkport.errors import BulkportError

logger = logging.getLogger(__name__)

MAX_TARGET_CHARACTERS: Final = 500
_MAX_OUTCOME_CHARACTERS: Final = 1000


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
    """Who asks for an action, and with what."""

    viewer: Viewer
    form: Form


@dataclass(frozen=True, slots=True)
class Done:
    """What an action came to."""

    text: str
    """As the operator reads it: `12 requeued, 1 had already run.`"""
    target: str
    """What it was done to, as the audit has it: `job 17`, `jobs 1, 2 and 10 more`."""
    is_good: bool = True
    lead_to: str | None = None
    """Address relative to the dashboard to go on at; None: where the operator came from."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that operators can do."""

    name: str
    """In the address of its form: `jobs/requeue`."""
    label: str
    """On its button: `Requeue`."""
    run: Callable[[ActionRequest], Awaitable[Done]]
    """Does it. Must come to the same when it is done twice. Raises `ActionRefused`."""
    question: Callable[[ActionRequest], Awaitable[str | None]] | None = None
    """What is asked before it is done, with numbers; if that is None, it is done at once."""


class Audit(Protocol):
    """Where it is kept what operators did."""

    async def record(self, actor: str, action: str, target: str, outcome: str) -> None:
        """Keep one entry. Raises if it cannot be kept."""
        ...


async def perform(action: Action, request: ActionRequest, audit: Audit) -> tuple[Done, Flash]:
    """Do it, keep an entry in the audit whatever came of it, and say what was done.

    Raises
    ------
    PermissionError
        If the viewer is no operator.
    """
    if not request.viewer.is_operator:
        raise PermissionError
    try:
        done = await action.run(request)
    except ActionRefused as error:
        done = Done(error.detail, target=_asked_for(request.form), is_good=False)
    except Exception:
        await _try_to_record(audit, request, action, "failed; a part of it may be done")
        raise
    except asyncio.CancelledError:
        # The server stops. What many jobs were meant by is done page by page, so that some of it may stay.
        await _try_to_record(audit, request, action, "interrupted; a part of it may be done")
        raise
    await audit.record(
        request.viewer.name, action.name, done.target[:MAX_TARGET_CHARACTERS], done.text[:_MAX_OUTCOME_CHARACTERS]
    )
    return done, Flash(done.text, done.is_good)


async def _try_to_record(audit: Audit, request: ActionRequest, action: Action, outcome: str) -> None:
    try:
        await audit.record(request.viewer.name, action.name, _asked_for(request.form), outcome)
    except Exception:
        logger.exception("%s of %s is not in the audit", action.name, request.viewer.name)


def _asked_for(form: Form) -> str:
    """What a form names, for an action that could not say it itself."""
    own = ("csrf", "confirmed", "back")
    return ", ".join(f"{name}={value}" for name, value in form.fields() if name not in own)[:MAX_TARGET_CHARACTERS]
