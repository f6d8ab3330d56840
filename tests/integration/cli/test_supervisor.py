"""Worker processes are kept running and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from commandapi.supervisor import WorkerCommand, WorkerSupervisor

# Writes its pid into a folder, then works until it is told to stop or its parent is gone.
OBEDIENT = """
import asyncio, os, signal, sys
from pathlib import Path
from commandapi.supervisor import stdin_closed
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit, 0)
    file = Path(sys.argv[1]) / f".{os.getpid()}"
    file.write_text(os.environ["NAME"])
    file.rename(file.with_name(file.name[1:]))  # there with all that is in it, or not there
    await stdin_closed()
asyncio.run(main())
"""
STUBBORN = """
import os, signal, sys, threading
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(Path(sys.argv[1]) / str(os.getpid())).touch()
threading.Event().wait()
"""
BROKEN = "import sys; sys.exit(3)"

DEADLINE_SECONDS = 60


class Supervised:
    """A supervisor in the background with its messages."""

    def __init__(self, program: str, folder: Path, *, count: int = 2, stop_seconds: float = 10.0) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.dead: list[str] = []
        self.supervisor = WorkerSupervisor(
            commands=[WorkerCommand([sys.executable, "-c", program, str(folder)], os.environ, "NAME")] * count,
            say=self.said.append,
            on_death=self._note,
            stop_seconds=stop_seconds,
        )

    async def _note(self, name: str) -> None:
        self.dead.append(name)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.supervisor.stop.set()
        self.supervisor.hurry.set()
        await self.task

    @property
    def pids(self) -> set[int]:
        return {int(path.name) for path in self.folder.iterdir() if not path.name.startswith(".")}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_killed_worker_is_restarted_and_logged(tmp_path: Path) -> None:
    async with Supervised(OBEDIENT, tmp_path) as supervised:
        await supervised.until(lambda: len(supervised.pids) == 2)
        victim = min(supervised.pids)
        name = (tmp_path / str(victim)).read_text()
        os.kill(victim, signal.SIGKILL)
        await supervised.until(lambda: len(supervised.pids) == 3)
        assert len(supervised.said) == 1
        assert f"(pid {victim}) was killed by SIGKILL; starting it again" in supervised.said[0]
        assert supervised.dead == [name]
        names = {(tmp_path / str(pid)).read_text() for pid in supervised.pids}
        assert len(names) == 3, "each worker has a name of its own, also over time"


async def test_a_worker_that_cannot_start_is_restarted_with_growing_delays(tmp_path: Path) -> None:
    async with Supervised(BROKEN, tmp_path, count=1) as supervised:
        await supervised.until(lambda: len(supervised.said) >= 2)
    assert "ended with exit code 3; starting it again" in supervised.said[0]
    assert supervised.said[1].endswith("starting it again in 1 s")


async def test_a_missing_program_is_reported_and_stops_cleanly(tmp_path: Path) -> None:
    async with Supervised(BROKEN, tmp_path, count=1) as supervised:
        pass
    missing = Supervised(BROKEN, tmp_path, count=1)
    missing.supervisor.commands = [WorkerCommand(["/does/not/exist"], os.environ, "NAME")]
    async with missing:
        await missing.until(lambda: bool(missing.said))
    assert "cannot be started" in missing.said[0]
    assert supervised.task.done()


async def test_stop_ends_all_workers(tmp_path: Path) -> None:
    async with Supervised(OBEDIENT, tmp_path) as supervised:
        await supervised.until(lambda: len(supervised.pids) == 2)
        supervised.supervisor.stop.set()
        await asyncio.wait_for(supervised.task, DEADLINE_SECONDS)
    assert not any(runs(pid) for pid in supervised.pids)
    assert supervised.said == []
    assert supervised.dead == []


async def test_a_worker_that_does_not_stop_is_killed_in_time(tmp_path: Path) -> None:
    async with Supervised(STUBBORN, tmp_path, count=1, stop_seconds=0.2) as supervised:
        await supervised.until(lambda: len(supervised.pids) == 1)
        supervised.supervisor.stop.set()
        await asyncio.wait_for(supervised.task, DEADLINE_SECONDS)
    assert not any(runs(pid) for pid in supervised.pids)
    assert "did not stop, killing it" in supervised.said[0]


async def test_a_second_signal_kills_workers_at_once(tmp_path: Path) -> None:
    async with Supervised(STUBBORN, tmp_path, stop_seconds=3600) as supervised:
        await supervised.until(lambda: len(supervised.pids) == 2)
        supervised.supervisor.stop.set()
        supervised.supervisor.hurry.set()
        await asyncio.wait_for(supervised.task, DEADLINE_SECONDS)
    assert not any(runs(pid) for pid in supervised.pids)


PARENT = """
import asyncio, os, sys
from commandapi.supervisor import WorkerCommand, WorkerSupervisor
async def nothing(name): pass
loop = sys.argv[3]
async def main():
    command = WorkerCommand([sys.executable, "-c", sys.argv[2], sys.argv[1]], os.environ, "NAME")
    await WorkerSupervisor(commands=[command] * 2, say=print, on_death=nothing, stop_seconds=5).run()
if loop == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_workers_end_when_their_parent_is_killed(tmp_path: Path, loop: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), OBEDIENT, loop])
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(pids := {int(path.name) for path in tmp_path.iterdir() if path.name.isdecimal()}) < 2:
            await asyncio.sleep(0.01)
        parent.kill()
        parent.wait()
        while any(runs(pid) for pid in pids):
            await asyncio.sleep(0.01)
