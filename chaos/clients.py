"""Clients that send imports, retry lost responses and follow each import to its end."""

import asyncio
import contextlib
import random
from typing import Any, Final

import httpx

from chaos.contents import make_shipment
from chaos.ledger import Entry, Fate, Ledger
from chaos.options import Options

_FINAL: Final = {"Completed", "PartialSuccess", "Failed", "Cancelled"}
_ORDER: Final = {"Pending": 0, "Processing": 1}
_COUNTS: Final = ("processedRecords", "successCount", "failureCount")
_LATER: Final = {408, 409, 429, 503, 507}
"""Answers that ask to come again."""
_ANSWER_SECONDS: Final = 8.0
_MOST_UNFINISHED: Final = 12
_FOLLOWED_CLOSELY: Final = 30
_NOT_ACCEPTED: Final = {429, 507}
"""Answers that mean that nothing was accepted; any other may be of a request that was carried out."""


class Clients:
    """All clients of a run.

    Parameters
    ----------
    url
        Of the API, through the proxy.
    platform_id
        Of the platform that commands belong to.
    """

    def __init__(self, options: Options, ledger: Ledger, url: str, key: str, platform_id: int) -> None:
        self._options = options
        self._ledger = ledger
        self._url = url
        self._key = key
        self._platform_id = platform_id
        self._numbers = iter(range(1, 10**9))
        self.calm = asyncio.Event()
        """Set after the last fault; from then on failures must be short."""
        self._followed: set[asyncio.Task[None]] = set()

    async def run(self, chance: random.Random, stop: asyncio.Event) -> None:
        """Run one client until it is stopped; it then finishes what it has begun."""
        while not stop.is_set():
            if len(self._followed) >= _MOST_UNFINISHED * self._options.clients:
                await asyncio.sleep(0.1)
                continue
            shipment = make_shipment(self._options.seed, next(self._numbers), self._options.rows)
            entry = Entry(shipment)
            self._ledger.entries.append(entry)
            async with self._client() as client:
                await self._send(client, entry, chance)
            if entry.fate is Fate.ACCEPTED:
                task = asyncio.create_task(self._follow(entry, chance.random()))
                self._followed.add(task)
                task.add_done_callback(self._followed.discard)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), chance.expovariate(8))

    async def followed_to_the_end(self) -> None:
        """Wait until every accepted import has been seen to end."""
        while self._followed:
            await asyncio.gather(*self._followed)

    def cancel(self) -> None:
        """Follow no longer."""
        for task in self._followed:
            task.cancel()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url, headers={"x-api-key": self._key}, timeout=_ANSWER_SECONDS, trust_env=False
        )

    async def _send(self, client: httpx.AsyncClient, entry: Entry, chance: random.Random) -> None:
        shipment = entry.shipment
        body = await asyncio.to_thread(shipment.body, self._platform_id)
        while entry.fate is Fate.OPEN:
            entry.tries += 1
            answer = await self._post(client, entry, body)
            if answer is not None and answer.status_code not in _LATER:
                self._verify(entry, answer)
            elif not shipment.is_keyed and (answer is None or answer.status_code not in _NOT_ACCEPTED):
                entry.fate = Fate.UNKNOWN
            else:
                await asyncio.sleep(chance.uniform(0.1, 0.5))
        if entry.fate is Fate.ACCEPTED and shipment.is_keyed and chance.random() < 0.1:
            again = await self._post(client, entry, body)
            if again is not None and again.status_code not in _LATER:
                self._ledger.replays += 1
                self._verify(entry, again)

    async def _post(self, client: httpx.AsyncClient, entry: Entry, body: bytes) -> httpx.Response | None:
        shipment = entry.shipment
        try:
            answer = await client.post(shipment.path(), content=body, headers=shipment.headers())
        except httpx.ConnectError:
            self._ledger.answers["no connection"] += 1
            return None
        except httpx.HTTPError:
            entry.lost_answers += 1
            self._ledger.answers["lost"] += 1
            return None
        self._ledger.answers[str(answer.status_code)] += 1
        return answer

    def _verify(self, entry: Entry, answer: httpx.Response) -> None:
        shipment, status = entry.shipment, answer.status_code
        if status == 202:
            body = answer.json()
            if entry.import_id not in (None, body["id"]):
                self._ledger.violated(f"{shipment.name} was accepted twice, as {entry.import_id} and {body['id']}")
            if body["totalRecords"] != shipment.rows:
                self._ledger.violated(f"{shipment.name} has {body['totalRecords']} records, not {shipment.rows}")
            if shipment.must_be_refused:
                self._ledger.violated(f"{shipment.name} was accepted with a bad row in its envelope")
            entry.fate, entry.import_id = Fate.ACCEPTED, body["id"]
        elif status == 400 and shipment.must_be_refused:
            entry.fate = Fate.REFUSED
        else:
            self._ledger.violated(f"{shipment.name} was answered {status}: {answer.text[:300]}")
            entry.fate = Fate.UNKNOWN

    async def _follow(self, entry: Entry, pace: float) -> None:
        """Poll the status until it is final; it must only ever advance."""
        shipment = entry.shipment
        path = f"/api/{shipment.resource}/bulk/{entry.import_id}/status"
        async with self._client() as client:
            while entry.last is None or entry.last["status"] not in _FINAL:
                self._ledger.polls += 1
                try:
                    answer = await client.get(path, params={"wait": 3} if pace < 0.5 else {})
                except httpx.HTTPError:
                    self._ledger.lost_polls += 1
                    await asyncio.sleep(0.3)
                    continue
                if answer.status_code == 200:
                    self._compare(entry, answer.json())
                elif answer.status_code not in _LATER:
                    self._ledger.violated(f"status of {shipment.name}: {answer.status_code} {answer.text[:200]}")
                    return
                # Many that are followed at one time ask less often each, or the server would do nothing else.
                await asyncio.sleep((0.1 + pace) * max(1.0, len(self._followed) / _FOLLOWED_CLOSELY))

    def _compare(self, entry: Entry, now: dict[str, Any]) -> None:
        before, name = entry.last, entry.shipment.name
        entry.last = now
        if (now["completedAt"] is not None) != (now["status"] in _FINAL):
            self._ledger.violated(f"{name}: completedAt and status disagree: {now}")
        if now["successCount"] + now["failureCount"] > now["processedRecords"]:
            self._ledger.violated(f"{name}: more rows succeeded and failed than were processed: {now}")
        if before is None:
            return
        if _ORDER.get(now["status"], 2) < _ORDER.get(before["status"], 2):
            self._ledger.violated(f"{name} went from {before['status']} back to {now['status']}")
        # A strict import that fails takes its counts back with its rows.
        if now["status"] != "Failed" and any(now[count] < before[count] for count in _COUNTS):
            self._ledger.violated(f"{name}: counts went back: {before} then {now}")
