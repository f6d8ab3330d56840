"""The reference pages have everything that the code has, and point to nothing that is not there."""

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic_core import PydanticUndefined

from bulkport import errors
from bulkport.errors import BulkportError, ResourceDeclarationError
from bulkport.fastapi.error_report import NotAcceptable
from bulkport.fastapi.error_responses import problem_type_of, status_of
from bulkport.fastapi.tus_headers import TusVersionUnsupported
from bulkport.jobs import errors as job_errors
from commandapi.app import create_app
from commandapi.auth.key_admission import TooManyStrangers
from commandapi.auth.keys import TooManyApiKeys
from commandapi.registrations import errors as registration_errors
from commandapi.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    row = re.search(rf"^\| `COMMANDAPI_{name.upper()}` \| (.*?) \| .+ \|$", read("settings.md"), re.MULTILINE)
    assert row is not None
    if default is None:
        assert row[1] == "unset"
    elif default is not PydanticUndefined:
        assert row[1] == f"`{default.value if isinstance(default, Enum) else default}`"


def test_no_unknown_setting_is_described() -> None:
    described = set(re.findall(r"^\| `COMMANDAPI_(\w+)`", read("settings.md"), re.MULTILINE))
    assert described == {name.upper() for name in Settings.model_fields}


def problem_classes() -> Iterator[type[BulkportError]]:
    for module in (errors, registration_errors):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, BulkportError) and found is not ResourceDeclarationError:
                yield found
    yield from (NotAcceptable, TooManyApiKeys, TooManyStrangers, TusVersionUnsupported)


def test_every_problem_is_described() -> None:
    described = set(re.findall(r"^\| `(/problems/[a-z-]+)` \| (\d+) \| ([^|]+) \|", read("problems.md"), re.MULTILINE))
    # Kind and status depend on the class alone, so no instance needs to be made of its own arguments.
    instances = [found.__new__(found) for found in problem_classes()]
    expected = {(problem_type_of(error), str(status_of(error)), error.title) for error in instances}
    assert described == expected


def test_library_errors_do_not_know_http() -> None:
    for module in (errors, job_errors):
        for name, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, BulkportError):
                assert not {"status", "headers"} & set(dir(found)), (
                    f"{name}: its status belongs in fastapi.error_responses"
                )


def api_routes(app: FastAPI) -> set[tuple[str, str]]:
    description: dict[str, Any] = app.openapi()
    return {(method.upper(), path) for path, item in description["paths"].items() for method in item}


def test_every_route_is_described() -> None:
    page = read("http-api.md")
    described = {
        (method, path.split("?")[0])
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE|OPTIONS) (/[^` ]*)`", page)
    }
    app = create_app(Settings(database_url="postgresql://nowhere/none"))
    assert described == api_routes(app) | {("GET", "/metrics")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_walkthrough_names_existing_functions() -> None:
    text = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:bulkport|commandapi)/[\w/]+\.(?:py|sql))(?::([\w.]+))?`", text)
    assert len(named) > 20
    for file, function in named:
        path = next(ROOT.glob(f"*/*/src/{file}"), ROOT / file)
        assert path.exists(), file
        name = function.rpartition(".")[2]
        assert re.search(rf"\b(?:def|class) {name}\b|^{name}\b", path.read_text(encoding="utf-8"), re.MULTILINE), (
            f"{file} has no {function}"
        )
