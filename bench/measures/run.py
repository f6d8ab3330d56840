"""The context of every measure, and the import of one file that several of them share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.connection import Connection, UnexpectedResponseError
from bench.database import Database
from bench.dataset import Body, Dataset
from bench.imports import FinishedImport, import_prepared
from bench.product import Product, ProductInstallation
from bench.results import Results
from bench.scale import Scale
from bench.upload import Upload

SMALL_POLL_SECONDS = 0.004
"""Between two status requests for a small import."""
_SMALL_PATIENCE_SECONDS = 60.0
_IDLE_PATIENCE_SECONDS = 120.0
_SLOWEST_ROWS_PER_SECOND = 20_000


@dataclass(slots=True)
class Run:
    """One run of the bench."""

    console: Console
    folder: Path
    """Temporary files; everyone may read them."""
    scale: Scale
    dataset: Dataset
    database: Database
    installation: ProductInstallation
    results: Results

    def say(self, text: str) -> None:
        """Tell how far the run is."""
        self.console.print(f"[dim]{text}[/]", highlight=False)

    @contextmanager
    def product(self) -> Iterator[Product]:
        """Serve the product, warm, on empty tables."""
        self.database.empty_tables()
        self.database.forget_imports()
        with self.installation.serve() as product:
            yield product

    def warm_up(self, product: Product) -> None:
        """Let every process import, connect and prepare once."""
        self.import_body(product, "platforms", self.dataset.platforms_ndjson(100_000))
        with Connection(product.server) as connection:
            for body in self.dataset.envelopes(10, 10):
                self.import_small(connection, connection.prepare("POST", "/api/platforms/bulk", body), 10)
        self.database.empty_tables()

    def import_body(self, product: Product, resource: str, body: Body) -> FinishedImport:
        """Import a file as a client in its own process does, and check every count."""
        before = self.database.count(f"public.{resource}")
        upload = self.upload(product, resource, body)
        try:
            finished = upload.finish()
        finally:
            upload.stop()
        finished.check(body.records, body.good)
        stored = self.database.count(f"public.{resource}") - before
        if stored != body.good:
            raise UnexpectedResponseError(f"{stored} rows were stored, not {body.good}")
        return finished

    def upload(self, product: Product, resource: str, body: Body) -> Upload:
        """Begin to import a file in another process."""
        return Upload(product.server, resource, body, 60 + body.records / _SLOWEST_ROWS_PER_SECOND)

    def import_small(self, connection: Connection, request: bytes, rows: int) -> FinishedImport:
        """Import one prepared envelope of good rows."""
        finished = import_prepared(
            connection,
            "platforms",
            request,
            poll_seconds=SMALL_POLL_SECONDS,
            patience_seconds=_SMALL_PATIENCE_SECONDS,
        )
        finished.check(rows, rows)
        return finished

    def wait_for_idle_imports(self) -> None:
        """Wait until every accepted import is final, so that the next measure starts alone."""
        deadline = time.monotonic() + _IDLE_PATIENCE_SECONDS
        while self.database.unfinished_imports():
            if time.monotonic() > deadline:
                raise UnexpectedResponseError("accepted imports are not final")
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure and the rows of the table it fills."""

    name: str
    rows: tuple[str, ...]
    on_product: Callable[[Run, Product], None] | None = None
    """Runs on the product that the measures share."""
    alone: Callable[[Run], None] | None = None
    """Starts the product afresh, or needs none."""
