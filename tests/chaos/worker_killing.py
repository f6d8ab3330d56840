"""Killing worker processes at random moments of an import."""

import time

from command_processes import CommandProcess, Site, until
from followed_import import Answer

WORKERS = 2


class WorkerKiller:
    """Keeps two workers running, and kills one or both when the import is at points that chance chose.

    Parameters
    ----------
    rows
        Rows of the import.
    kills
        How often to kill.
    """

    def __init__(self, site: Site, *, rows: int, kills: int, **settings: object) -> None:
        self._site = site
        self._settings = settings
        self._points = sorted(site.chance.randint(1, int(rows * 0.85)) for _ in range(kills))
        self.kills = 0
        self._workers: list[CommandProcess] = []
        self._replace()
        site.wait_for_workers(*self._workers)

    @property
    def has_killed_enough(self) -> bool:
        return not self._points

    def look(self, now: Answer) -> None:
        """Kill if it is time to."""
        if self._points and now["processedRecords"] >= self._points[0]:
            del self._points[0]
            self.kill()

    def kill(self) -> None:
        """Kill one worker or all of them, at a random moment, and start others in their place."""
        chance = self._site.chance
        time.sleep(chance.uniform(0, 0.03))
        victims = list(self._workers) if chance.random() < 0.4 else [chance.choice(self._workers)]
        for worker in victims:
            worker.kill()
            self.kills += 1
        self._workers = [worker for worker in self._workers if worker not in victims]
        self._replace()
        if len(victims) == WORKERS:
            until(lambda: self._site.serving() & {worker.pid for worker in self._workers}, "a worker to serve")

    def _replace(self) -> None:
        while len(self._workers) < WORKERS:
            self._workers.append(self._site.start_worker(**self._settings))
