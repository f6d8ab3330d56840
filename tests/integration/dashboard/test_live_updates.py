"""Live updates: one poller sends changes to all open pages."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from live_client import until, watch

from bulkport.dashboard import Role
from bulkport.dashboard.core.sse.hub import Hub
from dashboard_site import FixedAccess, SiteData, browser_of, build_site, sample_data

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def data() -> SiteData:
    return sample_data()


@pytest.fixture
async def hub() -> Hub:
    return Hub(is_stopping=lambda: False)


@pytest.fixture
async def app(data: SiteData, hub: Hub) -> FastAPI:
    return build_site(data, FixedAccess(), hub=hub)


def pollers() -> int:
    return sum(task.get_name() == "dashboard poller" for task in asyncio.all_tasks())


async def test_the_stream_is_valid_server_sent_events(app: FastAPI) -> None:
    async with watch(app, "jobs") as viewer:
        await until(lambda: viewer.fragments("live_jobs"), "the first state")
    assert viewer.status == 200
    assert viewer.headers["content-type"] == "text/event-stream"
    assert viewer.headers["cache-control"] == "no-store"
    assert viewer.headers["x-accel-buffering"] == "no"
    name, data = viewer.events[0]
    assert name == "clock"
    assert abs(data["now"] / 1000 - time.time()) < 60


async def test_fragments_match_the_page(app: FastAPI) -> None:
    async with watch(app, "jobs?state=failed") as viewer, browser_of(app) as browser:
        await until(lambda: viewer.fragments("live_jobs"), "the first state")
        page = (await browser.get("/hangfire/jobs?state=failed")).text
    without_times = re.compile(r"(data-tick=\"\w+\">)[^<]*")
    for name in ("live_nav", "live_side", "live_jobs"):
        (fragment,) = viewer.fragments(name)
        assert without_times.sub(r"\1", fragment).strip() in without_times.sub(r"\1", page), name
    assert not viewer.fragments("live_tiles")


async def test_viewers_receive_only_what_changed(app: FastAPI, data: SiteData) -> None:
    async with watch(app, "jobs") as viewer:
        await until(lambda: viewer.fragments("live_jobs"), "the first state")
        loads = data.loads
        await until(lambda: data.loads >= loads + 2, "two more looks")
        assert len([event for event, _ in viewer.events if event == "fragment"]) == 3
        data.jobs[0].note = "other"
        await until(lambda: len(viewer.fragments("live_jobs")) == 2, "the change")
        assert "other" in viewer.fragments("live_jobs")[-1]
        assert len(viewer.fragments("live_nav")) == len(viewer.fragments("live_side")) == 1


async def test_ten_viewers_of_a_page_cost_as_much_as_one(app: FastAPI, data: SiteData, hub: Hub) -> None:
    async with contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(watch(app, "jobs")) for _ in range(10)]
        await until(lambda: all(viewer.fragments("live_jobs") for viewer in viewers), "the first states")
        assert (hub.viewers, pollers()) == (10, 1)
        loads, started = data.loads, time.monotonic()
        await until(lambda: data.loads >= loads + 2, "two more looks")
        assert data.loads - loads <= (time.monotonic() - started) / 0.25 + 2
        data.jobs[0].note = "other"
        await until(lambda: all(len(viewer.fragments("live_jobs")) == 2 for viewer in viewers), "the change")


async def test_polling_stops_with_the_last_viewer(app: FastAPI, data: SiteData, hub: Hub) -> None:
    async with watch(app, "jobs"):
        async with watch(app, ""):
            await until(lambda: data.loads >= 2, "a look at each")
        await until(lambda: hub.viewers == 1, "the first to go")
        assert pollers() == 1
    await until(lambda: hub.viewers == 0 and pollers() == 0, "the poller to stop")
    async with watch(app, "jobs") as viewer:
        await until(lambda: viewer.fragments("live_jobs"), "a new poller")


async def test_operators_content_is_not_sent_to_other_viewers(data: SiteData, hub: Hub) -> None:
    access = FixedAccess()
    app = build_site(data, access, hub=hub)
    async with watch(app, "jobs") as operator:
        await until(lambda: operator.fragments("live_jobs"), "the operator's page")
        access.current = FixedAccess(Role.READ_ONLY).current
        async with watch(app, "jobs") as reader:
            await until(lambda: reader.fragments("live_jobs"), "the reader's page")
    assert "do/jobs/requeue" in operator.fragments("live_jobs")[0]
    assert "do/jobs/requeue" not in reader.fragments("live_jobs")[0]


async def test_streams_contain_no_csrf_token(app: FastAPI) -> None:
    async with watch(app, "jobs") as viewer:
        await until(lambda: viewer.fragments("live_jobs"), "the first state")
    assert "csrf" not in json.dumps(viewer.events)


async def test_a_slow_viewer_eventually_gets_the_latest_state(app: FastAPI, data: SiteData) -> None:
    async with watch(app, "jobs") as slow, watch(app, "jobs") as fast:
        await until(lambda: slow.fragments("live_jobs") and fast.fragments("live_jobs"), "the first states")
        slow.reading.clear()
        for step in range(3):
            data.jobs[0].note = f"step {step}"
            await until(lambda step=step: f"step {step}" in fast.fragments("live_jobs")[-1], "the change")
        before = len(slow.fragments("live_jobs"))
        slow.reading.set()
        await until(lambda: "step 2" in slow.fragments("live_jobs")[-1], "the newest state")
        # One state was on its way when it stopped reading; of the others only the last is kept.
        assert len(slow.fragments("live_jobs")) <= before + 2


async def test_a_database_outage_and_its_end_are_shown(app: FastAPI, data: SiteData) -> None:
    async with watch(app, "jobs") as viewer:
        await until(lambda: viewer.fragments("live_jobs"), "the first state")
        data.error = RuntimeError("away")
        await until(lambda: ("stale", {"page": "jobs", "stale": True}) in viewer.events, "the trouble to be told")
        data.error = None
        data.jobs[0].note = "other"
        await until(lambda: ("stale", {"page": "jobs", "stale": False}) in viewer.events, "the end of it")
        await until(lambda: len(viewer.fragments("live_jobs")) == 2, "the change")


async def test_unknown_pages_have_no_stream(app: FastAPI) -> None:
    async with watch(app, "nowhere") as viewer:
        await until(lambda: viewer.has_ended, "the answer")
    assert viewer.status == 404


async def test_the_number_of_viewers_is_limited(data: SiteData) -> None:
    app = build_site(data, FixedAccess(), hub=Hub(max_viewers=1, is_stopping=lambda: False))
    async with watch(app, "jobs") as first:
        await until(lambda: first.fragments("live_jobs"), "the first viewer")
        async with watch(app, "") as second:
            await until(lambda: second.has_ended, "the answer to the second")
        assert second.status == 503
    async with watch(app, "") as third:
        await until(lambda: third.fragments("live_tiles"), "a viewer after that")


async def test_closing_ends_the_streams_of_viewers_that_do_not_read(app: FastAPI, hub: Hub, data: SiteData) -> None:
    async with watch(app, "jobs") as reading, watch(app, "jobs") as stuck:
        await until(lambda: reading.fragments("live_jobs") and stuck.fragments("live_jobs"), "the first states")
        stuck.reading.clear()
        data.jobs[0].note = "other"
        await until(lambda: len(reading.fragments("live_jobs")) == 2, "the change")
        app.state.dashboard.end_streams()
        await until(lambda: reading.has_ended and hub.viewers == 0, "the end of both")


SERVER = """
import socket
import sys
import uvicorn
sys.path.insert(0, {tests!r})
from dashboard_site import build_site, sample_data
bound = socket.socket()
bound.bind(("127.0.0.1", 0))
print(bound.getsockname()[1], flush=True)
config = uvicorn.Config(build_site(sample_data()), log_level="warning", timeout_graceful_shutdown=600)
uvicorn.Server(config).run(sockets=[bound])
"""


@contextlib.contextmanager
def uvicorn_process() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, "-c", SERVER.format(tests=str(TESTS))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_uvicorn_does_not_wait_for_open_pages(number: signal.Signals) -> None:
    with uvicorn_process() as (process, url), httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.ConnectError):
                if client.get("/hangfire/").status_code == 200:
                    break
            assert time.monotonic() < deadline, "waited 60 s in vain for the server"
            time.sleep(0.02)
        with client.stream("GET", "/hangfire/live/?watch=") as stream:
            lines = stream.iter_lines()
            assert any("live_tiles" in line for line in lines)
            process.send_signal(number)
            signalled = time.monotonic()
            for _ in lines:
                pass
            process.wait(60)
            assert time.monotonic() - signalled < 60
