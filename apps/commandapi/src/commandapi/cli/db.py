"""`commandapi db`: migrations."""

import sys
from typing import Annotated

import typer

from commandapi.cli.quiet import quiet_settings

app = typer.Typer(no_args_is_help=True, help="Migrations of the database.")


@app.command()
def upgrade() -> None:
    """Migrate the database to this program's newest migration."""
    from commandapi import migrations  # noqa: PLC0415  # slow to import
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    settings = quiet_settings()
    with provide_database(settings) as database:
        before = database.migration_state()
        after = migrations.upgrade(database.url)
        database.fit_row_security(settings)
    if before.is_current:
        typer.echo(f"already at {after.current}")
    else:
        typer.echo(f"{before.current or '(none)'} -> {after.current}")


@app.command()
def current() -> None:
    """Print which migration the database has, and which is the newest."""
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    with provide_database(quiet_settings()) as database:
        state = database.migration_state()
    typer.echo(f"{state.current or '(none)'} ({'head' if state.is_current else f'head is {state.head}'})")


@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    revision: Annotated[
        str, typer.Argument(help="Where to: a revision, -2 for two back, or base to remove every table.")
    ] = "-1",
) -> None:
    """Undo migrations, the last one by default. The tables they made are removed with their data."""
    from commandapi import migrations  # noqa: PLC0415
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    with provide_database(quiet_settings()) as database:
        before = database.migration_state()
        if before.current is None:
            typer.echo("there is nothing to undo")
            return
        if sys.stdin.isatty():
            typer.confirm(f"Undo {before.current} and remove its tables with their data?", abort=True, err=True)
        after = migrations.downgrade(database.url, revision)
    typer.echo(f"{before.current} -> {after.current or '(none)'}")
