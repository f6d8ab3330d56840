"""Query parameters about writing: mode, dry run and results."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Depends, Query
from starlette.requests import Request

from bulkport.errors import Forbidden, ValidationFailed
from bulkport.fastapi.parameter_names import require_spelling
from bulkport.imports.body.options_query import PARAMETERS
from bulkport.imports.resource import Resource
from bulkport.imports.write_options import WriteMode, WriteOptions, context_text

Authorize = Callable[[Any, Resource, WriteMode], "bool | Awaitable[bool]"]
"""Whether a user may import into a resource in a mode."""

_TRUE: Final = ("true", "1", "yes", "")
_FALSE: Final = ("false", "0", "no")
_RESULTS: Final = ("ids", "none", "")
_MEANINGS: Final = {
    WriteMode.INSERT: "adds them",
    WriteMode.UPSERT: "adds them or changes the stored row with their key",
    WriteMode.UPDATE: "changes the stored row with their key and adds none",
    WriteMode.SKIP: "adds those whose key is not stored",
    WriteMode.DELETE: "removes the stored row with their key",
}
_NAMES: Final = frozenset(
    {"mode", "dryRun", "results", "name", "clientId", "tag", "startAt"} | {parameter.name for parameter in PARAMETERS}
)
"""Query parameters of a request that sends rows."""


async def permit(authorize: Authorize | None, user_id: Any, resource: Resource, mode: WriteMode) -> None:
    """Reject a user who may not import into the resource in this mode.

    Raises
    ------
    Forbidden
        The application says no.
    """
    if authorize is None:
        return
    answer = authorize(user_id, resource, mode)
    if not (await answer if inspect.isawaitable(answer) else answer):
        raise Forbidden(f"You may not import {resource.name} in mode {mode}.")


def wire_key(resource: Resource) -> list[str]:
    """The key by which stored rows are found, in names on the wire."""
    by_column = dict(zip(resource.column_names, resource.field_names, strict=True))
    return [resource.wire_names[by_column[column]] if column in by_column else column for column in resource.write_key]


def context_values(resource: Resource) -> Callable[..., Awaitable[dict[str, str | None]]]:
    """FastAPI dependency that gives the texts of the request's context by column."""

    # Coroutines, which FastAPI calls on the event loop; it would call functions in a thread.
    async def gather(**values: Any) -> dict[str, str | None]:
        return {name: context_text(value) for name, value in values.items()}

    gather.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # which FastAPI reads
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=Depends(dependency))
            for name, dependency in resource.context.items()
        ]
    )
    return gather


def write_options(resource: Resource) -> Callable[..., Awaitable[WriteOptions]]:
    """FastAPI dependency that gives a request's write options."""

    async def gather(request: Request, context: dict[str, str | None], **_: Any) -> WriteOptions:
        query = request.query_params
        if query:
            require_spelling(query.keys(), _NAMES)
        return WriteOptions(
            mode=_mode(resource, query.get("mode")),
            dry_run=_flag("dryRun", query.get("dryRun")),
            results=_results(query.get("results")),
            context=context,
        )

    keyword, anything = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    documented = {
        "mode": (
            _modes(resource),
            str(resource.default_mode),
            ["", *map(str, resource.allowed_modes)],
        ),
        "dryRun": (
            "Run the import, including database constraints, without storing any row.",
            "false",
            [*_TRUE, *_FALSE],
        ),
        "results": ("`ids` stores the outcome and id of every row.", None, _RESULTS),
    }
    parameters = [
        inspect.Parameter("request", anything, annotation=Request),
        inspect.Parameter("context", keyword, default=Depends(context_values(resource))),
        *(
            inspect.Parameter(
                f"query_{name}",
                keyword,
                default=Query(default, alias=name, description=text, json_schema_extra={"enum": list(allowed)}),
                annotation=str | None,
            )
            for name, (text, default, allowed) in documented.items()
        ),
    ]
    gather.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # which FastAPI reads
    return gather


def _modes(resource: Resource) -> str:
    said = ", ".join(f"`{mode}` {_MEANINGS[mode]}" for mode in resource.allowed_modes)
    key = " and ".join(f"`{name}`" for name in wire_key(resource))
    return f"How rows are written: {said}." + (f" The key is {key}." if key else "")


def _mode(resource: Resource, given: str | None) -> WriteMode:
    if not given:
        return resource.default_mode
    allowed = [str(mode) for mode in resource.allowed_modes]
    if given not in allowed:
        raise ValidationFailed({"mode": [f"mode must be {' or '.join(allowed)} for {resource.name}"]})
    return WriteMode(given)


def _flag(name: str, given: str | None) -> bool:
    if given is None:
        return False
    if given.lower() in _TRUE:
        return True
    if given.lower() in _FALSE:
        return False
    raise ValidationFailed({name: [f"{name} must be true or false"]})


def _results(given: str | None) -> bool:
    if given in (None, "", "none"):
        return False
    if given == "ids":
        return True
    raise ValidationFailed({"results": ["results must be ids"]})
