"""The call of a job as Python with secrets masked."""

import ast
from datetime import UTC, datetime
from typing import Any

import pytest

from bulkport.dashboard.core.masking import Masking
from bulkport.dashboard.pages.job_call import arguments_in_a_line, call_in_a_line, readable_call, readable_value
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs import JobState
from bulkport.jobs.port.details import JobSummary

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def job(args: Any, **changes: Any) -> JobSummary:
    facts: dict[str, Any] = {
        "id": BackgroundJobId("17"),
        "task": "send_report",
        "queue": "default",
        "priority": 0,
        "state": JobState.FAILED,
        "is_held_back": False,
        "args": args,
        "created_at": NOW,
        "ready_at": NOW,
        "runs": 1,
        "failures": 1,
    }
    rest = dict.fromkeys(field for field in JobSummary.__dataclass_fields__ if field not in facts)
    return JobSummary(**{**rest, **facts, **changes})


def test_a_short_call_stays_on_one_line() -> None:
    assert readable_call(job({"recipient": "ada", "copies": 2, "urgent": True, "note": None}), Masking()) == (
        'await jobs.enqueue(send_report, recipient="ada", copies=2, urgent=True, note=None)'
    )


def test_a_long_call_has_a_line_for_each_argument_and_long_value() -> None:
    text = readable_call(job({"recipients": [f"user-{n}@example.org" for n in range(6)], "password": "p"}), Masking())
    assert text.splitlines()[:4] == [
        "await jobs.enqueue(",
        "    send_report,",
        "    recipients=[",
        '        "user-0@example.org",',
    ]
    assert '    password="••••••",' in text
    assert "\n        ],\n" not in text
    ast.parse(text.removeprefix("await "))


def test_options_are_part_of_the_call() -> None:
    text = readable_call(job({"recipient": "ada"}, queue="mail", priority=5, user_id="alice"), Masking())
    assert 'send_report.options(queue="mail", priority=5, user_id="alice").call(recipient="ada")' in text
    ast.parse(text.removeprefix("await "))


@pytest.mark.parametrize("value", ['"quoted"', "back\\slash", "two\nlines", "ünïcode ✓", "\x00\x1b", "'"])
def test_texts_are_python_literals(value: str) -> None:
    assert ast.literal_eval(readable_value(value, Masking())) == value


def test_secrets_are_masked_everywhere() -> None:
    args = {"login": {"api_key": "k-1", "name": "ada"}, "token": "t-1", "steps": [{"secret": "s-1"}]}
    for text in (readable_call(job(args), Masking()), call_in_a_line(job(args), Masking())):
        assert not any(secret in text for secret in ("k-1", "t-1", "s-1"))
        assert "ada" in text


def test_lines_are_truncated_and_missing_arguments_reported() -> None:
    assert arguments_in_a_line(job({"text": "x" * 500}), Masking(), 50) == f'text="{"x" * 43}…'
    assert call_in_a_line(job(None), Masking()) == "send_report(…)"
    assert readable_call(job(None), Masking()) == "await jobs.enqueue(send_report, ...)"
    assert len(readable_call(job({"rows": list(range(100_000))}), Masking())) == 50_000
