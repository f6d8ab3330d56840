"""The table on the terminal and the JSON file."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.dataset import PROJECT

LATEST = PROJECT / "bench" / "results" / "latest.json"


def print_table(console: Console, document: dict[str, Any]) -> None:
    """Print one row for each target."""
    table = Table(title="Command API against its peers, interleaved in one run", title_justify="left")
    table.add_column("measure", ratio=3)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("verdict")
    table.add_column("product", style="dim")
    table.add_column("peer", style="dim")
    table.add_column("prototype", style="dim", no_wrap=True)
    for row in document["rows"]:
        verdict = row["verdict"]
        style = "green" if verdict.startswith("meets") else "red" if verdict == "misses" else "yellow"
        table.add_row(
            row["measure"],
            row["shown"],
            row["target"],
            f"[{style}]{verdict}[/]",
            row["product"],
            row["peer"],
            row["prototype"],
        )
    console.print(table)


def with_earlier(document: dict[str, Any]) -> dict[str, Any]:
    """A run's document, with the rows that it did not measure from the last document of the same scale."""
    if not LATEST.exists():
        return document
    earlier = json.loads(LATEST.read_text(encoding="utf-8"))
    if earlier["scale"] != json.loads(json.dumps(document["scale"])):
        return document
    before = {row["key"]: row for row in earlier["rows"]}
    rows = [before[row["key"]] if row["value"] is None and row["key"] in before else row for row in document["rows"]]
    details = earlier["details"] | document["details"]
    return document | {"rows": rows, "details": details, "seconds": earlier["seconds"] + document["seconds"]}


def write_json(document: dict[str, Any]) -> Path:
    """Write `bench/results/latest.json`."""
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return LATEST
