"""`python -m recording FOLDER`: record the session anew, as `terminal.svg` and `terminal.cast`."""

import argparse
from pathlib import Path

from recording.cast import write_cast
from recording.drawing import write_drawing
from recording.session import record


def _main(folder: Path) -> None:
    lines = record()
    write_cast(lines, folder / "terminal.cast")
    write_drawing(lines, folder / "terminal.svg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m recording", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the two files go")
    _main(parser.parse_args().folder)
