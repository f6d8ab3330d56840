"""Notes of a run are written seldom, never waited for, and complete at its end."""

import asyncio
import threading

import pytest

from bulkport.jobs import run_output
from bulkport.jobs.run_output import PendingOutput, Progress, RunOutput, StoredOutput
from bulkport.sanitize import NotStorable


class Written:
    """What was written, and how long each write takes."""

    def __init__(self) -> None:
        self.notes: list[PendingOutput] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, pending: PendingOutput) -> None:
        await self.gate.wait()
        self.notes.append(pending)

    @property
    def lines(self) -> list[str]:
        return [line.message for notes in self.notes for line in notes.lines]


async def test_many_updates_become_few_writes_and_the_last_one_counts() -> None:
    written = Written()
    notes = RunOutput(written.write)
    for done in range(500):
        notes.set_progress(Progress(done, 500, None))
        if done % 100 == 0:
            await asyncio.sleep(0)
    await notes.finish()
    assert len(written.notes) <= 2
    assert written.notes[-1].progress == Progress(499, 500, None)


async def test_output_is_written_while_the_run_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_output, "WRITE_SECONDS", 0.01)
    written = Written()
    notes = RunOutput(written.write)
    for number in range(3):
        notes.add_line(str(number), "info")
        async with asyncio.timeout(60):
            while len(written.lines) <= number:
                await asyncio.sleep(0.005)
    await notes.finish()
    assert written.lines == ["0", "1", "2"]


async def test_a_slow_write_neither_delays_nor_loses_output() -> None:
    written = Written()
    written.gate.clear()
    notes = RunOutput(written.write)
    notes.add_line("first", "info")
    await asyncio.sleep(0.02)
    notes.add_line("second", "info")
    finishing = asyncio.create_task(notes.finish())
    await asyncio.sleep(0.02)
    assert not finishing.done()
    written.gate.set()
    await finishing
    assert written.lines == ["first", "second"]


async def test_threads_can_write_output() -> None:
    written = Written()
    notes = RunOutput(written.write)

    def work() -> None:
        for number in range(100):
            notes.add_line(str(number), "info")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await asyncio.sleep(0.005)
    await notes.finish()
    assert sorted(written.lines) == sorted(4 * [str(number) for number in range(100)])
    numbers = [line.line for each in written.notes for line in each.lines]
    assert numbers == list(range(1, 401))


async def test_output_after_the_end_is_dropped() -> None:
    written = Written()
    notes = RunOutput(written.write)
    await notes.finish()
    notes.add_line("late", "info")
    await asyncio.sleep(0.02)
    assert written.notes == []


async def test_log_lines_of_a_job_are_bounded_across_its_runs() -> None:
    written = Written()
    notes = RunOutput(written.write, StoredOutput(lines=run_output.MOST_LINES - 1))
    for _ in range(3):
        notes.add_line("x" * 3_000, "info")
    notes.add_line("more", "info")
    await notes.finish()
    assert len(written.lines) == 2
    assert len(written.lines[0]) == run_output.MOST_LINE_LENGTH
    assert "1,000 lines" in written.lines[1]


async def test_unstorable_text_is_sanitized() -> None:
    written = Written()
    notes = RunOutput(written.write)
    notes.add_line("a\0b\ud800", "warning")
    notes.set_progress(Progress(1, 2, "\0"))
    await notes.finish()
    assert written.lines == ["a\ufffdb?"]
    assert written.notes[0].progress == Progress(1, 2, "\ufffd")


def test_a_checkpoint_is_json_and_readable_at_once() -> None:
    notes = RunOutput(stored=StoredOutput(checkpoint={"row": 3}))
    assert notes.checkpoint == {"row": 3}
    notes.set_checkpoint([1])
    assert notes.checkpoint == [1]
    for value in (object(), "\0", float("nan"), "x" * run_output.MOST_CHECKPOINT_BYTES):
        with pytest.raises(NotStorable):
            notes.set_checkpoint(value)  # type: ignore[arg-type]
    assert notes.checkpoint == [1]


def test_an_unknown_level_is_rejected() -> None:
    with pytest.raises(ValueError, match="loud"):
        RunOutput().add_line("text", "loud")
