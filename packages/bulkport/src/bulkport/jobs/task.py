"""Declared tasks: a function with its name and options, and calls of it that can be enqueued."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from bulkport.identifiers import AnyUserId, with_text_id
from bulkport.jobs.arguments import TaskArguments
from bulkport.jobs.context import FailureHook, JobContext, RunSettings, TaskDefinition
from bulkport.jobs.errors import TaskDeclarationError
from bulkport.jobs.job import DEFAULT_QUEUE, JSONValue
from bulkport.jobs.port.queueing import is_integer, require_queue_name, require_task_name
from bulkport.jobs.retry import RetryPolicy
from bulkport.jobs.threads import RunLimits, TaskThreads, run_in_thread, run_on_loop

P = ParamSpec("P")
R = TypeVar("R")

_MOST_KEY_LENGTH: Final = 500
"""In characters; PostgreSQL indexes no text much longer."""
_MOST_TAGS: Final = 10
_MOST_SECONDS: Final = 366 * 86_400.0


def require_key(name: str, value: str) -> None:
    """Reject a key or a user id that cannot be stored; `name` is for the message.

    Raises
    ------
    ValueError
        It is not text, empty, too long or not printable.
    """
    if not (isinstance(value, str) and value.isprintable() and 0 < len(value) <= _MOST_KEY_LENGTH):
        raise ValueError(f"{name} is text of 1 to {_MOST_KEY_LENGTH} printable characters: {value!r:.80}")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options of a job.

    Raises
    ------
    ValueError
        An option cannot be used.
    """

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    """Higher priorities run first; equal ones in order."""
    unique_key: str | None = None
    """Of the jobs with one unique key, only one waits at a time; it is free again as soon as that one starts."""
    unique_for: float | None = None
    """Seconds for which the unique key stays taken, whatever becomes of the job: what is enqueued again and again
    within them runs once. Needs a unique key."""
    concurrency_key: str | None = None
    """Of the jobs with one concurrency key, at most `concurrency_limit` run concurrently."""
    concurrency_limit: int = 1
    rate_limit: int | None = None
    """Of the jobs with one rate key, so many start in `rate_seconds`; those beyond wait for their time. A token bucket:
    after a pause as many may start at once."""
    rate_seconds: float = 60.0
    rate_key: str | None = None
    """None: that of the task, its name."""
    user_id: str | None = None
    """For whom the job works; jobs can be searched by it. A UUID or an integer becomes text."""
    tags: Sequence[str] = ()
    """Words to find and count jobs by, such as `("tenant:acme", "nightly")`; at most 10."""

    def __post_init__(self) -> None:
        require_queue_name(self.queue)
        if isinstance(self.tags, str) or len(self.tags) > _MOST_TAGS:
            raise ValueError(f"tags are a sequence of at most {_MOST_TAGS} texts: {self.tags!r:.80}")
        object.__setattr__(self, "user_id", with_text_id(self.user_id))
        for tag in self.tags:
            require_key("a tag", tag)
        object.__setattr__(self, "tags", tuple(self.tags))
        for name in ("unique_key", "concurrency_key", "rate_key", "user_id"):
            value = getattr(self, name)
            if value is not None:
                require_key(name, value)
        if not is_integer(self.priority):
            raise ValueError(f"a priority is a 32-bit integer: {self.priority}")
        if not is_integer(self.concurrency_limit) or self.concurrency_limit < 1:
            raise ValueError(f"a concurrency limit is at least 1: {self.concurrency_limit}")
        if self.rate_limit is not None and (not is_integer(self.rate_limit) or self.rate_limit < 1):
            raise ValueError(f"a rate limit is at least 1: {self.rate_limit}")
        if not 0 < self.rate_seconds <= _MOST_SECONDS:
            raise ValueError(f"a rate limit is for some seconds, at most a year: {self.rate_seconds}")
        if self.unique_for is not None and not 0 < self.unique_for <= _MOST_SECONDS:
            raise ValueError(f"unique_for is a number of seconds, at most a year: {self.unique_for}")


class DeclaredOptions(TypedDict, total=False):
    """Options that a declaration and a call may have; see `JobOptions`."""

    queue: str
    priority: int
    unique_for: float | None
    concurrency_key: str | None
    concurrency_limit: int
    rate_limit: int | None
    rate_seconds: float
    rate_key: str | None
    tags: Sequence[str]


class OptionChanges(DeclaredOptions, total=False):
    """Options to change; see `JobOptions`."""

    unique_key: str | None
    user_id: AnyUserId | None


@dataclass(frozen=True, slots=True)
class JobCall:
    """A call of a task, its arguments checked, that can be enqueued any number of times."""

    task: str
    args: Mapping[str, JSONValue]
    options: JobOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings(RunSettings):
    """What a declaration says about the task, and how its jobs run.

    Raises
    ------
    ValueError
        A setting cannot be used.
    """

    name: str | None = None
    """By which stored jobs refer to it; None: module and qualified name of the function. Named, it can be moved."""
    timeout_seconds: float | None = None
    """A run that takes longer is cancelled, and the attempt has failed with `TimeoutError`; None: no limit."""

    def __post_init__(self) -> None:
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            raise ValueError(f"a run cannot end within {self.timeout_seconds} s")


class DeclarationOptions(DeclaredOptions, total=False):
    """What a task's declaration may say; see `TaskSettings`."""

    name: str
    retry: RetryPolicy
    timeout_seconds: float | None
    cancel_grace_seconds: float
    max_result_bytes: int
    is_heavy: bool
    on_failure: FailureHook | None


_SETTINGS: Final = frozenset(each.name for each in fields(TaskSettings))
_DECLARED_JOB_OPTIONS: Final = DeclarationOptions.__optional_keys__ - _SETTINGS


class Task(Generic[P, R]):
    """A declared task.

    Its calls are typed like the function, without the `JobContext` if that is the first parameter; one elsewhere is
    filled in as well, but type checkers ask callers for it.

    Parameters
    ----------
    function
        What its jobs run, in a thread unless it is a coroutine function.
    settings
        How they run.
    options
        How they are queued, unless a call says otherwise.

    Raises
    ------
    TaskDeclarationError
        It cannot work.
    """

    def __init__(self, function: Callable[..., R], settings: TaskSettings, options: JobOptions) -> None:
        self.function = function
        self.settings = settings
        self.job_options = options
        self.name = settings.name or _name_of(function)
        try:
            require_task_name(self.name)
        except ValueError as error:
            raise TaskDeclarationError(str(error)) from None
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TaskDeclarationError(f"task {self.name}: a function that yields is not run by being called")
        self._arguments = TaskArguments(function, self.name)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def call(self, *args: P.args, **kwargs: P.kwargs) -> JobCall:
        """A call that can be enqueued.

        Raises
        ------
        ArgumentsDoNotFit
            Naming each argument that is missing, unknown or of the wrong type.
        """
        return JobCall(self.name, self._arguments.to_stored(args, kwargs), self.job_options)

    def options(self, **changes: Unpack[OptionChanges]) -> "Task[P, R]":
        """The same task with other options for its calls; see `JobOptions`.

        Raises
        ------
        ValueError
            An option cannot be used.
        """
        changed: Task[P, R] = object.__new__(type(self))
        options: Any = changes
        changed.__dict__ = self.__dict__ | {"job_options": replace(self.job_options, **options)}
        return changed

    def definition(self, threads: TaskThreads) -> TaskDefinition:
        """The task as a worker's engine knows it.

        Parameters
        ----------
        threads
            Where a sync function runs.
        """
        settings, function, arguments = self.settings, self.function, self._arguments
        limits = RunLimits(settings.timeout_seconds, settings.cancel_grace_seconds)
        is_async = inspect.iscoroutinefunction(function)

        async def run(context: JobContext, /, **stored: JSONValue) -> Any:
            typed = arguments.from_stored(stored)

            def call(limited: JobContext) -> Any:
                return arguments.call(function, typed, limited)

            if is_async:
                return await run_on_loop(call, context, limits)
            return await run_in_thread(call, context, limits, threads)

        shared: dict[str, Any] = {each.name: getattr(settings, each.name) for each in fields(RunSettings)}
        return TaskDefinition(self.name, run, **shared)


def declared_task(function: Callable[..., R], options: Mapping[str, Any]) -> Task[..., R]:
    """The task of a function, as its declaration says; `options` are those of `DeclarationOptions`.

    Raises
    ------
    TaskDeclarationError
        There is a parameter that no job could fill, or an unknown option.
    ValueError
        An option cannot be used.
    """
    given = dict(options)
    settings = {name: given.pop(name) for name in _SETTINGS if name in given}
    if unknown := given.keys() - _DECLARED_JOB_OPTIONS:
        raise TaskDeclarationError(f"a task's declaration has no {', '.join(sorted(unknown))}=")
    return Task(function, TaskSettings(**settings), JobOptions(**given))


class TaskDecorator(Protocol):
    """Makes a task of a function."""

    @overload
    def __call__(self, function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


def _name_of(function: Callable[..., Any]) -> str:
    try:
        return f"{_module_of(function)}.{function.__qualname__}"
    except AttributeError:
        raise TaskDeclarationError(f"{function!r} has no name of its own: give the task one with name=") from None


def _module_of(function: Callable[..., Any]) -> str:
    """The module under whose name others import the function: a worker started as a script must know their jobs."""
    if function.__module__ != "__main__":
        return function.__module__
    script = sys.modules["__main__"]
    spec, path = getattr(script, "__spec__", None), getattr(script, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return "__main__" if path is None else Path(path).stem
