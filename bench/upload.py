"""Imports one file from a process of its own and prints its times as JSON.

Used beside other load, so that two load generators do not share one interpreter lock. The key comes by the
environment (`BENCH_API_KEY`), since command lines are public.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.connection import Connection, Server
from bench.dataset import PROJECT, Body
from bench.imports import FinishedImport, import_file

POLL_SECONDS = 0.05


class Upload:
    """An import that runs in another process."""

    def __init__(self, server: Server, resource: str, body: Body, patience_seconds: float) -> None:
        command = [sys.executable, "-m", "bench.upload", server.host, str(server.port), resource, str(body.path)]
        self._process = subprocess.Popen(
            [*command, body.content_type, str(patience_seconds)],
            cwd=PROJECT,
            env=os.environ | {"BENCH_API_KEY": server.api_key},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._patience_seconds = patience_seconds

    @property
    def is_running(self) -> bool:
        """Whether the import is not yet final."""
        return self._process.poll() is None

    def finish(self) -> FinishedImport:
        """Wait for the final status."""
        out, _ = self._process.communicate(timeout=self._patience_seconds + 30)
        if self._process.returncode:
            raise RuntimeError(f"the upload ended with {self._process.returncode}")
        return FinishedImport(**json.loads(out))

    def stop(self) -> None:
        """End the process if it still runs."""
        if self.is_running:
            self._process.kill()
        self._process.wait()


def main() -> None:
    """Run one import."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("resource")
    parser.add_argument("file", type=Path)
    parser.add_argument("content_type")
    parser.add_argument("patience_seconds", type=float)
    given = parser.parse_args()
    started = time.process_time()
    with Connection(Server(given.host, given.port, os.environ["BENCH_API_KEY"])) as connection:
        finished = import_file(
            connection,
            given.resource,
            given.file,
            given.content_type,
            poll_seconds=POLL_SECONDS,
            patience_seconds=given.patience_seconds,
        )
    print(json.dumps(dataclasses.asdict(finished)))
    print(f"the load generator used {time.process_time() - started:.3f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
