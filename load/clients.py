"""The clients. Each is a loop of requests with pauses, as people and programs make them."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import httpx

from load.figures import Figures

_FINAL: Final = {"Completed", "PartialSuccess", "Failed", "Cancelled"}
_JSON: Final = {"content-type": "application/json"}
_NDJSON: Final = {"content-type": "application/x-ndjson"}
_PATIENCE: Final = 90.0
Client = Callable[["Load", int], Coroutine[Any, Any, None]]


class Load:
    """What all clients share."""

    def __init__(self, url: str, keys: list[str], seed: int) -> None:
        self.url = url
        self.keys = keys
        self.seed = seed
        self.figures = Figures()
        self.stop = asyncio.Event()
        self.recent: deque[tuple[str, int]] = deque(maxlen=200)
        """Keys and ids of imports that were accepted lately."""

    def http(self, number: int) -> httpx.AsyncClient:
        """A client with one user's key and a connection of its own."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"x-api-key": self.keys[number % len(self.keys)]},
            timeout=_PATIENCE,
            trust_env=False,
            limits=httpx.Limits(max_connections=1),
        )

    async def send(self, client: httpx.AsyncClient, kind: str, method: str, path: str, **request: Any) -> Any:
        """Send a request until it is carried out, waiting as long as `Retry-After` says; None when it was refused."""
        answers = self.figures.answers[kind]
        while not self.stop.is_set():
            started = time.perf_counter()
            try:
                answer = await client.request(method, path, **request)
            except httpx.HTTPError as error:
                answers.errors[type(error).__name__] += 1
                return None
            if answer.is_success:
                answers.seconds.append(time.perf_counter() - started)
                return answer
            if answer.status_code in {429, 503} and "retry-after" in answer.headers:
                answers.refused += 1
                await asyncio.sleep(min(10.0, float(answer.headers["retry-after"])))
                continue
            answers.errors[f"{answer.status_code} {answer.text[:120]}"] += 1
            return None
        return None


async def _import(load: Load, client: httpx.AsyncClient, kind: str, rows: int, **request: Any) -> int | None:
    answer = await load.send(client, kind, "POST", "/api/platforms/bulk", **request)
    if answer is None:
        return None
    job: int = answer.json()["id"]
    load.figures.accepted[job] = rows
    load.recent.append((client.headers["x-api-key"], job))
    return job


async def small_imports(load: Load, number: int) -> None:
    """Send envelopes of up to a thousand rows, and ask for the status until each has ended."""
    chance, turn = random.Random(load.seed + number), 0
    async with load.http(number) as client:
        while not load.stop.is_set():
            turn += 1
            rows = chance.choice((1, 10, 100, 1000))
            body = json.dumps({"platforms": [{"platformName": f"c{number} {turn} {row}"} for row in range(rows)]})
            job = await _import(load, client, "POST, up to 1,000 rows", rows, content=body, headers=_JSON)
            if job is not None:
                await asyncio.sleep(chance.uniform(0.2, 1.0))
                await load.send(client, "GET, status", "GET", f"/api/platforms/bulk/{job}/status")
            await asyncio.sleep(chance.uniform(0.5, 2.0))


async def large_imports(load: Load, number: int) -> None:
    """Send NDJSON of tens of thousands of rows."""
    chance, turn = random.Random(load.seed + number), 0
    async with load.http(number) as client:
        while not load.stop.is_set():
            turn += 1
            rows = chance.randint(10_000, 60_000)
            body = "".join(f'{{"platformName":"l{number} {turn} {row}"}}\n' for row in range(rows)).encode()
            await _import(
                load,
                client,
                "POST, to 60,000 rows",
                rows,
                content=body,
                headers={"content-type": "application/x-ndjson"},
            )
            await asyncio.sleep(chance.uniform(4.0, 12.0))


async def polls(load: Load, number: int) -> None:
    """Look at lists, and wait for imports."""
    chance = random.Random(load.seed + number)
    async with load.http(number) as client:
        while not load.stop.is_set():
            await load.send(client, "GET, lists", "GET", "/api/imports?limit=20")
            own = [job for key, job in load.recent if key == client.headers["x-api-key"]]
            if own:
                path = f"/api/imports/{chance.choice(own)}"
                await load.send(client, "GET, import", "GET", path)
            await asyncio.sleep(chance.uniform(0.5, 2.0))


async def searches(load: Load, number: int) -> None:
    """Search the catalogue, which grows."""
    chance = random.Random(load.seed + number)
    async with load.http(number) as client:
        while not load.stop.is_set():
            text = f"c{chance.randint(1, 90)} {chance.randint(1, 9)}"
            await load.send(client, "GET, search", "GET", "/api/platforms", params={"search": text, "pageSize": 20})
            await asyncio.sleep(chance.uniform(1.0, 4.0))


async def streams(load: Load, number: int) -> None:
    """Follow imports by server-sent events to their end."""
    chance = random.Random(load.seed + number)
    async with load.http(number) as client:
        while not load.stop.is_set():
            own = [job for key, job in load.recent if key == client.headers["x-api-key"]]
            if not own:
                await asyncio.sleep(0.5)
                continue
            started = time.perf_counter()
            answers = load.figures.answers["GET, stream to its end"]
            try:
                async with client.stream("GET", f"/api/imports/{own[-1]}/events") as answer:
                    if answer.status_code in {429, 503} and "retry-after" in answer.headers:
                        answers.refused += 1
                    elif answer.status_code not in {200, 204}:
                        answers.errors[str(answer.status_code)] += 1
                    else:
                        async for line in answer.aiter_lines():
                            load.figures.events += line.startswith("event:")
                        answers.seconds.append(time.perf_counter() - started)
            except httpx.HTTPError as error:
                answers.errors[type(error).__name__] += 1
            await asyncio.sleep(chance.uniform(0.5, 2.0))


KINDS: Final[tuple[tuple[Client, float], ...]] = (
    (small_imports, 0.5),
    (polls, 0.2),
    (searches, 0.15),
    (streams, 0.1),
    (large_imports, 0.05),
)
"""Kinds of clients, and the share of each."""


def clients_of(load: Load, count: int) -> list[Coroutine[Any, Any, None]]:
    """So many clients, mixed."""
    made: list[Coroutine[Any, Any, None]] = []
    for kind, share in KINDS:
        made += [kind(load, len(made) + place) for place in range(max(1, round(count * share)))]
    return made
