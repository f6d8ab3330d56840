"""The results of a run: a value for each row of the table with its samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.targets import TARGETS, Target


@dataclass(frozen=True, slots=True)
class Value:
    """One row's value."""

    value: float
    product: str
    """What the product did, in words with units."""
    peer: str = ""
    """What the peer did."""


@dataclass(slots=True)
class Results:
    """Collects values as measures end."""

    machine: Mapping[str, Any]
    scale: Mapping[str, Any]
    values: dict[str, Value] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a row has no value."""
    details: dict[str, Any] = field(default_factory=dict)
    """Times, rates and distributions behind the values, by measure."""
    seconds: float = 0.0

    def put(self, key: str, value: float, product: str, peer: str = "") -> None:
        """Set one row's value."""
        self.values[key] = Value(value, product, peer)

    def verdict(self, target: Target) -> str:
        """`meets`, `misses` or `skipped: why`; with `aim` when the better value is reached too."""
        if target.key not in self.values:
            return f"skipped: {self.skipped[target.key]}" if target.key in self.skipped else "not run"
        value = self.values[target.key].value
        if not target.is_met_by(value):
            return "misses"
        return "meets, and the aim" if target.aim is not None and value <= target.aim else "meets"

    def rows(self) -> list[dict[str, Any]]:
        """The table, as JSON writes it."""
        rows = []
        for target in TARGETS:
            found = self.values.get(target.key)
            rows.append(
                {
                    "key": target.key,
                    "measure": target.measure,
                    "value": None if found is None else round(found.value, 3),
                    "shown": "" if found is None else target.show(found.value),
                    "product": "" if found is None else found.product,
                    "peer": "" if found is None else found.peer,
                    "target": target.text,
                    "verdict": self.verdict(target),
                    "measured": "" if found is None else self.machine["date"],
                    "prototype": target.prototype,
                }
            )
        return rows

    def as_json(self) -> dict[str, Any]:
        """Everything, for `latest.json`."""
        return {
            "machine": self.machine,
            "scale": self.scale,
            "seconds": round(self.seconds, 1),
            "rows": self.rows(),
            "details": self.details,
        }
