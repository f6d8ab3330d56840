"""Small JSON bodies, read only after the request was authenticated.

FastAPI reads and parses a body before it runs any dependency, so a stranger's request would cost memory and be told
what is wrong with its body. `JsonBody` is a dependency like any other and runs in its turn.
"""

import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from bulkport.connection_user import connection_user
from bulkport.errors import MalformedBody, TooLarge, UnsupportedMediaType, ValidationFailed
from bulkport.fastapi.headers import field_value
from bulkport.fastapi.json_schema import schema_of
from bulkport.fastapi.request_body import RequestBody, keep_fingerprint
from bulkport.fastapi.validation_errors import messages_by_path
from bulkport.imports.body.body_slots import WAITING_BYTES
from bulkport.imports.body_format import BodyFormat
from bulkport.imports.formats.json_values import has_many_values
from bulkport.imports.formats.media_type import parse_content_type
from bulkport.limits import MIB
from bulkport.slots import Slots

ModelT = TypeVar("ModelT", bound=BaseModel)

_NUL: Final = "\0"
_MAY_BE_INFINITE: Final = re.compile(rb"NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{309}")
"""JSON values outside the standard, or beyond double precision; allowed inside text."""
_MOST_VALUES: Final = 10_000
"""Values in a body, nested ones included: they are read and reported in a few milliseconds, on the event loop."""


_LONG_AT_ONCE: Final = 256
_LONG_OF_USER: Final = 64
_PLACE_SECONDS: Final = 3.0


class JsonBody(Generic[ModelT]):
    """Dependency that yields the request's body as a `model`.

    Unknown fields are ignored unless the model forbids them. Types are strict, as the API's description says them:
    `"5"` and `true` are no integers.

    ::

        platform_body = JsonBody(PlatformBody)

        @router.post("/api/platforms", openapi_extra=platform_body.openapi)
        async def create(body: Annotated[PlatformBody, Depends(platform_body)]) -> …

    Parameters
    ----------
    model:
        What the body must be. Its aliases are the names on the wire.
    max_bytes:
        Longest body that is accepted.

    Raises
    ------
    UnsupportedMediaType
        If the Content-Type is not JSON, its charset not UTF-8, or the body is compressed.
    TooLarge
        If the body is longer than `max_bytes`, or has more than 10,000 values in it.
    DigestMismatch
        If the body is not the one whose `Content-Digest` was sent (RFC 9530).
    MalformedBody
        If the body is not JSON (RFC 8259), has numbers beyond double precision where any may be, or is not an object.
    TooManyRequests, ServiceUnavailable
        If too many long bodies are under way.
    ValidationFailed
        If fields do not validate, or hold the character NUL, which PostgreSQL cannot store.
    """

    def __init__(self, model: type[ModelT], *, max_bytes: int = MIB) -> None:
        self._model = model
        self._max_bytes = max_bytes

    @property
    def openapi(self) -> dict[str, Any]:
        """The body's part of the operation in the OpenAPI description."""
        schema = schema_of(self._model)
        return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    async def __call__(self, request: Request) -> ModelT:
        """Read and validate the body of `request`."""
        _require_json(request)
        data = await self._read(request)
        if data.lstrip(b" \t\r\n").startswith(b"["):
            raise MalformedBody("The body must be a JSON object.")
        if has_many_values(data, _MOST_VALUES):
            raise TooLarge(f"The body has more than {_MOST_VALUES:,} values.")
        try:
            body = self._model.model_validate_json(data, strict=True)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False)
            if errors[0]["type"] == "json_invalid":
                reason = errors[0].get("ctx", {}).get("error", "syntax error")
                raise MalformedBody(f"The body is not valid JSON: {reason}.") from None
            if not errors[0]["loc"]:
                raise MalformedBody("The body must be a JSON object.") from None
            raise ValidationFailed(messages_by_path(errors)) from None
        if _MAY_BE_INFINITE.search(data) and not _is_json(body):
            raise MalformedBody("The body is not valid JSON: a number in it is not finite.")
        if b"\\u0000" in data and (holders := list(_fields_with_nul(body))):
            raise ValidationFailed({name: [f"{name} must not contain the character NUL"] for name in holders})
        return body

    async def _read(self, request: Request) -> bytes:
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise self._too_large()
        received = bytearray()
        body = RequestBody(request, fingerprints=True)
        async with AsyncExitStack() as place:
            async for part in body:
                if len(received) <= WAITING_BYTES < len(received) + len(part):
                    await place.enter_async_context(_places(request).slot(connection_user.get() or ""))
                received += part
                if len(received) > self._max_bytes:
                    raise self._too_large()
        keep_fingerprint(request, body)
        return bytes(received)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._max_bytes} bytes.")


def _places(request: Request) -> Slots:
    """Places for bodies that wait in memory, of which a user could have hundreds. They belong to the application."""
    state = request.app.state
    if not hasattr(state, "long_json_bodies"):
        state.long_json_bodies = Slots(
            "long bodies", in_all=_LONG_AT_ONCE, per_user=_LONG_OF_USER, wait_seconds=_PLACE_SECONDS
        )
    places: Slots = state.long_json_bodies
    return places


def _require_json(request: Request) -> None:
    try:
        is_json = parse_content_type(field_value(request.headers, "content-type")) is BodyFormat.JSON
    except UnsupportedMediaType:
        is_json = False
    if not is_json:
        raise UnsupportedMediaType("Send the body as JSON in UTF-8, with the header Content-Type: application/json.")
    if (field_value(request.headers, "content-encoding") or "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("A compressed body is accepted by the bulk endpoints only.")


def _is_json(body: BaseModel) -> bool:
    """Whether all numbers in it can be written as JSON."""
    try:
        json.dumps(body.model_dump(), allow_nan=False, default=str)
    except ValueError:
        return False
    return True


def _fields_with_nul(body: BaseModel) -> Iterator[str]:
    for name, value in body.model_dump(by_alias=True).items():
        if isinstance(value, str) and _NUL in value:
            yield name
