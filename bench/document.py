"""Renders docs/benchmarks.md from a run's JSON."""

from pathlib import Path
from typing import Any

from bench.dataset import PROJECT
from bench.findings import TRIED

DOCUMENT = PROJECT / "docs" / "benchmarks.md"
TEMPLATE = Path(__file__).with_name("benchmarks.template.md")


def write_document(document: dict[str, Any]) -> None:
    """Write the page from the template `bench/benchmarks.template.md`."""
    parts = {
        "command": "make bench",
        "machine": _machine(document),
        "table": _table(document),
        "misses": _misses(document),
        "details": _details(document["details"]),
        "minutes": f"{document['seconds'] / 60:.0f}",
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"{{{{ {name} }}}}", part)
    DOCUMENT.write_text(text, encoding="utf-8")


def _machine(document: dict[str, Any]) -> str:
    machine = document["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    settings = ", ".join(f"`{name}={value}`" for name, value in machine["postgresql"].items())
    return (
        f"{machine['date']}; {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{machine['system']}, Python {machine['python']}; {packages}.\n\nPostgreSQL: {settings}. "
        f"Rows from {document['details']['catalogue']}, repeated with suffixes."
    )


def _table(document: dict[str, Any]) -> str:
    columns = ("measure", "value", "target", "verdict", "product", "peer", "measured")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in document["rows"]:
        cells = (row["shown" if name == "value" else name] for name in columns)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def _misses(document: dict[str, Any]) -> str:
    missed = [row for row in document["rows"] if row["verdict"] == "misses"]
    unknown = [row for row in document["rows"] if row["value"] is None]
    if not missed:
        return f"{len(unknown)} rows were not measured." if unknown else "Every row meets its target."
    return "\n".join(
        f"- **{row['measure']}** ({row['shown']}, target {row['target']}): "
        f"{TRIED.get(row['key'], 'not yet looked into.')}"
        for row in missed
    )


def _details(details: dict[str, Any]) -> str:
    sections = []
    for name, found in details.items():
        if isinstance(found, dict):
            lines = [f"### {name}", ""]
            lines += [f"- {_words(key)}: {_value(value)}" for key, value in found.items()]
            sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{_words(key)} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_value(inner) for inner in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
