"""`commandapi users`: lets the operator erase a user's data."""

import asyncio
from typing import Annotated

import typer

from commandapi.cli.quiet import quiet_settings

app = typer.Typer(no_args_is_help=True, help="Manage the data of users.")


@app.callback()
def users() -> None:
    """Manage the data of users."""


@app.command()
def erase(
    user: Annotated[str, typer.Argument(metavar="USER_ID", help="The user to erase.", show_default=False)],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete a user's API keys, imports, reports, webhooks, uploads and idempotency keys.

    Platforms and commands that the user imported are kept: they belong to everyone.
    """
    from bulkport.imports.erasure import erase_user  # noqa: PLC0415  # slow to import
    from bulkport.pools import open_pool  # noqa: PLC0415
    from commandapi.auth import queries  # noqa: PLC0415
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    if not yes:
        typer.confirm(f"Delete all data of {user}?", abort=True)

    async def run(url: str) -> tuple[int, int]:
        async with open_pool(url, name="erase", most=1) as pool:
            async with pool.connection() as connection:
                keys = (await connection.execute(queries.DELETE_KEYS, {"user_id": user})).rowcount
            return keys, await erase_user(pool, user)

    with provide_database(quiet_settings()) as database:
        database.ensure_migrated()
        keys, imports = asyncio.run(run(database.url))
    typer.echo(f"Deleted {keys} keys and {imports} imports of {user}.")
