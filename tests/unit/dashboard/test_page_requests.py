"""Queries, links and ways back."""

import pytest

from bulkport.dashboard import Entry, Form, PageRequest, Query, Role
from bulkport.dashboard.core.forms import way_back


def page_request(path: str, query: str = "") -> PageRequest:
    return PageRequest(path, {}, Query.parse(query), Role.READ_ONLY)


def test_two_addresses_of_the_same_page_are_equal() -> None:
    assert str(Query.parse("b=2&a=1&c=")) == str(Query.parse("a=1&b=2")) == "a=1&b=2"


def test_queries_are_limited() -> None:
    assert len(Query.parse("&".join(f"f{n}=1" for n in range(500))).items()) == 100


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("0", 1), ("999", 250), ("x", 50), ("-3", 50), ("9" * 30, 50)])
def test_numbers_stay_within_bounds(text: str, number: int) -> None:
    assert Query.parse(f"size={text}").number("size", 50, least=1, most=250) == number


def test_links_are_relative_to_the_page() -> None:
    assert page_request("").link("jobs", state="failed") == "./jobs?state=failed"
    assert page_request("jobs/12").link("imports/7") == "../imports/7"
    assert page_request("jobs/12").link() == "../"
    assert (
        page_request("jobs", "state=failed&cursor=x").here(cursor=None, sort="took") == "./jobs?sort=took&state=failed"
    )
    assert page_request("servers/a b").here() == "../servers/a%20b"


def test_entries_know_whether_they_are_current() -> None:
    every, failed = Entry("All", "jobs", (("state", ""),)), Entry("Failed", "jobs", (("state", "failed"),))
    shown = page_request("jobs", "state=failed&task=x")
    assert failed.is_current(shown)
    assert not every.is_current(shown)
    assert every.is_current(page_request("jobs"))


@pytest.mark.parametrize("back", ["", "jobs", "jobs/12?state=failed&x=a%2Fb"])
def test_forms_return_to_their_page(back: str) -> None:
    assert way_back(Form([("back", back)])) == back


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example",
        "/elsewhere",
        "https://evil.example/",
        "javascript:alert(1)",
        "\\\\evil.example",
        "../elsewhere",
        "jobs/../../elsewhere",
        "%2e%2e/elsewhere",
        "jobs\r\nSet-Cookie: a=b",
        "http://[",
    ],
)
def test_forms_redirect_nowhere_else(back: str) -> None:
    assert way_back(Form([("back", back)])) == ""


def test_form_ids_are_numbers() -> None:
    form = Form([("id", "3"), ("id", "x"), ("id", "-1"), ("id", "9" * 40), ("id", "4"), ("id", "٣")])
    assert form.numbers() == [3, 4]
