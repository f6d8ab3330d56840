"""Python processes of tests without the second that their imports take: one that has made them forks the others."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import psutil
from chaos.nursery import Files, Nursery, open_nursery

END_SECONDS = 150.0


@cache
def nursery() -> Nursery:
    """Where the processes of this process's tests come from."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(open_nursery())


class ForkedProcess:
    """`python ARGUMENTS`, used as one that `subprocess.Popen` has started; its output goes to files.

    Parameters
    ----------
    arguments
        A script, `-m MODULE` or `-c PROGRAM`, and what follows.
    environment
        All of its environment; by default this process's own.
    log
        A file that both outputs are appended to.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
        stdin: bytes = b"",
    ) -> None:
        self.arguments = arguments
        self.returncode: int | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="bulkport-process-"))
        files = Files.in_folder(self._folder)
        self._files = files if log is None else Files(files.input, log, log, files.status)
        self._files.input.write_bytes(stdin)
        for path in {self._files.output, self._files.errors}:
            path.touch()
        whole = os.environ if environment is None else environment
        self.pid = nursery().start_python(arguments, whole, self._files, folder or Path.cwd())
        self._process: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(self.pid)

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._files.output.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it has complained of so far."""
        return self._files.errors.read_text("utf-8", "replace")

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self.returncode is None and not (self._process is not None and self._process.is_running()):
            status = self._files.status
            self.returncode = int(status.read_text()) if status.exists() else -signal.SIGKILL
        return self.returncode

    def wait(self, timeout: float = END_SECONDS) -> int:
        """Wait for its end; its exit code.

        Raises
        ------
        subprocess.TimeoutExpired
            If it has not ended after so many seconds.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(self.arguments), timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Stop it if it still runs, and discard its output."""
        self.kill()
        self.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def run_python(
    *arguments: str, environment: Mapping[str, str] | None = None, folder: Path | None = None, stdin: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """Run `python ARGUMENTS` to its end."""
    process = ForkedProcess(arguments, environment=environment, folder=folder, stdin=stdin)
    try:
        code = process.wait()
        return subprocess.CompletedProcess(arguments, code, process.stdout, process.stderr)
    finally:
        process.close()
