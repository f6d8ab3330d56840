"""What an application shows in place of the arguments and results of its jobs."""

from typing import Any

import pytest
from markupsafe import Markup
from test_job_call import job

from bulkport.dashboard import JobFormat, Masking


def failing(*_: Any) -> str:
    raise ValueError("no such order")


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        ("to ada", "to ada"),
        ("two\n lines\x00 and\u202e more", "two lines and more"),
        ("x" * 500, "x" * 199 + "…"),
        (Markup("<b>bold</b>"), "<b>bold</b>"),
        (17, "17"),
        (None, ""),
    ],
)
def test_the_result_of_a_formatter_is_shown_as_one_line(returned: Any, shown: str) -> None:
    shows = JobFormat(arguments=lambda job: returned, result=lambda job, result: returned)
    text = shows.arguments_of(job({"a": 1}), Masking())
    assert (text, type(text)) == (shown, str)
    assert shows.result_of(job({"a": 1}), {"b": 1}, Masking()) == shown


def test_formatters_receive_masked_values() -> None:
    shows = JobFormat(
        arguments=lambda job: str(job.args),
        result=lambda job, result: str(result),
        links=lambda job: {"Order": f"/orders/{job.args and job.args['token']}"},
    )
    hidden = job({"token": "s3cret", "order": 7})
    assert "s3cret" not in shows.arguments_of(hidden, Masking())
    assert "7" in shows.arguments_of(hidden, Masking())
    assert "s3cret" not in shows.result_of(hidden, {"token": "s3cret"}, Masking())
    assert shows.links_of(hidden, Masking()) == [("Order", "/orders/••••••")]


def test_failing_formatters_and_unreadable_arguments_are_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shows = JobFormat(arguments=failing, result=failing, links=failing)  # type: ignore[arg-type]
    assert shows.arguments_of(job({"a": 1}), Masking()) == ""
    assert "formats jobs raised an error" in caplog.text
    assert shows.result_of(job({"a": 1}), 3, Masking()) == ""
    assert shows.links_of(job({"a": 1}), Masking()) == ()
    assert JobFormat(arguments=lambda _: "text").arguments_of(job(None), Masking()) == ""


def test_links_lead_only_to_web_addresses() -> None:
    links = {
        "Order": "/orders/7",
        "Bank": "https://bank.example/7",
        "Script": "javascript:alert(1)",
        "Elsewhere": "//evil.example",
        "Backslash": "/\\evil.example",
        "Split": "/orders\n/7",
        "": "/orders",
        "None": None,
    }
    found = JobFormat(links=lambda _: links).links_of(job({}), Masking())  # type: ignore[arg-type, return-value]
    assert [label for label, _ in found] == ["Order", "Bank"]
