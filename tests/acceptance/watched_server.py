"""The Command API in its own process, which reports how long its event loop was blocked.

A hold is the time between two turns of the loop in which its thread had not to wait for a processor, but at most the
processor time that the whole process took meanwhile. So what other processes take of the machine does not count: work
on the loop itself counts, and work on another thread that keeps the interpreter.
"""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request

from bulkport.runtime import event_loop_factory, spare_loaded_objects
from commandapi.app import create_app
from commandapi.connections import ConnectionGate, ConnectionLimits, guarded_protocol
from commandapi.settings import Settings

HELD = "/held"


class Probe:
    """Notes the longest time between two turns of the loop."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        # Linux: time on a processor, time ready to run without one, both in nanoseconds ("schedstats" in the kernel).
        self._schedule = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").open("rb", buffering=0)  # noqa: SIM115 - as long as the process
        self._cpu, self._ready = self._now()
        self._turn()

    def _now(self) -> tuple[float, float]:
        self._schedule.seek(0)
        waited = int(self._schedule.read().split()[1]) / 1e9
        return time.process_time(), time.monotonic() - waited

    def _turn(self) -> None:
        cpu, ready = self._now()
        self.longest = max(self.longest, min(cpu - self._cpu, ready - self._ready))
        self._cpu, self._ready = cpu, ready
        self._loop.call_later(0.001, self._turn)

    def take(self) -> float:
        """The longest lag since the last reading, in seconds."""
        longest, self.longest = self.longest, 0.0
        return longest


async def serve(database_url: str, settings: dict[str, object]) -> None:
    """Serve until the standard input ends; prints the port."""
    app: FastAPI = create_app(Settings.model_validate({"database_url": database_url, **settings}))
    probe = Probe()

    @app.get(HELD)
    async def held(request: Request) -> float:
        return probe.take()

    gate = ConnectionGate(ConnectionLimits())
    config = uvicorn.Config(app, port=0, loop="none", http=guarded_protocol(gate), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    spare_loaded_objects()
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    sys.setswitchinterval(0.001)
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(serve(sys.argv[1], json.loads(sys.argv[2])))
