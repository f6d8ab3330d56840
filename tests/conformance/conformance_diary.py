"""What tasks of the suite write down, and what they wait for: files, so that it costs little and outlives a SIGKILL."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a run of a job did. `at` is in seconds of a clock that all processes of the machine share."""

    job_id: str
    event: str
    server: str
    attempt: int
    at: float


class Diary:
    """A folder with the notes of all servers and the gates that tests open.

    Parameters
    ----------
    server
        Who writes.
    """

    def __init__(self, folder: Path, server: str = "nobody") -> None:
        self._notes = folder / "notes"
        self._folder = folder
        self._server = server

    def note(self, job_id: str, attempt: int, event: str) -> None:
        line = json.dumps([str(job_id), event, self._server, attempt, time.monotonic()])
        # One write to a file opened for appending: lines of several processes never mix.
        descriptor = os.open(self._notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

    def notes(self, *job_ids: str, event: str | None = None) -> list[Note]:
        """All notes, or those of these jobs or of this event, in their order."""
        if not self._notes.exists():
            return []
        wanted = set(job_ids)
        lines = (Note(*json.loads(line)) for line in self._notes.read_text().splitlines())
        return [line for line in lines if (not wanted or line.job_id in wanted) and event in {None, line.event}]

    def events(self, *job_ids: str) -> list[str]:
        return [note.event for note in self.notes(*job_ids)]

    def most_at_once(self, *job_ids: str) -> int:
        """Maximum concurrency of these jobs, between their notes `begun` and `ended`."""
        running, most = 0, 0
        for note in sorted(self.notes(*job_ids), key=lambda note: note.at):
            running += {"begun": 1, "ended": -1}.get(note.event, 0)
            most = max(most, running)
        return most

    def open_gate(self, name: str) -> None:
        (self._folder / f"gate {name}").touch()

    def is_open(self, name: str) -> bool:
        return (self._folder / f"gate {name}").exists()
