"""What a running job does at this moment, as another thread sees it."""

import asyncio
import re
import threading
from typing import Any

from bulkport.jobs.running_code import Profile, stack_of
from bulkport.jobs.threads import RunLimits, TaskThreads, run_in_thread


def functions(stack: str) -> list[str]:
    """The functions of this module in a stack, the innermost last."""
    found: list[str] = re.findall(r'test_running_code.py", line \d+, in (?:\S+\.)?(\w+)', stack)
    return found


async def outer(gate: asyncio.Event) -> None:
    await inner(gate)


async def inner(gate: asyncio.Event) -> None:
    await gate.wait()


async def gathering(gate: asyncio.Event) -> None:
    await asyncio.gather(asyncio.sleep(0), outer(gate))


async def stack_once(run: "asyncio.Task[Any]", *, has: str) -> list[str]:
    """The functions in the stack of a run, once it has come to one of them."""
    loop, here = asyncio.get_running_loop(), threading.get_ident()
    async with asyncio.timeout(60):
        while has not in (found := functions(await asyncio.to_thread(stack_of, run, loop, here))):
            await asyncio.sleep(0)
    return found


async def test_a_coroutine_is_seen_where_it_waits_through_all_that_it_awaits() -> None:
    gate = asyncio.Event()
    run = asyncio.create_task(outer(gate))
    assert await stack_once(run, has="inner") == ["outer", "inner"]
    other = asyncio.create_task(gathering(gate))
    assert await stack_once(other, has="inner") == ["gathering", "outer", "inner"]
    gate.set()
    await asyncio.gather(run, other)
    assert stack_of(run, asyncio.get_running_loop(), threading.get_ident()) == ""


async def test_a_run_that_blocks_the_event_loop_is_seen_all_the_same() -> None:
    loop, here = asyncio.get_running_loop(), threading.get_ident()
    is_blocked, seen, stacks = threading.Event(), threading.Event(), []

    async def blocking() -> None:
        is_blocked.set()
        assert seen.wait(60)

    run = asyncio.create_task(blocking())

    def look() -> None:
        assert is_blocked.wait(60)
        stacks.append(stack_of(run, loop, here))
        seen.set()

    looking = threading.Thread(target=look)
    looking.start()
    await run
    looking.join()
    assert functions(stacks[0]) == ["blocking"]


async def test_a_run_in_a_thread_is_seen_there_and_its_profile_counts_where_it_is() -> None:
    gate = threading.Event()

    def waiting(context: Any) -> None:
        assert gate.wait(60)

    context: Any = None
    run = asyncio.create_task(run_in_thread(waiting, context, RunLimits(None, 60), TaskThreads(1)))
    assert "waiting" in await stack_once(run, has="waiting")
    profiled = asyncio.Event()
    loop = asyncio.get_running_loop()
    profile = Profile(
        run, loop, threading.get_ident(), 0.05, lambda _: asyncio.run_coroutine_threadsafe(_set(profiled), loop)
    )
    async with asyncio.timeout(60):
        await profiled.wait()
    assert re.search(r"waiting \(\S+test_running_code\.py:\d+\).* \d+\n", profile.folded)
    assert "waiting" in functions(profile.last_stack)
    gate.set()
    await run


async def _set(event: asyncio.Event) -> None:
    event.set()
