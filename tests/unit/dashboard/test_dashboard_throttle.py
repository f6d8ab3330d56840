"""When a watched page need not be read again."""

from bulkport.dashboard.core.page import Counts
from bulkport.dashboard.core.sse.throttle import MAX_SECONDS, Throttle


def test_a_page_is_not_polled_while_nothing_runs_and_counts_are_unchanged() -> None:
    now = 100.0
    throttle = Throttle(lambda: now)
    assert not throttle.may_skip(Counts({"succeeded": 7}))
    assert throttle.may_skip(Counts({"succeeded": 7}))
    assert not throttle.may_skip(Counts({"succeeded": 8}))
    assert throttle.may_skip(Counts({"succeeded": 8}))
    now += MAX_SECONDS
    assert not throttle.may_skip(Counts({"succeeded": 8}))
    assert throttle.may_skip(Counts({"succeeded": 8}))


def test_a_page_is_polled_while_jobs_run() -> None:
    throttle = Throttle(lambda: 0.0)
    for name in ("processing", "imports"):
        assert not throttle.may_skip(Counts({name: 1}))
        assert not throttle.may_skip(Counts({name: 1}))
