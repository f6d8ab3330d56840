"""Bodies for the product and files for the peers, made from real names and commands.

The catalogue is `../shared/data/tldr` where it is there, else the examples that the application ships. It is repeated
until there are rows enough, each round with a number appended. One record in a hundred is bad, each time in another
way, and the peers are given the good ones only.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLES = PROJECT / "apps" / "commandapi" / "src" / "commandapi" / "examples"
CATALOGUES = (PROJECT.parent / "shared" / "data" / "tldr", EXAMPLES)

NDJSON = "application/x-ndjson"
CSV = "text/csv"

_BAD_EVERY = 100
_BAD_AT = 57
_BLOCK = 10_000
_UNKNOWN_PLATFORM = 10**12

_BAD_PLATFORM_LINES = (
    '{"platformName":"   "}',
    '{"platformName":"' + "x" * 101 + '"}',
    '{"platformName":12345}',
    '{"name":"no platformName"}',
    '{"platformName":"never closed',
)
_BAD_PLATFORM_CSV = ('"   "', "x" * 101, "one,cell too many", '"   "', "y" * 200)


@dataclass(frozen=True, slots=True)
class Body:
    """One body to import and the same good rows for `\\copy`."""

    path: Path
    content_type: str
    records: int
    good: int
    copy_path: Path
    copy_columns: str
    copy_options: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the catalogue's commands."""

    how_to: str
    command_line: str
    platform_name: str


class Dataset:
    """Writes files on demand into `folder`, each once.

    Parameters
    ----------
    folder:
        Folder of the files; the caller removes it.

    Raises
    ------
    FileNotFoundError
        If there is no catalogue.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for catalogue in CATALOGUES:
            if (catalogue / "platforms.csv").is_file():
                self.catalogue = catalogue
                return
        raise FileNotFoundError(f"no platforms.csv in {' or '.join(map(str, CATALOGUES))}")

    @cached_property
    def platform_names(self) -> list[str]:
        """The catalogue's platforms; the n-th has the id n in every platforms table of the run."""
        with (self.catalogue / "platforms.csv").open(encoding="utf-8", newline="") as file:
            return [row["platformName"] for row in csv.DictReader(file)]

    @cached_property
    def catalogue_commands(self) -> list[Command]:
        """The catalogue's commands, from CSV or NDJSON."""
        path = self.catalogue / "commands.csv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows: list[dict[str, str]] = list(csv.DictReader(file))
        else:
            lines = (self.catalogue / "commands.ndjson").read_text(encoding="utf-8").split("\n")
            rows = [json.loads(line) for line in lines if line.strip()]
        return [Command(row["howTo"], row["commandLine"], row["platformName"]) for row in rows]

    def names(self, count: int) -> Iterator[str]:
        """Yield `count` distinct platform names."""
        return islice(_rounds(self.platform_names), count)

    def commands(self, count: int) -> Iterator[Command]:
        """Yield `count` commands, made distinct by the number of the round."""
        source = self.catalogue_commands
        how_to = islice(_rounds([command.how_to[:240] for command in source]), count)
        for number, text in enumerate(how_to):
            command = source[number % len(source)]
            yield Command(text, command.command_line, command.platform_name)

    def platforms_ndjson(self, records: int) -> Body:
        """A body of platforms, one record in a hundred bad."""
        path, copy_path = self._paths(f"platforms-{records}", "ndjson")
        body = Body(path, NDJSON, records, records - _bad_count(records), copy_path, "platform_name")
        if not path.exists():
            _write(
                body,
                (_json_platform(name) for name in self.names(records)),
                (f"{_copy_text(name)}\n" for name in self.names(records)),
                lambda number: _BAD_PLATFORM_LINES[number % len(_BAD_PLATFORM_LINES)],
            )
        return body

    def platforms_csv(self, records: int) -> Body:
        """The same platforms as CSV; `\\copy` reads CSV too."""
        path, copy_path = self._paths(f"platforms-{records}", "csv")
        options = "(format csv)"
        good = records - _bad_count(records)
        body = Body(path, CSV, records, good, copy_path, "platform_name", options)
        if not path.exists():
            _write(
                body,
                map(_csv_cell, self.names(records)),
                (f"{_csv_cell(name)}\n" for name in self.names(records)),
                lambda number: _BAD_PLATFORM_CSV[number % len(_BAD_PLATFORM_CSV)],
                header="platformName\n",
            )
        return body

    def commands_ndjson(self, records: int, *, by_name: bool) -> Body:
        """A body of commands that give `platformName` or `platformId`, one record in a hundred bad."""
        path, copy_path = self._paths(f"commands-by-{'name' if by_name else 'id'}-{records}", "ndjson")
        columns = "how_to, command_line, platform_id"
        body = Body(path, NDJSON, records, records - _bad_count(records), copy_path, columns)
        if not path.exists():
            ids = {name: number for number, name in enumerate(self.platform_names, start=1)}
            _write(
                body,
                (_json_command(command, None if by_name else ids) for command in self.commands(records)),
                (
                    f"{_copy_text(command.how_to)}\t{_copy_text(command.command_line)}\t{ids[command.platform_name]}\n"
                    for command in self.commands(records)
                ),
                lambda number: _bad_command(number, by_name=by_name),
            )
        return body

    def good_platforms_csv(self, rows: int) -> Path:
        """A CSV file with a header and good rows only, for the peers that read files themselves."""
        path = self.folder / f"good-platforms-{rows}.csv"
        if not path.exists():
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["platformName"])
                writer.writerows([name] for name in self.names(rows))
        return path

    def envelopes(self, count: int, rows: int) -> list[bytes]:
        """JSON envelopes of `rows` platforms each, all of them good."""
        names = self.names(count * rows)
        return [
            b'{"platforms":[%s]}' % ",".join(map(_json_platform, islice(names, rows))).encode() for _ in range(count)
        ]

    def _paths(self, stem: str, suffix: str) -> tuple[Path, Path]:
        return self.folder / f"{stem}.{suffix}", self.folder / f"{stem}.{suffix}.copy"


def _rounds(values: list[str]) -> Iterator[str]:
    yield from values
    number = 2
    while True:
        suffix = f" {number}"
        yield from (value + suffix for value in values)
        number += 1


def _is_bad(index: int) -> bool:
    return index % _BAD_EVERY == _BAD_AT


def _bad_count(records: int) -> int:
    return (records + _BAD_EVERY - 1 - _BAD_AT) // _BAD_EVERY


def _json_platform(name: str) -> str:
    return f'{{"platformName":{json.dumps(name, ensure_ascii=False)}}}'


def _json_command(command: Command, ids: dict[str, int] | None) -> str:
    how_to = json.dumps(command.how_to, ensure_ascii=False)
    command_line = json.dumps(command.command_line, ensure_ascii=False)
    if ids is None:
        platform = f'"platformName":{json.dumps(command.platform_name, ensure_ascii=False)}'
    else:
        platform = f'"platformId":{ids[command.platform_name]}'
    return f'{{"howTo":{how_to},"commandLine":{command_line},{platform}}}'


def _bad_command(number: int, *, by_name: bool) -> str:
    known = '"platformName":"git"' if by_name else '"platformId":1'
    unknown = '"platformName":"no such platform"' if by_name else f'"platformId":{_UNKNOWN_PLATFORM}'
    return (
        f'{{"howTo":"{"x" * 251}","commandLine":"true",{known}}}',
        f'{{"howTo":"no command line",{known}}}',
        f'{{"howTo":"a platform that is not there","commandLine":"true",{unknown}}}',
        f'{{"howTo":"a number for text","commandLine":42,{known}}}',
        f'{{"howTo":"never closed","commandLine":"true",{known}',
    )[number % 5]


def _copy_text(value: str) -> str:
    """Escape one value for COPY's text format (PostgreSQL manual, COPY, Text Format)."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _csv_cell(value: str) -> str:
    if any(character in value for character in ',"\n\r\\'):
        return '"' + value.replace('"', '""') + '"'
    return value


def _write(
    body: Body,
    records: Iterator[str],
    copy_lines: Iterator[str],
    bad_record: Callable[[int], str],
    header: str = "",
) -> None:
    """Write body and copy file side by side, in blocks, so that ten million rows need no memory."""
    with body.path.open("w", encoding="utf-8", newline="") as out, body.copy_path.open("w", encoding="utf-8") as copy:
        out.write(header)
        index = bad = 0
        while block := list(islice(records, _BLOCK)):
            good_lines = list(islice(copy_lines, _BLOCK))
            for place in range((_BAD_AT - index) % _BAD_EVERY, len(block), _BAD_EVERY):
                block[place] = bad_record(bad)
                good_lines[place] = ""
                bad += 1
            out.write("\n".join(block))
            out.write("\n")
            copy.write("".join(good_lines))
            index += len(block)
    if body.records - bad != body.good:
        raise AssertionError(f"{body.path.name}: {bad} bad records were written, not {body.records - body.good}")
