"""`commandapi keys`: API keys, for the operator."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from commandapi.cli.quiet import quiet_settings

if TYPE_CHECKING:
    import psycopg

app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke API keys.")

_Result = TypeVar("_Result")

User = Annotated[
    str,
    typer.Option(
        "--user",
        metavar="USER_ID",
        help="User of the key: any name, or `oidc|SUB` for a user who signs in.",
        show_default=False,
    ),
]


@app.command()
def create(
    user: User,
    description: Annotated[str | None, typer.Option(help="A note that tells keys apart.", show_default=False)] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="read|write|import|admin",
            help="A scope of the key; repeatable.",
            show_default="all",
        ),
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0, help="Days until the key expires.", show_default="never")
    ] = None,
) -> None:
    """Create an API key and print it, and nothing else, on standard output.

    A running server accepts it at once. The key is shown only once: only a hash of it is stored.
    """
    from commandapi.auth.keys import ALL_SCOPES, issue_key  # noqa: PLC0415  # slow to import

    if unknown := set(scope or ()) - set(ALL_SCOPES):
        raise typer.BadParameter(f"no scope: {', '.join(sorted(unknown))}", param_hint="--scope")
    seconds = None if expires_days is None else expires_days * 86_400
    issued = _in_database(
        lambda connection: issue_key(connection, user, description, scopes=scope or ALL_SCOPES, seconds=seconds)
    )
    typer.echo(issued.text)


@app.command()
def rotate(
    key_id: Annotated[int, typer.Argument(help="The key's id, as `keys list` shows it.", show_default=False)],
    user: User,
    overlap_hours: Annotated[float, typer.Option(min=0, help="Hours for which the old key remains valid.")] = 24,
) -> None:
    """Replace a key and print the new one. The old key remains valid for a while, so that both work."""
    from commandapi.auth.keys import rotate_key  # noqa: PLC0415

    issued = _in_database(lambda connection: rotate_key(connection, user, key_id, overlap_seconds=overlap_hours * 3600))
    if issued is None:
        typer.echo(f"{user} has no active key {key_id}", err=True)
        raise typer.Exit(1)
    typer.echo(issued.text)


@app.command("list")
def list_user_keys(user: User) -> None:
    """List a user's keys, newest first, without their secrets."""
    from commandapi.auth.keys import list_keys  # noqa: PLC0415

    records = _in_database(lambda connection: list_keys(connection, user, limit=1000))
    table = Table(
        Column("id", no_wrap=True),
        Column("key starts with", no_wrap=True),
        "description",
        "scopes",
        "created",
        "expires",
        "last used",
        "revoked",
    )
    for record in records:
        times = (record.created_at, record.expires_at, record.last_used_at, record.revoked_at)
        table.add_row(
            str(record.id),
            f"{str(record.key_index)[:8]}…",
            Text(record.description or ""),
            " ".join(record.scopes),
            *("" if time is None else f"{time:%Y-%m-%d %H:%M}" for time in times),
        )
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[int, typer.Argument(help="The key's id, as `keys list` shows it.", show_default=False)],
    user: User,
) -> None:
    """Revoke a key, with immediate effect."""
    from commandapi.auth.keys import revoke_key  # noqa: PLC0415

    if not _in_database(lambda connection: revoke_key(connection, user, key_id)):
        typer.echo(f"{user} has no key {key_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"key {key_id} is revoked")


def _in_database(work: "Callable[[psycopg.AsyncConnection[Any]], Awaitable[_Result]]") -> _Result:
    import psycopg  # noqa: PLC0415  # slow to import

    from commandapi.cli.database import provide_database  # noqa: PLC0415

    async def run(url: str) -> _Result:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return await work(connection)

    with provide_database(quiet_settings()) as database:
        database.ensure_migrated()
        return asyncio.run(run(database.url))
