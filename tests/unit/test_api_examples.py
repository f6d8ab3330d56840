"""The examples in the API's description are answers as its schemas have them."""

from typing import Any

import jsonschema_rs
import pytest

from commandapi.api_examples import EXAMPLES
from commandapi.app import create_app
from commandapi.settings import Environment, Settings


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    settings = Settings(database_url="postgresql://nowhere/none", environment=Environment.DEVELOPMENT)
    return create_app(settings).openapi()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_of_responses_match_their_schemas(description: dict[str, Any], name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
    assert jsonschema_rs.is_valid(schema, EXAMPLES[name])


def test_json_responses_have_examples(description: dict[str, Any]) -> None:
    missing = [
        path
        for path, operations in description["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "application/json" in answer.get("content", {})
        if not {"example", "examples"} & answer["content"]["application/json"].keys()
    ]
    assert set(missing) <= {"/health/ready"}
