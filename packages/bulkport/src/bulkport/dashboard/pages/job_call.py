"""Formats the call of a job as readable, runnable Python."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from bulkport.dashboard.core.masking import Masking
from bulkport.jobs.job import DEFAULT_QUEUE, JSONValue
from bulkport.jobs.port.details import JobSummary

_WIDTH: Final = 88
_INDENT: Final = "    "
_MOST_CHARACTERS: Final = 50_000
_MOST_LINE: Final = 200


def readable_call(job: JobSummary, masking: Masking) -> str:
    """The call that enqueues such a job, on several lines if necessary, with secrets masked."""
    options = _options(job)
    if job.args is None:
        arguments = ["..."]
    else:
        arguments = [f"{name}={_value(value, 1)}" for name, value in _masked(job.args, masking).items()]
    if options:
        inner = ", ".join(f"{name}={value}" for name, value in options.items())
        called = f"{job.task}.options({inner}).call"
        text = _enqueue([called + _in_brackets("(", arguments, ")", 1, taken=len(called))])
    else:
        text = _enqueue([job.task, *arguments])
    return _cut(text, _MOST_CHARACTERS)


def call_in_a_line(job: JobSummary, masking: Masking, most: int = _MOST_LINE) -> str:
    """The call on one line, cut if it is too long: `send_report(recipient="ada@example.org")`."""
    return _cut(f"{job.task}({arguments_in_a_line(job, masking, most)})", most)


def arguments_in_a_line(job: JobSummary, masking: Masking, most: int = _MOST_LINE) -> str:
    """The arguments on one line, cut if they are too long; those that are very long are left out."""
    if job.args is None:
        return "…"
    parts: list[str] = []
    room = most
    for name, value in _masked(job.args, masking).items():
        parts.append(f"{name}={_literal(value)}")
        room -= len(parts[-1])
        if room < 0:
            break
    return _cut(", ".join(parts), most)


def readable_value(value: JSONValue, masking: Masking) -> str:
    """A result or a checkpoint as Python, cut if it is too long."""
    return _cut(_value(masking.apply(value), 0), _MOST_CHARACTERS)


def _masked(args: Mapping[str, JSONValue], masking: Masking) -> Mapping[str, JSONValue]:
    masked = masking.apply(args)
    assert isinstance(masked, Mapping)
    return masked


def _options(job: JobSummary) -> dict[str, str]:
    options = {
        "queue": None if job.queue == DEFAULT_QUEUE else job.queue,
        "priority": job.priority or None,
        "user_id": job.user_id,
        "unique_key": job.unique_key,
        "concurrency_key": job.concurrency_key,
    }
    return {name: _literal(value) for name, value in options.items() if value is not None}


def _enqueue(parts: Sequence[str]) -> str:
    called = "await jobs.enqueue"
    return called + _in_brackets("(", parts, ")", 0, taken=len(called))


def _value(value: JSONValue, depth: int) -> str:
    """A value that begins on a line indented by `depth` steps."""
    line = _literal(value)
    if len(line) + depth * len(_INDENT) <= _WIDTH or not value:
        return line
    if isinstance(value, Mapping):
        items = [f"{_literal(name)}: {_value(inner, depth + 1)}" for name, inner in value.items()]
        return _in_brackets("{", items, "}", depth)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _in_brackets("[", [_value(inner, depth + 1) for inner in value], "]", depth)
    return line


def _in_brackets(opening: str, parts: Sequence[str], closing: str, depth: int, *, taken: int = 0) -> str:
    """Parts on one line, or one per line if they do not fit after the `taken` characters before them."""
    line = f"{opening}{', '.join(parts)}{closing}"
    if "\n" not in line and len(line) + depth * len(_INDENT) <= _WIDTH - taken:
        return line
    outer = _INDENT * depth
    inner = "".join(f"{outer}{_INDENT}{part},\n" for part in parts)
    return f"{opening}\n{inner}{outer}{closing}"


def _literal(value: JSONValue) -> str:
    """A value as Python writes it, with the quotes that its formatters prefer."""
    if isinstance(value, str):
        # JSON's escapes are Python's as well; characters beyond ASCII stay unescaped.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(name)}: {_literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
