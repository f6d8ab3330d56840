"""Requests generated from the API description: no response is a 5xx or undocumented."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from application_client import make_key
from commandapi.app import create_app
from commandapi.settings import Settings

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CATALOGUE = r"^/api/(platforms|commands)(/\{(platform|command)_id\}(/commands)?)?$"
STARTING_SECONDS = 60.0


@contextmanager
def serve(database_url: str) -> Iterator[str]:
    """The application on a free port, in a thread."""
    config = uvicorn.Config(
        create_app(Settings(database_url=database_url, docs_enabled=True)), port=0, log_config=None, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + STARTING_SECONDS
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
async def api_key(database_url: str) -> str:
    return await make_key(database_url)


@pytest.mark.parametrize("is_valid", [True, False], ids=["valid", "invalid"])
def test_no_generated_request_gets_an_undocumented_response(database_url: str, api_key: str, is_valid: bool) -> None:
    mode = schemathesis.GenerationMode.POSITIVE if is_valid else schemathesis.GenerationMode.NEGATIVE
    with serve(database_url) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations = [found.ok() for found in schema.include(path_regex=CATALOGUE).get_all_operations()]
        assert len(operations) == 11
        for operation in operations:

            @settings(
                max_examples=15,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                case.headers = {**(case.headers or {}), "x-api-key": api_key}
                case.call_and_validate(checks=CHECKS)

            check()
