"""Every OpenAPI example matches its schema, and none is missing."""

import re
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


def check(schema: Mapping[str, Any], example: Any) -> None:
    """The example has the schema; names are looked up in the whole description."""
    whole = {**schema, "components": DESCRIPTION.get("components", {})}
    jsonschema_rs.validator_for(whole, validate_formats=True).validate(example)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_example_matches_its_schema(name: str) -> None:
    found = [pair for content in bodies(OPERATIONS[name]) for pair in examples(content)]
    for schema, example in found:
        check(schema, example)
    if name in WITH_EXAMPLES:
        assert found
    for parameter in OPERATIONS[name].get("parameters", []):
        if "example" in parameter:
            check(parameter["schema"], parameter["example"])


def test_each_operation_has_a_description() -> None:
    mute = [name for name, operation in OPERATIONS.items() if "/api/" in name and not operation.get("description")]
    assert mute == []


def test_each_webhook_event_has_a_description_and_an_example() -> None:
    described = {}
    for item in DESCRIPTION["webhooks"].values():
        content = item["post"]["requestBody"]["content"]["application/json"]
        check(content["schema"], content["example"])
        described[content["example"]["type"]] = content
        for parameter in item["post"]["parameters"]:
            check(parameter["schema"], parameter["example"])
    assert set(described) == set(WebhookEvent)


SAFE_BY_THEMSELVES = {"PATCH /api/uploads/{upload_id}"}
"""`Upload-Offset` says what has been done already."""


def test_each_change_states_that_it_is_safe_to_repeat() -> None:
    for name, operation in OPERATIONS.items():
        is_change = name.startswith(("POST", "PUT", "PATCH", "DELETE")) and name not in SAFE_BY_THEMSELVES
        takes_key = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
        assert takes_key == is_change, name
        if takes_key:
            assert {"409", "422"} <= operation["responses"].keys(), name


def test_each_field_and_parameter_has_a_description() -> None:
    mute = [
        f"{name}.{field}"
        for name, schema in DESCRIPTION["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if "description" not in described and "$ref" not in described
    ]
    mute += [
        f"{name} {parameter['name']}"
        for name, operation in OPERATIONS.items()
        for parameter in operation.get("parameters", [])
        if not parameter.get("description")
    ]
    assert mute == []


def test_operation_ids_are_function_names() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if not re.fullmatch("[a-z][A-Za-z]+", one)] == []
