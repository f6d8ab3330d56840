"""Shows the progress of an import: two bars in a terminal, plain lines elsewhere."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from bulkport.cli.wording import counted, lasting, sized
from bulkport.client import ImportProgress

_SECONDS_BETWEEN_LINES: Final = 2.0


class ProgressDisplay(ABC):
    """Shows an upload, then the processing of its rows. A context manager."""

    @abstractmethod
    def show_sent(self, sent: int) -> None:
        """So many bytes are sent."""

    @abstractmethod
    def show_accepted(self, rows: int) -> None:
        """The upload is complete and has this many rows."""

    @abstractmethod
    def show_progress(self, progress: ImportProgress) -> None:
        """So many rows are processed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Bars(ProgressDisplay):
    """Progress bars with bytes and their rate, then rows, rows a second and the time left."""

    def __init__(self, console: Console, name: str, size: int | None) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            _Amount(table_column=Column(no_wrap=True)),
            console=console,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._upload = self._bars.add_task(f"Uploading {name}", total=size, amount=_amount_of_bytes)
        self._processing = self._bars.add_task(
            "Processing", total=None, visible=False, start=False, amount=_amount_of_rows, progress=None
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show_sent(self, sent: int) -> None:
        self._bars.update(self._upload, completed=sent)

    def show_accepted(self, rows: int) -> None:
        sent = int(self._bars.tasks[self._upload].completed)
        self._bars.update(self._upload, total=sent, completed=sent)
        self._bars.start_task(self._processing)
        self._bars.update(self._processing, total=rows, visible=True)

    def show_progress(self, progress: ImportProgress) -> None:
        self._bars.update(
            self._processing,
            completed=progress.processed_records,
            total=progress.total_records,
            progress=progress,
            refresh=progress.is_settled,
        )


class Lines(ProgressDisplay):
    """One line now and then, for logs and pipes."""

    def __init__(
        self, console: Console, name: str, size: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._name = name
        self._size = size
        self._clock = clock
        self._sent = 0
        self._started = self._last_line = clock()

    def show_sent(self, sent: int) -> None:
        self._sent = sent
        if self._is_due():
            of_all = "" if self._size is None else f" of {sized(self._size)}"
            self._say(f"uploading {self._name}: {sized(sent)}{of_all}")

    def show_accepted(self, rows: int) -> None:
        seconds = self._clock() - self._started
        self._say(f"uploaded {self._name}: {sized(self._sent)} in {lasting(seconds)}, {counted(rows, 'row')}")

    def show_progress(self, progress: ImportProgress) -> None:
        if not progress.is_settled and self._is_due():
            self._say(f"processing: {_amount_of_progress(progress)}")

    def _is_due(self) -> bool:
        return self._clock() - self._last_line >= _SECONDS_BETWEEN_LINES

    def _say(self, line: str) -> None:
        self._last_line = self._clock()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def progress_display(console: Console, name: str, size: int | None) -> ProgressDisplay:
    """Bars where `console` is a terminal, else lines.

    Parameters
    ----------
    size:
        Bytes to send; None if unknown.
    """
    return Bars(console, name, size) if console.is_terminal else Lines(console, name, size)


class _Amount(ProgressColumn):
    def render(self, task: Task) -> Text:
        amount: Callable[[Task], str] = task.fields["amount"]
        return Text(amount(task), style="progress.download")


def _amount_of_bytes(task: Task) -> str:
    of_all = "" if task.total is None or task.finished else f" of {sized(task.total)}"
    speed = task.finished_speed or task.speed
    rate = "" if speed is None else f", {sized(speed)}/s"
    return f"{sized(task.completed)}{of_all}{rate}"


def _amount_of_rows(task: Task) -> str:
    progress: ImportProgress | None = task.fields["progress"]
    return "waiting for a worker" if progress is None else _amount_of_progress(progress)


def _amount_of_progress(progress: ImportProgress) -> str:
    amount = f"{progress.processed_records:,} of {counted(progress.total_records, 'row')}"
    if progress.started_at is None:
        return f"{amount}, waiting for a worker"
    if progress.rows_per_second:
        amount += f", {progress.rows_per_second:,.0f} rows/s"
    if progress.eta_seconds and not progress.is_settled:
        amount += f", {lasting(progress.eta_seconds)} left"
    if progress.failure_count:
        amount += f", {progress.failure_count:,} rejected"
    return amount
