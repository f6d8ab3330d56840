"""Large imports in turn with `psql \\copy` of the same good rows."""

from dataclasses import dataclass, field
from statistics import median

from bench.dataset import Body
from bench.imports import FinishedImport
from bench.measures.run import Run
from bench.peers.psql_copy import copy_seconds
from bench.product import Product
from bench.samples import median_ratio


@dataclass(slots=True)
class Pairs:
    """Runs that took turns, in seconds."""

    body: Body
    product: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    copy: list[float] = field(default_factory=list)
    polls: list[int] = field(default_factory=list)

    def add(self, finished: FinishedImport, copy: float) -> None:
        """Add one pair."""
        self.product.append(finished.finished_seconds)
        self.accepted.append(finished.accepted_seconds)
        self.polls.append(finished.polls)
        self.copy.append(copy)

    @property
    def rows_per_second(self) -> float:
        """The product's median rate, in records of the body."""
        return self.body.records / median(self.product)

    def details(self) -> dict[str, object]:
        """Everything measured."""
        return {
            "records": self.body.records,
            "product_seconds": [round(value, 3) for value in self.product],
            "accepted_seconds": [round(value, 3) for value in self.accepted],
            "copy_seconds": [round(value, 3) for value in self.copy],
            "status_polls": self.polls,
            "product_rows_per_second": round(self.rows_per_second),
            "copy_rows_per_second": round(self.body.good / median(self.copy)),
        }


def platforms(run: Run, product: Product) -> None:
    """Platforms as NDJSON, and when the body was accepted."""
    pairs = _take_turns(run, product, "platforms", run.dataset.platforms_ndjson(run.scale.rows), run.scale.pairs)
    _put(run, "platforms-ndjson", pairs)
    run.results.put(
        "accepted",
        median_ratio(pairs.accepted, pairs.copy),
        f"{median(pairs.accepted) * 1000:.0f} ms",
        f"{median(pairs.copy):.2f} s",
    )


def platforms_csv(run: Run, product: Product) -> None:
    """Platforms as CSV."""
    pairs = _take_turns(run, product, "platforms", run.dataset.platforms_csv(run.scale.rows), run.scale.pairs)
    _put(run, "platforms-csv", pairs)


def commands(run: Run, product: Product) -> None:
    """Commands, by the platform's id and by its name."""
    for key, by_name in (("commands-by-id", False), ("commands-by-name", True)):
        body = run.dataset.commands_ndjson(run.scale.rows, by_name=by_name)
        _put(run, key, _take_turns(run, product, "commands", body, run.scale.command_pairs))
        body.path.unlink()
        body.copy_path.unlink()


def _take_turns(run: Run, product: Product, resource: str, body: Body, pairs: int) -> Pairs:
    measured = Pairs(body)
    platforms_first = run.dataset if resource == "commands" else None
    for number in range(pairs):
        run.say(f"{body.path.name}: pair {number + 1} of {pairs}")
        run.database.empty_tables(platforms_first)
        run.database.settle()
        finished = run.import_body(product, resource, body)
        run.database.empty_tables(platforms_first)
        run.database.settle()
        measured.add(finished, copy_seconds(run.database.url, f"peer.{resource}", body))
        stored = run.database.count(f"peer.{resource}")
        assert stored == body.good, f"\\copy stored {stored} rows"
    return measured


def _put(run: Run, key: str, pairs: Pairs) -> None:
    run.results.details[key] = pairs.details()
    run.results.put(
        key,
        median_ratio(pairs.product, pairs.copy),
        f"{median(pairs.product):.2f} s, {pairs.rows_per_second / 1000:,.0f} k rows/s",
        f"{median(pairs.copy):.2f} s, {pairs.body.good / median(pairs.copy) / 1000:,.0f} k rows/s",
    )
