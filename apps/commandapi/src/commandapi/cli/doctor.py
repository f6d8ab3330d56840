"""`commandapi doctor`: checks a deployment."""

import typer

from commandapi.cli.quiet import quiet_settings


def doctor() -> None:
    """Check database, settings, permissions, indexes, clock, migrations, workers and disk.

    Prints one line per problem, with the remedy. Exit code 1 if something is wrong; warnings do not count.
    """
    import asyncio  # noqa: PLC0415  # slow to import

    from commandapi.cli.database import MigrationsMissing, provide_database  # noqa: PLC0415
    from commandapi.diagnosis import examine  # noqa: PLC0415
    from commandapi.migrations import require_unchanged  # noqa: PLC0415

    settings = quiet_settings()
    with provide_database(settings) as database:
        state = database.migration_state()
        require_unchanged(state)
        if not state.is_usable:
            raise MigrationsMissing(
                f"The database is at migration {state.current or '(none)'}, this program needs {state.head}. "
                "Run: commandapi db upgrade"
            )
        found = asyncio.run(examine(settings.model_copy(update={"database_url": database.url}), state))
    for finding in found:
        typer.echo(str(finding), err=True)
    if any(getattr(finding, "is_wrong", True) for finding in found):
        raise typer.Exit(1)
    typer.echo("No problems found.")
