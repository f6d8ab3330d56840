"""Numbers read from histograms, and the steps of time series."""

import math
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkport.jobs.job import JobState
from bulkport.jobs.port.engine import RetentionPolicy
from bulkport.jobs.port.metrics import Granularity, JobTotals, Percentiles, task_granularity


def histogram_of(seconds: list[float]) -> list[int]:
    """As rollup.sql makes it."""
    slots = [1 if each < 0.0001 else min(260, 2 + math.floor(math.log(each / 0.0001, 1.1))) for each in seconds]
    sizes = [0] * max(slots)
    for slot in slots:
        sizes[slot - 1] += 1
    return sizes


@given(st.lists(st.floats(min_value=0.0001, max_value=1e6), min_size=1, max_size=200))
def test_a_percentile_is_off_by_a_tenth_at_most(seconds: list[float]) -> None:
    read = Percentiles.of_histogram(histogram_of(seconds))
    assert read is not None
    for part, value in ((0.50, read.p50), (0.95, read.p95), (0.99, read.p99)):
        true = sorted(seconds)[math.ceil(part * len(seconds)) - 1]
        assert true / 1.11 <= value <= true * 1.11


def test_many_values_are_measured_closely() -> None:
    source = random.Random(4)
    seconds = [source.lognormvariate(0, 1) for _ in range(20_000)]
    read = Percentiles.of_histogram(histogram_of(seconds))
    assert read is not None
    assert read.p50 == pytest.approx(1.0, rel=0.03)
    assert read.p95 == pytest.approx(math.exp(1.645), rel=0.04)


def test_percentiles_increase() -> None:
    read = Percentiles.of_histogram([0, 3, 0, 1])
    assert read is not None
    assert 0.0001 <= read.p50 <= read.p95 <= read.p99 <= 0.0001 * 1.1**3


@pytest.mark.parametrize("sizes", [[], [0], [0, 0, 0]])
def test_without_values_there_are_no_percentiles(sizes: list[int]) -> None:
    assert Percentiles.of_histogram(sizes) is None


def test_the_failure_rate_counts_finished_jobs() -> None:
    assert JobTotals(succeeded=3, failed=1, retried=7, cancelled=9, enqueued=20).failure_rate == 0.25
    assert JobTotals(enqueued=20).failure_rate is None


@pytest.mark.parametrize(
    ("window", "granularity"),
    [
        (timedelta(seconds=1), Granularity.SECOND),
        (timedelta(minutes=3), Granularity.SECOND),
        (timedelta(minutes=10), Granularity.MINUTE),
        (timedelta(hours=3), Granularity.MINUTE),
        (timedelta(days=1), Granularity.HOUR),
        (timedelta(days=7), Granularity.HOUR),
        (timedelta(days=30), Granularity.DAY),
        (timedelta.max, Granularity.DAY),
    ],
)
def test_a_window_is_read_in_a_bounded_number_of_fine_steps(window: timedelta, granularity: Granularity) -> None:
    assert task_granularity(window) is granularity


def test_jobs_are_retained_by_their_final_state() -> None:
    assert dict(RetentionPolicy().ages()) == {
        JobState.SUCCEEDED: timedelta(days=7),
        JobState.FAILED: timedelta(days=30),
        JobState.CANCELLED: timedelta(days=7),
    }
    assert dict(RetentionPolicy(succeeded=None, failed=None).ages()) == {JobState.CANCELLED: timedelta(days=7)}
    with pytest.raises(ValueError, match="cannot be negative"):
        RetentionPolicy(failed=timedelta(seconds=-1))
