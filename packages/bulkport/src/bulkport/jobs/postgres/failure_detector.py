"""Judging from heartbeats which servers are dead."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class _Observation:
    heartbeat: datetime
    silence: float


class FailureDetector:
    """Adds up, on the watcher's own clock, how long each server's heartbeat has not moved.

    Comparing heartbeats with the time of day instead would take every server for dead when the database's clock is
    set, and whenever the database or the network was away for longer than `stalled_seconds`: nobody could beat
    then, and the first server to come back would start the running jobs of all the others a second time.

    Parameters
    ----------
    stalled_seconds
        Watched silence after which a server is dead.
    longest_step
        Seconds that one look adds at most, whatever time has passed since the look before: in a longer gap the
        watcher itself was away and saw nothing.
    """

    def __init__(self, stalled_seconds: float, longest_step: float) -> None:
        self._stalled_seconds = stalled_seconds
        self._longest_step = longest_step
        self._observations: dict[int, _Observation] = {}
        self._looked_at: float | None = None

    def look(self, heartbeats: Mapping[int, datetime], now: float) -> dict[int, datetime]:
        """Take note of the present heartbeats.

        Parameters
        ----------
        heartbeats
            Last heartbeat by worker id.
        now
            Monotonic time in seconds.

        Returns
        -------
        The servers that are dead, with the heartbeat that was watched.
        """
        step = 0.0 if self._looked_at is None else min(now - self._looked_at, self._longest_step)
        self._looked_at = now
        known = self._observations
        self._observations = {
            worker_id: _Observation(heartbeat, seen.silence + step)
            if (seen := known.get(worker_id)) is not None and seen.heartbeat == heartbeat
            else _Observation(heartbeat, 0.0)
            for worker_id, heartbeat in heartbeats.items()
        }
        return {
            worker_id: observation.heartbeat
            for worker_id, observation in self._observations.items()
            if observation.silence >= self._stalled_seconds
        }
