"""`commandapi demo`, which `make run` runs: the server with example data."""

import asyncio
import os
import threading
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from commandapi.cli.serve import Host, Port, print_addresses, print_line, run_server

if TYPE_CHECKING:
    from commandapi.listening import Addresses

_USER: Final = "demo"
_EXAMPLES: Final = {"platforms": "platforms.csv", "commands": "commands.ndjson"}


# Not 0 as in `serve`: the examples are imported by workers.
_Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes to start with the API.", show_default="one per core", metavar="N"),
]


def demo(*, host: Host = "127.0.0.1", port: Port = 8000, workers: _Workers = None) -> None:
    """Like `serve`, with example platforms and commands, and an API key to try.

    The examples are imported through the API if there are no platforms yet.
    """
    # The log of every request would tear the progress bars apart.
    os.environ.setdefault("COMMANDAPI_LOG_LEVEL", "WARNING")

    def begin(addresses: "Addresses", database_url: str) -> None:
        print_addresses(addresses)
        threading.Thread(target=_welcome, args=(addresses, database_url), daemon=True).start()

    run_server(host=host, port=port, workers=workers, when_ready=begin)


def _welcome(addresses: "Addresses", database_url: str) -> None:
    key = asyncio.run(_make_key(database_url))
    messages = Console(stderr=True)
    if _is_empty(addresses.api, key):
        _import_examples(addresses.api, key, messages)
    print_line(
        "\nTry it:\n"
        f"  curl {addresses.api}/api/platforms/bulk -H 'x-api-key: {key}' -H 'content-type: application/json' "
        """-d '{"platforms":[{"platformName":"My platform"}]}'\n"""
        f"  curl '{addresses.api}/api/commands?search=volume' -H 'x-api-key: {key}'\n\n"
        "Ctrl-C stops the server."
    )


def _import_examples(url: str, key: str, messages: Console) -> None:
    from bulkport.cli.run_import import ImportRequest, run_import  # noqa: PLC0415  # slow to import
    from bulkport.cli.site import Site  # noqa: PLC0415

    for resource, name in _EXAMPLES.items():
        with as_file(files("commandapi.examples") / name) as path:
            site = Site("COMMANDAPI_API_KEY")
            request = ImportRequest(file=str(path), resource=resource, site=site, url=url, api_key=key)
            if code := run_import(request, output=messages, messages=messages):
                messages.print(Text(f"The example {resource} were not all imported (exit code {code})."))


def _is_empty(url: str, key: str) -> bool:
    import httpx  # noqa: PLC0415  # slow to import

    response = httpx.get(
        f"{url}/api/platforms", params={"pageSize": 1}, headers={"x-api-key": key}, timeout=30, trust_env=False
    )
    response.raise_for_status()
    total: int = response.json()["totalCount"]
    return total == 0


async def _make_key(database_url: str) -> str:
    import psycopg  # noqa: PLC0415

    from commandapi.auth.keys import create_key  # noqa: PLC0415

    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        return await create_key(connection, _USER, "created by commandapi demo")
