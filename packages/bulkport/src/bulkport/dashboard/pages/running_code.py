"""The code that a running job is in: its stack, and a profile of some seconds, on request of an operator."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Done
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Download, PageNotFound, PageRequest
from bulkport.dashboard.pages.tracebacks import Frame, Traceback, read_traceback
from bulkport.identifiers import MAX_BIGINT, BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.port.details import JobDetails, JobStack

PROFILE_SECONDS: Final = 10
_MOST_SECONDS: Final = 60
_MOST_FUNCTIONS: Final = 15
_PLACE: Final = re.compile(r"(?P<function>.*) \((?P<path>.*):(?P<line>\d{1,9})\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ProfiledFunction:
    """A function in a profile."""

    frame: Frame
    within: float
    """Part of the time in which it or what it calls was running or awaited."""
    alone: float
    """Part of the time in which it was the innermost frame."""


@dataclass(frozen=True, slots=True)
class RunningCode:
    """What is known of the code that a job is in."""

    asked: JobStack
    stack: Traceback | None
    """None: its server has not answered, or the job had just ended."""
    samples: int
    functions: Sequence[ProfiledFunction]
    """Of the application, the longest first; without a profile none."""


def running_code(details: JobDetails) -> RunningCode | None:
    """The command to a job, or None."""
    asked = details.stack
    if asked is None:
        return None
    stack = read_traceback(asked.stack) if asked.stack else None
    samples, functions = _functions(asked.profile or "")
    return RunningCode(asked, stack, samples, functions)


def running_code_actions(jobs: JobCalls) -> list[Action]:
    """The actions `jobs/stack` and `jobs/profile`, with the field `id` and for a profile `seconds`."""
    return [
        Action("jobs/stack", "Show running code", _ask(jobs, is_profile=False)),
        Action("jobs/profile", "Profile", _ask(jobs, is_profile=True)),
    ]


def profile_download(jobs: JobCalls) -> Download:
    """The last profile of a job, for tools that draw flame graphs."""

    async def answer(request: PageRequest) -> Response:
        number: int = request.params["job_id"]
        details = await jobs.details(BackgroundJobId(str(number))) if number <= MAX_BIGINT else None
        if details is None or details.stack is None or not details.stack.profile:
            raise PageNotFound(t("Job {job} has no profile. Profiles are kept for a day.", job=number))
        headers = {"Content-Disposition": f'attachment; filename="job-{number}-profile.folded"'}
        return Response(details.stack.profile, media_type="text/plain; charset=utf-8", headers=headers)

    return Download("jobs/{job_id:int}/profile.folded", answer)


def _ask(jobs: JobCalls, *, is_profile: bool) -> Callable[[ActionRequest], Awaitable[Done]]:
    async def run(request: ActionRequest) -> Done:
        ids = request.form.numbers()
        if len(ids) != 1:
            raise ActionRefused(t("No jobs selected."))
        (number,) = ids
        seconds = _seconds(request.form.get("seconds", "")) if is_profile else 0
        job_id = BackgroundJobId(str(number))
        target = t("job {job}", job=number)
        if not await jobs.ask_stack(job_id, seconds=seconds, actor=request.viewer.name):
            return Done(t("Job {job} is not running.", job=number), target, is_good=False)
        text = t("Profiling job {job} for {seconds} s.", job=number, seconds=seconds)
        if not is_profile:
            text = t("Asked the worker for the running code of job {job}.", job=number)
        return Done(text, target, lead_to=f"jobs/{number}#running-code")

    return run


def _seconds(text: str) -> int:
    if not text:
        return PROFILE_SECONDS
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= _MOST_SECONDS):
        raise ActionRefused(t("Enter a number of seconds from 1 to {most}.", most=_MOST_SECONDS))
    return int(text)


def _functions(profile: str) -> tuple[int, Sequence[ProfiledFunction]]:
    within: Counter[tuple[str, str]] = Counter()
    alone: Counter[tuple[str, str]] = Counter()
    frames: dict[tuple[str, str], Frame] = {}
    samples = 0
    for line in profile.splitlines():
        stack, _, count = line.rpartition(" ")
        if not count.isdecimal():
            # The last line may be cut.
            continue
        found = [frame for part in stack.split(";") if (frame := _frame(part)) is not None and not frame.is_library]
        samples += int(count)
        keys = [(frame.path, frame.function) for frame in found]
        frames = {**dict(zip(keys, found, strict=True)), **frames}
        within.update(dict.fromkeys(keys, int(count)))
        if keys:
            alone[keys[-1]] += int(count)
    functions = [
        ProfiledFunction(frames[key], count / samples, alone[key] / samples)
        for key, count in within.most_common(_MOST_FUNCTIONS)
    ]
    return samples, functions


def _frame(text: str) -> Frame | None:
    found = _PLACE.fullmatch(text)
    return None if found is None else Frame(found["path"], int(found["line"]), found["function"], "")
