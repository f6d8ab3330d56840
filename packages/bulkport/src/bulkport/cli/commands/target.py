"""Loads the application's `Bulkport` by name, such as `shop:bulkport`."""

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bulkport.errors import BulkportError

if TYPE_CHECKING:
    from bulkport.app import Bulkport

METAVAR: Final = "MODULE:ATTRIBUTE"


class BadTarget(BulkportError):
    """There is no Bulkport by this name."""


Target: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar=METAVAR,
        help="The application's Bulkport object, such as shop:bulkport.",
        show_default=False,
    ),
]


def load(target: str) -> "Bulkport":
    """The object that `module:attribute` names, imported with the working directory in the path.

    Without an attribute, the module's only `Bulkport`.

    Raises
    ------
    BadTarget
        There is no such module or attribute, or it is something else.
    """
    from bulkport.app import Bulkport  # slow to import

    module_name, _, attribute = target.partition(":")
    if not all(map(str.isidentifier, module_name.split("."))) or module_name.endswith(".py"):
        meant = module_name.removesuffix(".py").strip("./").replace("/", ".")
        hint = f", such as {meant}:{attribute or 'bulkport'}" if meant.replace(".", "").isidentifier() else ""
        raise BadTarget(f"{target!r} does not name a module and one of its attributes{hint}.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise BadTarget(f"{module_name} cannot be imported: {_described(error)}") from error
        raise BadTarget(f"Module {module_name} was not found in {here} or on the Python path.") from error
    except BulkportError:
        raise
    except Exception as error:
        raise BadTarget(f"{module_name} cannot be imported: {_described(error)}") from error
    found: object = module
    if attribute:
        for name in attribute.split("."):
            if not hasattr(found, name):
                raise BadTarget(f"{module_name} has no {attribute}.")
            found = getattr(found, name)
    else:
        candidates = [value for value in vars(module).values() if isinstance(value, Bulkport)]
        if len(candidates) != 1:
            raise BadTarget(
                f"{module_name} has {len(candidates)} objects of type Bulkport: choose one with {module_name}:NAME."
            )
        (found,) = candidates
    if not isinstance(found, Bulkport):
        raise BadTarget(f"{target} is a {type(found).__name__}, not a Bulkport object.")
    return found


def _described(error: Exception) -> str:
    """An error of the application's own code, and the line of it that raised."""
    from bulkport.database import mask_passwords  # slow to import

    text = mask_passwords(f"{type(error).__name__}: {error}")
    if isinstance(error, SyntaxError):  # it names its place itself
        return text
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "site-packages" not in one.filename and Path(one.filename).is_file()] or frames
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})"


@contextmanager
def plain_errors(target: str) -> Iterator[None]:
    """Let expected errors end the command with just their message."""
    import psycopg  # slow to import

    from bulkport.database import mask_passwords
    from bulkport.jobs.errors import NotConnected
    from bulkport.migrations.errors import COMMAND

    try:
        yield
    except (BulkportError, NotConnected) as error:
        fail(str(error).replace(COMMAND, COMMAND.replace(METAVAR, target)))
    except psycopg.OperationalError as error:
        fail(f"The database cannot be reached: {mask_passwords(str(error).strip())}")
    except psycopg.errors.InsufficientPrivilege as error:
        fail(f"The database role lacks a privilege: {error.diag.message_primary}")


def fail(message: str) -> None:
    """End the command with a message on standard error and the exit code 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)
