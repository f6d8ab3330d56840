"""A continuously polled import as its client sees it: its status must only ever advance."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from command_processes import DEADLINE_SECONDS, Site
from import_bodies import Body

Answer = dict[str, Any]

_ORDER = ["Pending", "Processing", "final"]
_FINAL = {"Completed", "PartialSuccess", "Failed", "Cancelled"}
_COUNTS = ("processedRecords", "successCount", "failureCount")


class FollowedImport:
    """An import job that was accepted, followed over HTTP."""

    def __init__(self, client: httpx.Client, body: Body, accepted: Answer) -> None:
        self.body = body
        self.id: int = accepted["id"]
        self.client = client
        self.answers: list[Answer] = []
        assert accepted["totalRecords"] == body.rows

    @classmethod
    def send(cls, client: httpx.Client, body: Body, **headers: str) -> "FollowedImport":
        answer = client.post(
            f"/api/{body.resource}/bulk",
            content=body.data,
            headers={"content-type": "application/x-ndjson", **headers},
        )
        assert answer.status_code == 202, answer.text
        return cls(client, body, answer.json())

    @property
    def last(self) -> Answer:
        return self.answers[-1]

    @property
    def is_settled(self) -> bool:
        return bool(self.answers) and self.last["status"] in _FINAL

    def look(self) -> Answer:
        """Ask for the status once; it follows from the one before."""
        answer = self.client.get(f"/api/{self.body.resource}/bulk/{self.id}/status")
        assert answer.status_code == 200, answer.text
        return self.note(answer.json())

    def note(self, now: Answer) -> Answer:
        """Record a status that was requested elsewhere."""
        final = now["status"] in _FINAL
        assert now["totalRecords"] == self.body.rows
        assert (now["completedAt"] is not None) == final, now
        assert (now["startedAt"] is None) == (now["status"] == "Pending"), now
        assert now["processedRecords"] <= now["totalRecords"]
        assert now["successCount"] + now["failureCount"] <= now["processedRecords"]
        if self.answers:
            before = self.last
            assert all(before[count] <= now[count] for count in _COUNTS), (before, now)
            assert _position(before) <= _position(now), (before, now)
            assert before["startedAt"] in (None, now["startedAt"]), (before, now)
            assert before["status"] not in _FINAL or before == now, (before, now)
        self.answers.append(now)
        return now

    def moments(self, *, seconds: float = DEADLINE_SECONDS) -> Iterator[Answer]:
        """The status again and again, until it is final; the final one is the last."""
        deadline = time.monotonic() + seconds
        while not self.is_settled:
            assert time.monotonic() < deadline, f"not settled after {seconds:g} s: {self.answers[-1:]}"
            yield self.look()
            time.sleep(0.005)

    def until(self, condition: Callable[[Answer], object]) -> Answer:
        """Look until the status is as wanted, which it must be before the import settles."""
        for now in self.moments():
            if condition(now):
                return now
        raise AssertionError(f"settled before: {self.last}")

    def until_settled(self, *, seconds: float = DEADLINE_SECONDS) -> Answer:
        for _ in self.moments(seconds=seconds):
            pass
        return self.last

    def report(self) -> list[Answer]:
        """The error report."""
        answer = self.client.get(f"/api/imports/{self.id}/errors", headers={"accept": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def assert_exact(self, site: Site) -> None:
        """Each good row is stored once, each bad one reported once, and the status says just that."""
        body = self.body
        now = self.look()
        assert now["status"] == ("PartialSuccess" if body.bad else "Completed"), now
        assert now["processedRecords"] == body.rows
        assert now["successCount"] == len(body.good)
        assert now["failureCount"] == len(body.bad)
        assert stored(site, body) == body.good
        self.assert_reported()
        assert self.look() == now

    def assert_reported(self) -> None:
        """The error report has each bad row once, with its number, reason and record."""
        report = self.report()
        assert [entry["row"] for entry in report] == sorted(self.body.bad)
        for entry in report:
            bad = self.body.bad[entry["row"]]
            (error,) = entry["errors"]
            assert error["field"] == bad.field, entry
            assert error["message"].startswith(bad.message), entry
            assert entry["record"] == bad.record, entry


def stored(site: Site, body: Body) -> list[str]:
    """Labels of the stored rows, sorted."""
    return sorted(row[0] for row in site.rows(f"SELECT {body.label_column} FROM {body.resource}"))


def _position(answer: Answer) -> int:
    return _ORDER.index("final" if answer["status"] in _FINAL else answer["status"])
