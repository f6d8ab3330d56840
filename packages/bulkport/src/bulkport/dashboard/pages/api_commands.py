"""Commands of the JSON API: the actions of the pages, with the same roles and audit log."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bulkport.dashboard.core.command import Command
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Query
from bulkport.dashboard.core.several import listed
from bulkport.dashboard.pages.job_filters import FILTERS, SEVERAL, TAGS
from bulkport.errors import BadRequest

_TEXT: Final = {"type": "string"}
_OPTIONAL_TEXT: Final = {"type": ["string", "null"]}
_MAX_NOTE: Final = 200
_REASON: Final = {"reason": {**_OPTIONAL_TEXT, "maxLength": _MAX_NOTE, "description": "Kept in the job's history."}}
_FILTER: Final = {
    "filter": {
        "type": "object",
        "additionalProperties": {"type": ["string", "integer", "array"], "items": {"type": ["string", "integer"]}},
        "description": (
            'Which jobs, by the fields of the query of `GET /jobs`, such as `{"state": "failed"}` or '
            '`{"task": ["send_report", "send_invoice"]}`.'
        ),
    }
}

Members = Mapping[str, Any]


def api_commands() -> list[Command]:
    """The commands below `api/v1`."""
    return [
        _of_job("requeue", "Run a finished job again"),
        _of_job("cancel", "Cancel a job"),
        _of_job("delete", "Delete a job"),
        _of_job("run-now", "Run a waiting job now"),
        Command(
            "api/v1/jobs/{job_id:int}/stack",
            "jobs/stack",
            "Ask for the code that a running job is in; `stack` of the job has it within seconds",
            lambda params, _: [("id", str(params["job_id"]))],
        ),
        Command(
            "api/v1/jobs/{job_id:int}/profile",
            "jobs/profile",
            "Profile a running job; `stack` of the job has it afterwards",
            lambda params, members: [("id", str(params["job_id"])), ("seconds", _text(members.get("seconds")))],
            {"seconds": {"type": ["integer", "null"], "description": "1 to 60; by default 10."}},
        ),
        *(
            Command(
                f"api/v1/jobs/{name}",
                f"jobs/{name}",
                summary,
                lambda _, members: [("all", f"jobs?{_filter(members['filter'])}")],
                _FILTER,
                required=("filter",),
            )
            for name, summary in (
                ("requeue", "Requeue all jobs that match"),
                ("cancel", "Cancel all jobs that match"),
                ("delete", "Delete all jobs that match"),
                ("run-now", "Run all waiting jobs that match now"),
            )
        ),
        Command(
            "api/v1/bulk-operations/{operation:int}/continue",
            "bulk-operations/continue",
            "Continue an operation on many jobs",
            lambda params, _: [("operation", str(params["operation"]))],
        ),
        Command(
            "api/v1/jobs",
            "jobs/enqueue",
            "Enqueue a job of a task that the server knows",
            _new_job,
            {
                "task": _TEXT,
                "args": {"type": ["object", "null"]},
                "queue": _OPTIONAL_TEXT,
                "priority": {"type": ["integer", "null"]},
                "at": {**_OPTIONAL_TEXT, "description": "When it starts: a time of RFC 3339, or such as `in 2 h`."},
            },
            required=("task",),
            refused_status=400,
        ),
        Command(
            "api/v1/queues/{queue:path}/pause",
            "queues/pause",
            "Pause a queue",
            lambda params, members: [("queue", params["queue"]), ("note", _text(members.get("note")))],
            {
                "note": {
                    **_OPTIONAL_TEXT,
                    "maxLength": _MAX_NOTE,
                    "description": "Why, shown wherever the queue's jobs wait.",
                }
            },
        ),
        Command(
            "api/v1/queues/{queue:path}/resume", "queues/resume", "Resume a queue", lambda params, _: _queue(params)
        ),
        Command(
            "api/v1/queues/{queue:path}/limit",
            "queues/limit",
            "Limit a queue's concurrent jobs",
            lambda params, members: [*_queue(params), (f"limit-{params['queue']}", _text(members.get("limit")))],
            {"limit": {"type": ["integer", "null"], "description": "null: no limit."}},
            refused_status=400,
        ),
        Command(
            "api/v1/tasks/{task:path}/pause",
            "tasks/pause",
            "Pause a task",
            lambda params, members: [("task", params["task"]), ("note", _text(members.get("note")))],
            {"note": {**_OPTIONAL_TEXT, "maxLength": _MAX_NOTE, "description": "Why, shown wherever its jobs wait."}},
        ),
        Command(
            "api/v1/tasks/{task:path}/resume",
            "tasks/resume",
            "Resume a task",
            lambda params, _: [("task", params["task"])],
        ),
        Command(
            "api/v1/views",
            "views/save",
            "Save filters of jobs as a view, in place of your view of that name",
            lambda _, members: [
                ("view_name", _text(members.get("name"))),
                ("filter", str(_filter(members["filter"]))),
                ("shared", _text(members.get("shared"))),
            ],
            {"name": _TEXT, "shared": {"type": ["boolean", "null"]}, **_FILTER},
            required=("name", "filter"),
        ),
        Command(
            "api/v1/views/{view_id:int}/remove",
            "views/remove",
            "Remove one of your views",
            lambda params, _: [("view", str(params["view_id"]))],
        ),
        *(
            Command(
                f"api/v1/servers/{{server:path}}/{name}",
                f"servers/{name}",
                summary,
                lambda params, _: [("server", params["server"])],
            )
            for name, summary in (
                ("quiet", "Have a server start no more jobs"),
                ("resume", "Have a quiet server run jobs again"),
                ("stop", "Stop a server"),
            )
        ),
        *(
            Command(
                f"api/v1/recurring/{{recurring:path}}/{name}",
                f"recurring/{name}",
                summary,
                lambda params, _: [("recurring", params["recurring"])],
            )
            for name, summary in (
                ("trigger", "Run a recurring job now"),
                ("pause", "Pause a recurring job"),
                ("resume", "Resume a recurring job"),
                ("remove", "Remove a recurring job"),
            )
        ),
        Command(
            "api/v1/imports/{import_id:int}/cancel",
            "imports/cancel",
            "Cancel an import",
            lambda params, _: [("id", str(params["import_id"]))],
        ),
        *(
            Command(
                f"api/v1/failures/{name}",
                f"failures/{name}",
                summary,
                lambda _, members: [
                    ("failure", json.dumps([_text(members.get(part)) for part in ("task", "errorType", "message")]))
                ],
                {"task": _TEXT, "errorType": _OPTIONAL_TEXT, "message": _OPTIONAL_TEXT},
                required=("task",),
            )
            for name, summary in (
                ("mute", "Mute a group of failures"),
                ("unmute", "Let a muted group of failures call for attention again"),
            )
        ),
    ]


def _of_job(name: str, summary: str) -> Command:
    return Command(
        f"api/v1/jobs/{{job_id:int}}/{name}",
        f"jobs/{name}",
        summary,
        lambda params, members: [("id", str(params["job_id"])), ("reason", _text(members.get("reason")))],
        _REASON,
    )


def _queue(params: Members) -> Sequence[tuple[str, str]]:
    return [("queue", params["queue"])]


def _new_job(_: Members, members: Members) -> Sequence[tuple[str, str]]:
    args = members.get("args")
    return [
        ("task", _text(members.get("task"))),
        ("args", "" if args is None else json.dumps(args)),
        ("queue", _text(members.get("queue"))),
        ("priority", _text(members.get("priority"))),
        ("at", _text(members.get("at"))),
    ]


def _text(value: Any) -> str:
    """A member as a form has it."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _filter(members: Mapping[str, Any]) -> Query:
    """The query of a list; ignoring an unknown name would select more jobs than requested."""
    if unknown := sorted(set(members) - {"state", *FILTERS, TAGS}):
        raise BadRequest(t("Unknown filters: {names}.", names=", ".join(unknown)[:200]))
    # So would one without a value, say from a variable that is not set.
    texts = {name: _filter_text(name, value) for name, value in members.items()}
    if empty := sorted(name for name, text in texts.items() if not text.strip()):
        raise BadRequest(t("Filters without a value: {names}.", names=", ".join(empty)))
    return Query(list(texts.items()))


def _filter_text(name: str, value: Any) -> str:
    """The value of a filter as an address has it; of an array each item is one value, whatever characters it has."""
    if not isinstance(value, list):
        return _text(value)
    if name not in SEVERAL:
        raise BadRequest(t("Filter {name} takes one value.", name=name))
    texts = [_text(each) for each in value]
    return listed(texts) if all(text.strip() for text in texts) else ""
