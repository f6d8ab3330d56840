"""The search field of every page: a number leads to a job, `task:`, `queue:` and the like to the jobs that match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bulkport.dashboard.core.page import Page, PageRequest, Query, Redirect
from bulkport.jobs.job import JobState

_WORD: Final = re.compile(r'(?P<key>[a-z]+(?:\.[^\s:"]+)?):(?P<quoted>"[^"]*"|\S+)|(?P<text>"[^"]*"|\S+)')
_FIELDS: Final = {
    "task": "task",
    "queue": "queue",
    "user": "user",
    "error": "error",
    "batch": "batch",
    "recurring": "recurring",
    "tag": "tag",
    "server": "server",
    "priority": "priority",
    "since": "since",
    "until": "until",
    "state": "state",
}
_OF_IMPORTS: Final = frozenset({"text", "resource", "user", "tag"})
_STATES: Final = {state.value for state in JobState}


@dataclass(frozen=True, slots=True)
class Found:
    """Where a search leads: a page, relative to the dashboard, and its query."""

    path: str
    query: Query


def search_page() -> Page:
    """The page `search`, which leads to where the search field asks for."""

    async def load(request: PageRequest) -> Mapping[str, Any]:
        found = read_search(request.query.get("q"))
        raise Redirect(request.link(found.path, found.query))

    return Page("search", "jobs.html", load, section="jobs")


def read_search(text: str) -> Found:
    """What was typed into the search field."""
    number = text.strip().removeprefix("#")
    if _is_number(number):
        path = "imports" if text.strip().startswith("#") else "jobs"
        return Found(f"{path}/{number}", Query())
    fields: dict[str, str] = {}
    words: list[str] = []
    is_of_imports = False
    for found in _WORD.finditer(text):
        key, value = found["key"], (found["quoted"] or found["text"]).strip('"')
        if key == "import" and _is_number(value):
            return Found(f"imports/{value}", Query())
        if key in ("import", "resource", "file"):
            is_of_imports = True
            if key == "resource":
                fields["resource"] = value
            else:
                words.append(value)
            continue
        if key == "job" and _is_number(value):
            return Found(f"jobs/{value}", Query())
        if key in ("is", "state") and (value == "running" or value in _STATES):
            fields["state"] = "processing" if value == "running" else value
        elif key in _FIELDS and key != "state":
            fields[_FIELDS[key]] = value
        elif key is not None and key.startswith("args."):
            words.append(_argument(key.removeprefix("args."), value, is_text=found["quoted"].startswith('"')))
        else:
            words.append(found[0].strip('"'))
    if words:
        fields["text"] = " ".join(words)
    if is_of_imports:
        return Found("imports", Query([item for item in fields.items() if item[0] in _OF_IMPORTS]))
    return Found("jobs", Query(list(fields.items())))


def _argument(name: str, value: str, *, is_text: bool) -> str:
    """An argument as the JSON of a job's arguments has it."""
    is_literal = not is_text and (value in ("true", "false", "null") or re.fullmatch(r"-?\d+(\.\d+)?", value))
    return f'"{name.rpartition(".")[2]}": ' + (value if is_literal else f'"{value}"')


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19
