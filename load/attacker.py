"""One attack, in a process of its own: `python -m load.attacker NAME HOST PORT`, the key on standard input.

It says `begun` when all that the attack needs is there. It ends when standard input does, and prints what was answered
as JSON.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress

from bulkport.runtime import event_loop_factory
from load.attacks import ATTACKS
from load.wire import Target

_LOWEST_PRIORITY = 19


async def _attack(name: str, target: Target) -> None:
    attack = asyncio.create_task(ATTACKS[name](target))
    begun = asyncio.create_task(target.begun.wait())
    await asyncio.wait([attack, begun], return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    print("begun", flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([attack, asyncio.ensure_future(ended)], return_when=asyncio.FIRST_COMPLETED)
    if attack.done():
        await attack
    attack.cancel()
    with suppress(asyncio.CancelledError):
        await attack


def main() -> None:
    """Attack until stopped."""
    os.nice(_LOWEST_PRIORITY)
    name, host, port = sys.argv[1:]
    target = Target(host, int(port), sys.stdin.readline().strip())
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        try:
            runner.run(_attack(name, target))
        except BaseExceptionGroup as errors:
            target.answers[f"attack ended: {errors.exceptions[0]!r}"[:100]] += 1
    json.dump(target.answers, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # a thread still reads standard input


if __name__ == "__main__":
    main()
