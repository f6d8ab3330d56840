"""Charts of imported rows over a period, and of the speed of one import."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

from bulkport.dashboard.core.cache import TTLCache
from bulkport.dashboard.core.charts import BarChart, LineChart, Series, bars, lines
from bulkport.dashboard.pages.periods import PERIODS, Period
from bulkport.imports.admin import ImportedRows, OperatedImport, OperatedImports

_CACHE_SECONDS: Final = 10.0
_HEIGHT: Final = 110
_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
_MOST_STEPS: Final = 60
_LEAST_SECONDS: Final = 5.0
"""Of an import whose speed is worth a chart."""


class ImportedRowsReader:
    """Reads how many rows the imports of a period brought; once in some seconds for all viewers."""

    def __init__(self, imports: OperatedImports) -> None:
        self._imports = imports
        self._rows = TTLCache(self._read, seconds=_CACHE_SECONDS)

    async def chart(self, period: Period) -> BarChart:
        """Imported and rejected rows, by when their import ended."""
        until, rows = await self._rows.get(period.key)
        last = until - (until - _EPOCH) % period.bar
        count = int(period.length / period.bar)
        starts = [last - period.bar * (count - 1 - place) for place in range(count)]
        found = {one.at: one for one in rows}
        shown = [found.get(at, ImportedRows(at, 0, 0)) for at in starts]
        return bars(
            [period.name_of(at) for at in starts],
            [
                Series("imported", [one.imported for one in shown], "accent"),
                Series("rejected", [one.rejected for one in shown], "bad"),
            ],
            x_labels=[(place, period.axis_label(at)) for place, at in enumerate(starts) if period.is_labelled(at)],
            height=_HEIGHT,
        )

    async def _read(self, key: str) -> tuple[datetime, Sequence[ImportedRows]]:
        period = PERIODS[key]
        until = datetime.now(UTC)
        return until, await self._imports.imported_rows(until - period.length, step=period.bar, origin=_EPOCH)


async def speed_chart(imports: OperatedImports, job: OperatedImport) -> LineChart | None:
    """Rows per second since the start of an import; None if it was too short."""
    if job.started_at is None:
        return None
    until = job.completed_at or datetime.now(UTC)
    seconds = (until - job.started_at).total_seconds()
    if seconds < _LEAST_SECONDS:
        return None
    step = max(1, ceil(seconds / _MOST_STEPS))
    rows = await imports.rows_over_time(job, step=timedelta(seconds=step))
    # The last step is not over yet: its part would look like a slump.
    count = max(1, int(seconds // step))
    starts = [job.started_at + timedelta(seconds=step * place) for place in range(count)]
    every = max(1, count // 6)
    return lines(
        [f"{at:%H:%M:%S}" for at in starts],
        [Series("rows/s", [rows.get(place, 0) / step for place in range(count)], is_filled=True)],
        x_labels=[(place, f"{starts[place]:%H:%M:%S}") for place in range(0, count, every)],
    )
