"""`python -m screenshots FOLDER`: take the pictures anew."""

import argparse
import asyncio
import logging
from pathlib import Path

import structlog

from screenshots.pictures import take_pictures
from screenshots.server import running_site


async def _main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with running_site() as site:
        await take_pictures(site, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m screenshots", description=__doc__)
    # The shop's jobs fail on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parser.add_argument("folder", type=Path, help="where the pictures go")
    asyncio.run(_main(parser.parse_args().folder))
