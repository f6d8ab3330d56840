"""A keyword argument that a call does not have is refused, as Python would, and not passed over."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bulkport import Bulkport, JobQuery

bulkport = Bulkport("postgresql://localhost/shop")


@bulkport.task(name="clean_up")
async def clean_up() -> None: ...


CALLS: dict[str, Callable[[], Awaitable[Any]]] = {
    "timezone": lambda: bulkport.recurring.add_or_update("a", clean_up, cron="@daily", time_zone="UTC"),
    "reason": lambda: bulkport.cancel("1", raeson="late"),
    "actor": lambda: bulkport.change("1", priority=1, actr="ada"),
    "connection": lambda: bulkport.requeue("1", conection=None),
    "note": lambda: bulkport.pause_queue("mail", nots="why"),
    "queue": lambda: bulkport.limit_queue("mail", 3, note="why"),
    "server": lambda: bulkport.quiet_server("one", reason="why"),
    "dry_run": lambda: bulkport.import_file("books", b"", user="ada", dryrun=True),
    "queues": lambda: bulkport.cancel_all(JobQuery(), author="ada"),
}


@pytest.mark.parametrize("meant", CALLS)
async def test_a_call_rejects_an_unknown_keyword(meant: str) -> None:
    with pytest.raises(TypeError, match="keyword argument"):
        await CALLS[meant]()


async def test_the_message_suggests_the_right_keyword() -> None:
    with pytest.raises(TypeError, match=r"import_file has no keyword argument dryrun=\. Did you mean dry_run=\?"):
        await CALLS["dry_run"]()
    with pytest.raises(TypeError, match=r"an order to a queue has no keyword argument note=; it has actor, connection"):
        await CALLS["queue"]()


def test_a_declaration_rejects_an_unknown_keyword() -> None:
    with pytest.raises(TypeError, match=r"time_zone=\. Did you mean timezone=\?"):
        bulkport.recurring("nightly", cron="@daily", time_zone="Europe/Berlin")(clean_up)
