"""The search field of every page: a number leads to a job, `task:`, `queue:` and the like to the jobs that match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bulkport.dashboard.core.page import Page, PageRequest, Query, Redirect
from bulkport.dashboard.core.several import listed, several
from bulkport.dashboard.pages.job_filters import SEVERAL, TAGS
from bulkport.jobs.job import JobState

_WORD: Final = re.compile(r'(?P<key>[a-z]+(?:\.[^\s:"]+)?):(?P<quoted>(?:"[^"]*"|\S)+)|(?P<text>"[^"]*"|\S+)')
_FIELDS: Final = ("batch", "since", "until")
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
    values: dict[str, list[str]] = {}
    words: list[str] = []
    is_of_imports = has_all_tags = False
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
        if key in ("is", "state") and (states := _states(value)):
            values.setdefault("state", []).extend(states)
        elif key in SEVERAL and key != "state":
            given = several(found["quoted"])
            # The same job cannot be of two tasks, but it can have two tags.
            has_all_tags = has_all_tags or (key == "tag" and "tag" in values)
            values.setdefault(key, []).extend(given)
        elif key in _FIELDS:
            fields[key] = value
        elif key is not None and key.startswith("args."):
            words.append(_argument(key.removeprefix("args."), value, is_text=found["quoted"].startswith('"')))
        else:
            words.append(found[0].strip('"'))
    if words:
        fields["text"] = " ".join(words)
    if is_of_imports:
        fields |= {name: given[0] for name, given in values.items() if given}
        return Found("imports", Query([item for item in fields.items() if item[0] in _OF_IMPORTS]))
    fields |= {name: listed(dict.fromkeys(given)) for name, given in values.items()}
    return Found("jobs", Query([*fields.items(), *([(TAGS, "all")] if has_all_tags else [])]))


def _states(text: str) -> list[str]:
    """The states that a text lists; none if one of them is unknown."""
    names = ["processing" if name == "running" else name for name in several(text)]
    return names if all(name in _STATES for name in names) else []


def _argument(name: str, value: str, *, is_text: bool) -> str:
    """An argument as the JSON of a job's arguments has it."""
    is_literal = not is_text and (value in ("true", "false", "null") or re.fullmatch(r"-?\d+(\.\d+)?", value))
    return f'"{name.rpartition(".")[2]}": ' + (value if is_literal else f'"{value}"')


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19
