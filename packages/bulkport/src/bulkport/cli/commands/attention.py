"""`bulkport attention …`: conditions that need an operator, for people, monitors and webhooks."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from bulkport.app import Bulkport
from bulkport.cli.commands.target import Target, fail, load, plain_errors
from bulkport.extras import require_extra

_TIMEOUT_SECONDS: Final = 10.0


def attention(
    target: Target,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, one condition a line.")] = False,
    webhook: Annotated[
        str | None,
        typer.Option(help="Post conditions as they begin and end to this URL, until Ctrl-C.", show_default=False),
    ] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks, with --webhook.")] = 30.0,
) -> None:
    """Tell what needs attention: paused or unserved queues with waiting jobs, silent servers, overdue recurring jobs, a
    raised failure rate, stalled imports, a full disk. Exit code 1 where there is something.
    """
    for module in ("jinja2", "starlette"):
        require_extra("dashboard", module)
    with plain_errors():
        bulkport = load(target)
        if webhook is not None:
            require_extra("client", "httpx")
            asyncio.run(_post_changes(bulkport, webhook, every))
            return
        found = asyncio.run(_read_once(bulkport))
        for one in found:
            typer.echo(json.dumps(one, ensure_ascii=False) if as_json else _line(one))
        if found:
            raise typer.Exit(1)
        if not as_json:
            typer.echo("Nothing needs attention.")


def _line(one: dict[str, Any]) -> str:
    return f"{one['text']}: {one['detail']}" if one["detail"] else one["text"]


async def _read_once(bulkport: Bulkport) -> list[dict[str, Any]]:
    async with bulkport.connect():
        return await _read(bulkport)


async def _read(bulkport: Bulkport) -> list[dict[str, Any]]:
    from bulkport.dashboard.standard import attention_reader  # noqa: PLC0415 # needs the extra dashboard

    found: Sequence[Any] = await attention_reader(bulkport, bulkport.resources, bulkport.opened_pool, bulkport.limits)()
    names = ("code", "subject", "text", "detail", "is_bad")
    return [{_camel(name): asdict(one)[name] for name in names} for one in found]


def _camel(name: str) -> str:
    return "isBad" if name == "is_bad" else name


async def _post_changes(bulkport: Bulkport, url: str, every: float) -> None:
    """Post each condition when it begins and when it ends; what could not be posted is posted the next time."""
    import httpx  # noqa: PLC0415 # needs the extra client

    told: dict[tuple[str, str], dict[str, Any]] = {}
    async with bulkport.connect(), httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
        while True:
            now = {(one["code"], one["subject"]): one for one in await _read(bulkport)}
            begun = [one for key, one in now.items() if key not in told]
            ended = [one for key, one in told.items() if key not in now]
            if begun or ended:
                try:
                    answer = await client.post(url, json={"begun": begun, "ended": ended, "attention": [*now.values()]})
                    answer.raise_for_status()
                except httpx.InvalidURL as error:
                    fail(f"{url} is not a URL: {error}")
                except httpx.HTTPError as error:
                    typer.echo(f"The webhook did not take it ({error}); trying again in {every:g} s.", err=True)
                else:
                    told = now
                    for one in begun:
                        typer.echo(f"begun: {_line(one)}")
                    for one in ended:
                        typer.echo(f"ended: {one['text']}")
            await asyncio.sleep(every)
