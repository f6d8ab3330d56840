"""Progress of a followed import: server-sent events (HTML Living Standard §9.2) and a line on a terminal."""

import sys
from collections.abc import Iterator

import msgspec

from bulkport.client.responses import ImportEvent, ImportProgress


class EventReader:
    """Makes events of the lines of a stream."""

    def __init__(self) -> None:
        self.last_event_id: str | None = None
        """The id of the last event, sent to the server after the stream broke."""
        self.is_done = False
        """Whether the import has ended."""
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, line: str) -> Iterator[ImportEvent]:
        """The event that a line ends, if it ends one."""
        if not line:
            yield from self._end()
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value

    def _end(self) -> Iterator[ImportEvent]:
        name, data, self._name, self._data = self._name, self._data, "", []
        if self._id is not None:
            self.last_event_id = self._id
        if not data:
            return
        self.is_done = self.is_done or name == "done"
        yield ImportEvent(name, msgspec.json.decode("\n".join(data), type=ImportProgress))

    def forget(self) -> None:
        """Discard the unfinished event of a broken stream."""
        self._name, self._data, self._id = "", [], None


def show_progress(progress: ImportProgress) -> None:
    """Write over the line that says how far an import is."""
    end = "\n" if progress.is_settled else "\r"
    line = f"import {progress.id}: {progress.status}, {progress.processed_records:,} of {progress.total_records:,} rows"
    print(line.ljust(79), end=end, file=sys.stderr, flush=True)  # noqa: T201 # what was asked for
