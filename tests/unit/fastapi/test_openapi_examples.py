"""Every example of the OpenAPI description is what its schema says, and what needs one has one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import pytest

from bulkport.webhooks.store import WebhookEvent
from commandapi.app import create_app
from commandapi.settings import Settings

DESCRIPTION: dict[str, Any] = create_app(Settings(database_url="postgresql://nowhere/none")).openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
}
WITH_EXAMPLES = [
    "POST /api/platforms/bulk",
    "POST /api/commands/bulk",
    "GET /api/platforms/bulk/{job_id}/status",
    "GET /api/imports",
    "GET /api/imports/{job_id}",
    "GET /api/imports/{job_id}/errors",
    "GET /api/imports/{job_id}/results",
    "POST /api/imports/{job_id}/undo",
    "POST /api/imports/{job_id}/retry",
    "POST /api/webhooks",
]


def examples(content: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Schemas with their examples."""
    for media_type, described in content.items():
        found = [described["example"]] if "example" in described else []
        found += [example["value"] for example in described.get("examples", {}).values()]
        for example in found:
            yield described["schema"], example
        if media_type == "application/json":
            yield from ((described["schema"], example) for example in described["schema"].get("examples", []))


def bodies(operation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The contents that an operation takes and gives."""
    yield operation.get("requestBody", {}).get("content", {})
    for response in operation["responses"].values():
        yield response.get("content", {})


def without_nulls(schema: Any) -> Any:
    """The schema of what may leave out members that are null: FastAPI drops nulls from examples."""
    if isinstance(schema, list):
        return [without_nulls(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: without_nulls(value) for name, value in schema.items()}
    if isinstance(found.get("required"), list):
        properties = found.get("properties", {})
        found["required"] = [name for name in found["required"] if '"null"' not in json.dumps(properties.get(name))]
    return found


def check(schema: Mapping[str, Any], example: Any) -> None:
    """The example has the schema; names are looked up in the whole description."""
    whole = without_nulls({**schema, "components": DESCRIPTION.get("components", {})})
    jsonschema_rs.validator_for(whole, validate_formats=True).validate(example)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_example_is_as_its_schema_says(name: str) -> None:
    found = [pair for content in bodies(OPERATIONS[name]) for pair in examples(content)]
    for schema, example in found:
        check(schema, example)
    if name in WITH_EXAMPLES:
        assert found
    for parameter in OPERATIONS[name].get("parameters", []):
        if "example" in parameter:
            check(parameter["schema"], parameter["example"])


def test_each_operation_says_what_it_does() -> None:
    mute = [name for name, operation in OPERATIONS.items() if "/api/" in name and not operation.get("description")]
    assert mute == []


def test_each_event_of_webhooks_is_described_with_an_example() -> None:
    described = {}
    for item in DESCRIPTION["webhooks"].values():
        content = item["post"]["requestBody"]["content"]["application/json"]
        check(content["schema"], content["example"])
        described[content["example"]["type"]] = content
        for parameter in item["post"]["parameters"]:
            check(parameter["schema"], parameter["example"])
    assert set(described) == set(WebhookEvent)
