"""Suggestions of the search field: names, and recent job arguments."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.masking import MASK, Masking
from bulkport.dashboard.core.page import Download, PageRequest
from bulkport.dashboard.core.several import several
from bulkport.dashboard.pages.job_filters import SEVERAL
from bulkport.dashboard.pages.job_names import JobNames
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState, JSONValue
from bulkport.jobs.port.query import JobQuery

_KEYS: Final = (
    *("task:", "queue:", "user:", "error:", "tag:", "state:", "server:", "priority:", "recurring:", "args."),
    *("import:", "resource:"),
)
_LATEST: Final = 200
"""Jobs whose arguments are suggested."""
_FRESH_SECONDS: Final = 15.0
_MOST: Final = 12
_MOST_CHARACTERS: Final = 80
_LEVELS: Final = 4


def suggestions_download(jobs: JobCalls, masking: Masking) -> Download:
    """`search/suggestions?q=task:se`: whole texts for the field, as a JSON array."""
    names = JobNames(jobs)

    async def read_latest(_: None) -> Mapping[str, Sequence[str]]:
        page = await jobs.search(JobQuery(), limit=_LATEST)
        found: dict[str, Counter[str]] = {}
        for job in page.items:
            facts = [("user", job.user_id), ("error", job.error_type), ("recurring", job.recurring_id)]
            facts += [("priority", str(job.priority))]
            for key, value in [*facts, *_arguments("args", masking.apply(job.args or {}))]:
                if value is not None:
                    found.setdefault(key, Counter())[value] += 1
        return {key: [value for value, _ in counted.most_common()] for key, counted in found.items()}

    latest = TTLCache(read_latest, seconds=_FRESH_SECONDS)

    async def answer(request: PageRequest) -> Response:
        before, word = _last_word(request.query.get("q"))
        known = await names.read()
        values: dict[str, Iterable[str]] = {
            **(await latest.get(None)),
            "task": known.tasks,
            "queue": known.queues,
            "tag": known.tags,
            "server": known.servers,
            "state": [state.value for state in JobState],
        }
        found = [before + text for text in _matching(word, values)][:_MOST]
        return Response(json.dumps(found, ensure_ascii=False), media_type="application/json")

    return Download("search/suggestions", answer)


def _last_word(text: str) -> tuple[str, str]:
    """What is typed already, and the word that is being typed."""
    found = re.search(r'(?:[^\s"]|"[^"]*"?)*$', text)
    start = len(text) if found is None else found.start()
    return text[:start], text[start:]


def _matching(word: str, values: Mapping[str, Iterable[str]]) -> Iterable[str]:
    key, colon, begun = word.partition(":")
    if colon:
        # Of several values the last one is being typed.
        given = re.findall(r'(?:"[^"]*"|[^,"])+,', begun) if key in SEVERAL else []
        before = "".join(given)
        wanted = begun.removeprefix(before).strip('"').lower()
        chosen = several(before)
        return (
            f"{key}:{before}{_quoted(value)}"
            for value in values.get(key, ())
            if wanted in value.lower() and value not in chosen
        )
    paths = sorted(f"{name}:" for name in values if name.startswith("args.")) if word.startswith("args.") else ()
    return (one for one in (*_KEYS, *paths) if one.startswith(word) and one != word)


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[\s,]", value) else value


def _arguments(path: str, value: JSONValue, levels: int = _LEVELS) -> Iterable[tuple[str, Any]]:
    """The single values in arguments, as the search names them: `args.order_id` and `83444`."""
    if isinstance(value, Mapping):
        if levels:
            for name, inner in value.items():
                if re.fullmatch(r"[^\s:\"]+", name):
                    yield from _arguments(f"{path}.{name}", inner, levels - 1)
    elif isinstance(value, (str, int, float)) and value != MASK:
        text = value if isinstance(value, str) else json.dumps(value)
        if 0 < len(text) <= _MOST_CHARACTERS and '"' not in text:
            yield path, text
