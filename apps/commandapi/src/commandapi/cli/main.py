"""The root command, and the place where errors become messages."""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from bulkport.cli import add_import_command, add_imports_commands
from bulkport.errors import BulkportError
from commandapi.cli import dashboard, db, demo, doctor, keys, serve, users, worker

API_KEY_VARIABLE = "COMMANDAPI_API_KEY"

app = typer.Typer(
    name="commandapi",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The Command API: a catalogue of platforms and commands, with durable bulk imports.",
    epilog="Settings are environment variables. COMMANDAPI_DATABASE_URL names a PostgreSQL (15 or newer); without it, "
    "an embedded one stores its data in COMMANDAPI_DATA_DIR.",
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("doctor")(doctor.doctor)
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(dashboard.app, name="dashboard")
app.add_typer(users.app, name="users")
add_import_command(app, resources=["platforms", "commands"], api_key_variable=API_KEY_VARIABLE)
add_imports_commands(app, api_key_variable=API_KEY_VARIABLE)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  # only here

        typer.echo(version("commandapi"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors that a user can do something about end it with exit code 1 and a message."""
    try:
        app(prog_name="commandapi")
    except BulkportError as error:
        _fail(error.detail)
    except ValidationError as error:
        _fail("\n".join(_setting_messages(error)))


def _fail(message: str) -> None:
    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    sys.exit(1)


def _setting_messages(error: ValidationError) -> list[str]:
    return [
        f"COMMANDAPI_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
