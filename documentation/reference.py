"""Generates the Python reference from the packages' exports: signatures, docstrings and fields."""

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from typing import Any, Final

from bulkport.errors import BulkportError

MODULES: Final = (
    ("bulkport", "Declaring and using imports and jobs"),
    ("bulkport.dashboard", "The dashboard: access, custom pages, audit"),
    ("bulkport.client", "The client"),
    ("bulkport.migrations", "Migrating Bulkport's tables"),
    ("bulkport.testing", "The test kit"),
    ("bulkport.embedded", "A PostgreSQL for development and tests"),
)


def python_reference() -> str:
    """The page."""
    parts = ["# Python reference\n\nAll public names, generated from the docstrings.\n"]
    for name, what in MODULES:
        module = import_module(name)
        parts.append(f"## `{name}`\n\n{what}.\n")
        shown = [(one, getattr(module, one)) for one in sorted(module.__all__, key=str.lower)]
        parts += [_entry(one, value) for one, value in shown if not inspect.ismodule(value)]
    return "\n".join(parts)


def _entry(name: str, value: Any) -> str:
    if inspect.isclass(value):
        return "\n".join(_class(name, value))
    if callable(value) and not isinstance(value, type):
        return f"### `{name}`\n\n{_call(name, value)}\n{_text(value)}\n"
    return f"### `{name}`\n\n`{value!r:.200}`\n"


def _class(name: str, cls: type) -> Iterator[str]:
    yield f"### `{name}`\n"
    if not issubclass(cls, Enum | BaseException):
        yield _call(name, cls)
    yield _text(cls)
    if issubclass(cls, Enum):
        yield "\n".join(f"- `{member.name}` = `{member.value!r}`" for member in cls)
    elif is_dataclass(cls):
        yield "\n".join(
            f"- `{one.name}: {_annotation(one.type)}`" for one in fields(cls) if not one.name.startswith("_")
        )
    for member, function in inspect.getmembers(cls, lambda one: inspect.isfunction(one) or isinstance(one, property)):
        if member.startswith("_") or not getattr(function, "__doc__", None) or _is_inherited(cls, member):
            continue
        if isinstance(function, property):
            yield f"\n#### `{name}.{member}`\n\n{_text(function)}"
        else:
            yield f"\n#### `{name}.{member}`\n\n{_call(member, function)}\n{_text(function)}"
    yield ""


def _is_inherited(cls: type, member: str) -> bool:
    """Whether a member is one of the base of all errors, or of Python's own classes, and says nothing of this class."""
    owner = next((one for one in cls.__mro__ if member in vars(one)), cls)
    return owner is not cls and (owner is BulkportError or not owner.__module__.startswith("bulkport"))


def _call(name: str, value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    if next(iter(signature.parameters), "") == "self":
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    shown = f"{name}{signature}"
    if len(shown) > 100:
        inner = ",\n    ".join(str(parameter) for parameter in signature.parameters.values())
        returned = (
            ""
            if signature.return_annotation is inspect.Signature.empty
            else f" -> {_annotation(signature.return_annotation)}"
        )
        shown = f"{name}(\n    {inner},\n){returned}"
    return f"```python\n{shown}\n```\n"


def _annotation(value: Any) -> str:
    return value if isinstance(value, str) else inspect.formatannotation(value)


def _text(value: Any) -> str:
    """A docstring as Markdown: sections as bold words, parameters as a list, examples as code."""
    lines = (inspect.getdoc(value) or "").splitlines()
    shown: list[str] = []
    section = ""
    for place, line in enumerate(lines):
        following = lines[place + 1] if place + 1 < len(lines) else ""
        if following and set(following) == {"-"}:
            section = line
            shown.append(f"\n**{line}**\n")
        elif line and set(line) == {"-"}:
            continue
        elif section in ("Parameters", "Raises", "Attributes") and line and not line.startswith(" "):
            shown.append(f"- `{line.rstrip(':')}`:")
        else:
            shown.append(line)
    return _with_blocks("\n".join(shown))


def _with_blocks(text: str) -> str:
    """`::` blocks and `>>>` examples as fenced code."""
    found: list[str] = []
    paragraphs = text.split("\n\n")
    is_code = False
    for paragraph in paragraphs:
        code = textwrap.dedent(paragraph)
        if (is_code and paragraph.startswith("    ")) or code.lstrip().startswith(">>>"):
            found.append(f"```python\n{code.strip(chr(10))}\n```")
            continue
        is_code = paragraph.rstrip().endswith("::")
        words = paragraph.rstrip().removesuffix("::").rstrip()
        found.append(f"{words}:" if is_code and words else words)
    return "\n\n".join(found) + "\n"
