"""Steps that the catalogue's tests have in common."""

from typing import Any

import httpx

PLATFORMS = "/api/platforms"
COMMANDS = "/api/commands"

NO_IDS = [
    "0",
    "-1",
    "x",
    "1.0",
    "01",
    "+1",
    "%201",
    "1e3",
    "%D9%A1",  # one, in Arabic-Indic digits
    "null",
    "%00",
    str(2**63),
    str(2**64 + 1),
    "9" * 5000,
]
"""Path segments that cannot be an id."""


async def add_platform(api: httpx.AsyncClient, name: str = "Docker") -> int:
    answer = await api.post(PLATFORMS, json={"platformName": name})
    assert answer.status_code == 201, answer.text
    identity: int = answer.json()["id"]
    return identity


async def add_command(api: httpx.AsyncClient, platform_id: int, how_to: str = "List", line: str = "docker ps") -> int:
    body = {"howTo": how_to, "commandLine": line, "platformId": platform_id}
    answer = await api.post(COMMANDS, json=body)
    assert answer.status_code == 201, answer.text
    identity: int = answer.json()["id"]
    return identity


async def listed(api: httpx.AsyncClient, path: str, member: str, **query: Any) -> list[Any]:
    """One member of each item of a page."""
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [item[member] for item in answer.json()["items"]]
