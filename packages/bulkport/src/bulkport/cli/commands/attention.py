"""`bulkport attention …`: reports conditions that need an operator to people, monitors, webhooks and mail."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkport.cli.commands.attention_notices import EXAMPLE, Changes, Mail, Notice, NotSent, Webhook, in_words
from bulkport.cli.commands.target import Target, fail, load, plain_errors
from bulkport.extras import require_extra

if TYPE_CHECKING:
    from bulkport.app import Bulkport


def attention(
    target: Target,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one condition per line.")] = False,
    webhook: Annotated[
        str | None,
        typer.Option(help="Post conditions to this URL as they begin and end, until Ctrl-C.", show_default=False),
    ] = None,
    mail_to: Annotated[
        list[str] | None,
        typer.Option(help="Email conditions to this address as they begin and end; repeatable.", show_default=False),
    ] = None,
    mail_from: Annotated[str | None, typer.Option(help="Sender of the emails.", show_default=False)] = None,
    smtp: Annotated[
        str | None,
        typer.Option(
            envvar="BULKPORT_SMTP",
            help="Server for outgoing mail: smtp://user:password@host:587, or smtps://….",
            show_default=False,
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Only send a test to the webhook and by email.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between checks, with --webhook or --mail-to.")] = 30.0,
) -> None:
    """Show what needs attention: paused or unserved queues with waiting jobs, silent servers, overdue recurring jobs, a
    raised failure rate, stalled imports, a full disk. Exit code 1 if anything does.
    """
    for module in ("jinja2", "starlette"):
        require_extra("dashboard", module)
    with plain_errors(target):
        notices = _notices(webhook, smtp, mail_from, mail_to or [])
        if test:
            asyncio.run(_send_test(notices))
            return
        bulkport = load(target)
        if notices:
            asyncio.run(_send_changes(bulkport, notices, every))
            return
        found = asyncio.run(_read_once(bulkport))
        for one in found:
            typer.echo(json.dumps(one, ensure_ascii=False) if as_json else in_words(one))
        if found:
            raise typer.Exit(1)
        if not as_json:
            typer.echo("Nothing needs attention.")


def _notices(webhook: str | None, smtp: str | None, mail_from: str | None, mail_to: Sequence[str]) -> list[Notice]:
    notices: list[Notice] = []
    try:
        if webhook is not None:
            require_extra("client", "httpx")
            notices.append(Webhook(webhook))
        if mail_to:
            notices.append(Mail(smtp or "", mail_from, mail_to))
    except ValueError as error:
        fail(str(error))
    return notices


async def _send_test(notices: Sequence[Notice]) -> None:
    if not notices:
        fail("--test needs --webhook or --mail-to")
    for notice in notices:
        try:
            await notice.send(EXAMPLE)
        except NotSent as error:
            fail(str(error))
    typer.echo("Sent.")


async def _read_once(bulkport: "Bulkport") -> list[dict[str, Any]]:
    async with bulkport.connect():
        return await _read(bulkport)


async def _read(bulkport: "Bulkport") -> list[dict[str, Any]]:
    from bulkport.dashboard.standard import attention_reader  # needs the extra dashboard

    found: Sequence[Any] = await attention_reader(bulkport, bulkport.resources, bulkport.opened_pool, bulkport.limits)()
    names = ("code", "subject", "text", "detail", "is_bad")
    return [{_camel(name): asdict(one)[name] for name in names} for one in found]


def _camel(name: str) -> str:
    return "isBad" if name == "is_bad" else name


async def _send_changes(bulkport: "Bulkport", notices: Sequence[Notice], every: float) -> None:
    """Send each condition when it begins and when it ends; failed notices are sent again the next time."""
    reported: list[dict[tuple[str, str], dict[str, Any]]] = [{} for _ in notices]
    async with bulkport.connect():
        while True:
            now = {(one["code"], one["subject"]): one for one in await _read(bulkport)}
            for place, notice in enumerate(notices):
                before = reported[place]
                changes = Changes(
                    begun=[one for key, one in now.items() if key not in before],
                    ended=[one for key, one in before.items() if key not in now],
                    now=[*now.values()],
                )
                if not changes.begun and not changes.ended:
                    continue
                try:
                    await notice.send(changes)
                except NotSent as error:
                    typer.echo(f"{error}; trying again in {every:g} s.", err=True)
                    continue
                reported[place] = now
                for one in changes.begun:
                    typer.echo(f"begun: {in_words(one)}")
                for one in changes.ended:
                    typer.echo(f"ended: {one['text']}")
            await asyncio.sleep(every)
