"""When a watched page need not be read again."""

from bulkport.dashboard.live.rest import MOST_SECONDS, Rest
from bulkport.dashboard.pages import Counts


def test_a_page_rests_while_nothing_runs_and_the_counts_stay() -> None:
    now = 100.0
    rest = Rest(lambda: now)
    assert not rest.may_go_on(Counts({"succeeded": 7}))
    assert rest.may_go_on(Counts({"succeeded": 7}))
    assert not rest.may_go_on(Counts({"succeeded": 8}))
    assert rest.may_go_on(Counts({"succeeded": 8}))
    now += MOST_SECONDS
    assert not rest.may_go_on(Counts({"succeeded": 8}))
    assert rest.may_go_on(Counts({"succeeded": 8}))


def test_a_page_is_looked_at_while_jobs_run() -> None:
    rest = Rest(lambda: 0.0)
    for name in ("processing", "imports"):
        assert not rest.may_go_on(Counts({name: 1}))
        assert not rest.may_go_on(Counts({name: 1}))
