"""A worker's heartbeat: a thread of its own, so that a task that computes on the event loop does not silence it."""

import threading
import time

import psycopg
import structlog

from bulkport.background.procrastinate_engine import queries
from bulkport.background.procrastinate_engine.link import Backoff
from bulkport.pools import patient_conninfo

_log = structlog.get_logger(__name__)


class Pulse:
    """Renews a server's lease every `interval` seconds until stopped, or until the process ends.

    Procrastinate's own worker stops its heartbeat before its last jobs have ended; this one goes on while a
    worker drains, and even beyond when a task cannot be cancelled: its job is alive as long as the process is.

    Parameters
    ----------
    database_url
        The pulse has its own connection: a busy one would delay it.
    worker_id
        Whose lease it is.
    interval
        Seconds between two beats.
    """

    def __init__(self, database_url: str, worker_id: int, interval: float) -> None:
        self._conninfo = patient_conninfo(database_url)
        self._worker_id = worker_id
        self._interval = interval
        self._stopped = threading.Event()
        self._evicted = threading.Event()
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of worker {worker_id}", daemon=True)

    @property
    def evicted(self) -> bool:
        """Whether the lease is gone: another server took this one for dead."""
        return self._evicted.is_set()

    @property
    def silence(self) -> float:
        """Seconds since the last beat that PostgreSQL confirmed was sent."""
        return time.monotonic() - self._last_beat

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating; returns at once."""
        self._stopped.set()

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    while self._beat(connection):
                        backoff.reset()
                        if self._stopped.wait(self._interval):
                            return
                    self._evicted.set()
                    return
            except psycopg.Error as error:
                delay = backoff.next_delay()
                _log.info("heartbeat missed", worker_id=self._worker_id, error=str(error).strip())
                self._stopped.wait(delay)

    def _beat(self, connection: psycopg.Connection) -> bool:
        sent = time.monotonic()
        alive = connection.execute(queries.HEARTBEAT, (self._worker_id,)).fetchone() is not None
        if alive:
            self._last_beat = sent
        return alive
