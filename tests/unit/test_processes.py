"""What a long process does at its start."""

import subprocess
import sys

_PROGRAM = """
import asyncio, gc
from bulkport.jobs import run_until_signal

async def look(stop: asyncio.Event) -> None:
    print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 10_000)

run_until_signal(look)
"""


def test_garbage_collection_of_a_worker_skips_what_was_loaded_before() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
