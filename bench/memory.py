"""Peak memory of processes.

The peak resident set is the kernel's own high-water mark (`VmHWM` in /proc/PID/status, proc(5)), which misses
nothing between two samples. It counts shared library pages in every process; the unique set (USS), sampled every
50 ms, does not. Where there is no /proc, the resident set is sampled too.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_SAMPLE_SECONDS = 0.05
_MIB = 2**20


@dataclass(slots=True)
class Peak:
    """Highest memory of one process, in MiB."""

    name: str
    pid: int
    resident: float = 0.0
    unique: float = 0.0


class PeakMemory:
    """Watches processes while the block runs.

    Parameters
    ----------
    processes:
        Pid of each process under the name it has in the report. They should be fresh: the kernel's mark covers
        their whole life.
    """

    def __init__(self, processes: dict[str, int]) -> None:
        self.peaks = [Peak(name, pid) for name, pid in processes.items()]
        self._handles = {peak.pid: psutil.Process(peak.pid) for peak in self.peaks}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for peak in self.peaks:
            try:
                used = self._handles[peak.pid].memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            peak.unique = max(peak.unique, used.uss / _MIB)
            peak.resident = max(peak.resident, used.rss / _MIB, _high_water_mark(peak.pid))


def _high_water_mark(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
