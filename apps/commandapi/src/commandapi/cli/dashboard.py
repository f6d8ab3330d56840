"""`commandapi dashboard`: gives the operator access to the dashboard."""

import asyncio
from typing import Annotated

import typer

from commandapi.cli.quiet import quiet_settings

app = typer.Typer(no_args_is_help=True, help="Manage access to the dashboard.")


@app.callback()
def dashboard() -> None:
    """Manage access to the dashboard."""


@app.command()
def link(
    url: Annotated[str, typer.Option(help="URL of the server.")] = "http://127.0.0.1:8000",
) -> None:
    """Print a one-time link that signs a browser in to the dashboard of a development server. Valid for one day."""
    from bulkport.dashboard.access.link import LinkAccess  # noqa: PLC0415  # slow to import
    from bulkport.dashboard.access.sessions import Sessions  # noqa: PLC0415
    from bulkport.pools import open_pool  # noqa: PLC0415
    from commandapi.cli.database import provide_database  # noqa: PLC0415

    settings = quiet_settings()

    async def make(database_url: str) -> str:
        async with open_pool(database_url, name="link", most=1) as pool:
            return await LinkAccess(Sessions(lambda: pool)).new_link()

    with provide_database(settings) as database:
        database.ensure_migrated()
        typer.echo(f"{url.rstrip('/')}{settings.dashboard_path}/{asyncio.run(make(database.url))}")
