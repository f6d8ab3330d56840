"""An operator of the shop, whose actions in the dashboard appear in the audit log."""

import re
from collections.abc import Mapping
from typing import Final

import httpx

_FAILED: Final = "jobs?state=failed"

_DEEDS: Final[tuple[tuple[str, str, Mapping[str, str]], ...]] = (
    ("queues", "queues/limit", {"queue": "slow", "limit-slow": "6"}),
    ("queues", "queues/pause", {"queue": "mail"}),
    (
        "jobs?state=failed&task=send_webhook",
        "jobs/requeue",
        {"all": "jobs", "filter": "state=failed&task=send_webhook"},
    ),
    ("retries", "jobs/run-now", {"all": "retries", "filter": "queue=webhooks"}),
    ("recurring", "recurring/trigger", {"recurring": "close-day"}),
    ("queues", "queues/resume", {"queue": "mail"}),
    (_FAILED, "jobs/delete", {"all": "jobs", "filter": "state=failed&task=send_report"}),
    ("queues", "queues/pause", {"queue": "reports"}),
)
"""The page, the action and its fields."""


async def operate(dashboard: str) -> None:
    """Do one of each kind.

    Parameters
    ----------
    dashboard:
        Its address, with a slash at its end.
    """
    for page, action, fields in _DEEDS:
        await press(dashboard, page, action, fields)


async def press(dashboard: str, page: str, action: str, fields: Mapping[str, str]) -> str:
    """Press a button on a page; where that leads, relative to the dashboard."""
    async with httpx.AsyncClient(base_url=dashboard, timeout=60, trust_env=False) as browser:
        token = re.search(r'name="csrf" value="([^"]+)"', (await browser.get(page)).text)
        assert token is not None, page
        answer = await browser.post(f"do/{action}", data={"csrf": token[1], "confirmed": "yes", **fields})
        assert answer.status_code == httpx.codes.SEE_OTHER, f"{action}: {answer.status_code}"
        return answer.headers["location"].replace("../", "")
