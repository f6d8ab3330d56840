"""A task's arguments: checked against its signature, stored as JSON by name, and typed again when it runs.

Any type that Pydantic knows may be used: dates, UUIDs, decimals, enums, dataclasses, models. A parameter without an
annotation takes JSON and gives JSON.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired, TypeVar, get_args, get_origin, get_type_hints

from pydantic import (
    VERSION,
    ConfigDict,
    PlainSerializer,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError, SchemaValidator, to_json, to_jsonable_python
from typing_extensions import TypedDict  # Pydantic takes no other before Python 3.12

from bulkport.jobs.context import JobContext
from bulkport.jobs.errors import ArgumentsDoNotFit, TaskDeclarationError
from bulkport.jobs.job import JSONValue
from bulkport.sanitize import HALF_A_PAIR, NotStorable, require_storable

_TAKES_FLAGS: Final = tuple(int(part) for part in VERSION.split(".")[:2]) >= (2, 11)
_FLAGS: Final[dict[str, Any]] = {"by_alias": True, "by_name": True} if _TAKES_FLAGS else {}
_HAVE_FIELDS: Final = frozenset({"model-fields", "typed-dict", "dataclass-args", "arguments"})
_DATA: Final = frozenset({"metadata", "serialization", "default", "expected", "config"})
"""Members of a core schema that are not schemas."""


class NameOrAliasValidator:
    """Validates as the adapter does, and takes each field by its name too, whatever its model's configuration says."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._validator: Any = adapter.validator
        if not _TAKES_FLAGS:  # Pydantic 2.10
            self._validator = SchemaValidator(_populated_by_name(adapter.core_schema))

    def validate_python(self, given: object) -> Any:
        """Typed values of Python values; raises ValidationError."""
        return self._validator.validate_python(given, **_FLAGS)

    def validate_json(self, given: str | bytes) -> Any:
        """Typed values of a JSON text; raises ValidationError."""
        return self._validator.validate_json(given, **_FLAGS)


def _populated_by_name(part: Any) -> Any:
    if isinstance(part, Mapping):
        found = {key: value if key in _DATA else _populated_by_name(value) for key, value in part.items()}
        if found.get("type") in _HAVE_FIELDS:
            found["populate_by_name"] = True
        return found
    if isinstance(part, tuple):
        return tuple(_populated_by_name(item) for item in part)
    if isinstance(part, list):
        return [_populated_by_name(item) for item in part]
    return part


T = TypeVar("T")

RESERVED_NAMES: Final = frozenset({"at", "connection", "in_"})
"""Names that `enqueue` and `schedule` have for themselves."""

_CONFIG: Final = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


def _to_storable(value: Any) -> Any:
    plain = to_jsonable_python(value)
    require_storable(plain)
    return plain


_ANYTHING: Final[Any] = Annotated[Any, PlainSerializer(_to_storable, when_used="json")]
"""Pydantic by itself stores NaN as null if there is no type."""


class TaskArguments:
    """The parameters of a task's function.

    Parameters
    ----------
    function
        Sync or async. A parameter annotated `JobContext` is filled in when a job runs, whatever its name.
    task
        The task's name, for messages.

    Raises
    ------
    TaskDeclarationError
        There is a parameter that no job could fill: `*args`, `**kwargs`, a reserved name, or one of a type that has
        no JSON.
    """

    def __init__(self, function: Callable[..., Any], task: str) -> None:
        self._task = task
        try:
            hints = get_type_hints(_annotated_in(function), include_extras=True)
        except NameError as error:
            raise TaskDeclarationError(f"task {task}: its annotations cannot be resolved: {error}") from error
        every = inspect.signature(function).parameters.values()
        self._context_names = [p.name for p in every if _is_context(hints.get(p.name))]
        stored = [p for p in every if p.name not in self._context_names]
        for parameter in stored:
            self._require_usable(parameter)
        self._signature = inspect.Signature([p.replace(annotation=p.empty) for p in stored])
        self._required = [p.name for p in stored if p.default is p.empty]
        self._adapter = self._make_adapter(stored, hints)
        self._validator = NameOrAliasValidator(self._adapter)
        self._positional = [p.name for p in every if p.kind is p.POSITIONAL_ONLY]

    def to_stored(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, JSONValue]:
        """The arguments of a call as they are stored: JSON values by parameter name.

        Parameters with a default that the call leaves out are left out: the job gets the default as it is when it
        runs.

        Raises
        ------
        ArgumentsDoNotFit
            Naming each argument that is missing, unknown or of the wrong type.
        """
        if not args and not kwargs and not self._required:
            return {}
        try:
            given = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise ArgumentsDoNotFit(f"{self._task}: {error}") from None
        if not given:
            return {}
        try:
            typed = self._validator.validate_python(given)
        except ValidationError as error:
            raise self._do_not_fit(error) from None
        try:
            stored: dict[str, JSONValue] = self._adapter.dump_python(
                typed, mode="json", by_alias=False, round_trip=True, warnings="error"
            )
            # Read back, as not all that can be written as JSON can be read again.
            self._validator.validate_json(require_storable(stored))
        except UnicodeEncodeError:
            raise ArgumentsDoNotFit(f"{self._task}: {HALF_A_PAIR}") from None
        except (PydanticSerializationError, NotStorable) as error:
            raise ArgumentsDoNotFit(f"{self._task}: {error}") from None
        except ValidationError as error:
            raise self._do_not_fit(error) from None
        return stored

    def from_stored(self, stored: Mapping[str, JSONValue]) -> dict[str, Any]:
        """A stored job's arguments, typed.

        Raises
        ------
        ArgumentsDoNotFit
            The function has changed since the job was enqueued.
        """
        try:
            typed: dict[str, Any] = self._validator.validate_json(to_json(stored))
        except ValidationError as error:
            raise self._do_not_fit(error) from None
        return typed

    def call(self, function: Callable[..., T], typed: Mapping[str, Any], context: JobContext) -> T:
        """Call the function with typed arguments, and the context where it asks for it."""
        named = dict(typed)
        for name in self._context_names:
            named[name] = context
        positional = [named.pop(name) for name in self._positional if name in named]
        return function(*positional, **named)

    def _require_usable(self, parameter: inspect.Parameter) -> None:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise TaskDeclarationError(f"task {self._task}: {parameter} has no fixed names to store arguments under")
        if parameter.name in RESERVED_NAMES:
            reserved = ", ".join(sorted(RESERVED_NAMES))
            raise TaskDeclarationError(
                f"task {self._task}: a parameter cannot be called {parameter.name}; enqueue and schedule have "
                f"{reserved} for themselves"
            )

    def _make_adapter(self, stored: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> TypeAdapter[Any]:
        members = {}
        for parameter in stored:
            annotation = hints.get(parameter.name, Any)
            if annotation is Any:
                annotation = _ANYTHING
            members[parameter.name] = annotation if parameter.default is parameter.empty else NotRequired[annotation]
        shape: Any = TypedDict("Arguments", members)  # type: ignore[misc] # its members are known at run time only
        setattr(shape, "__pydantic_config__", _CONFIG)  # noqa: B010 - mypy knows no such attribute
        try:
            return TypeAdapter(shape)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            reason = str(error).split(". ")[0].splitlines()[0]
            raise TaskDeclarationError(f"task {self._task}: an argument has no JSON: {reason}") from error

    def _do_not_fit(self, error: ValidationError) -> ArgumentsDoNotFit:
        found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        return ArgumentsDoNotFit(f"{self._task}: {'; '.join(found)}")


def _is_context(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation is JobContext


def _annotated_in(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__
