"""Which servers are taken for dead: those whose silence was watched, not those that a clock condemns."""

from datetime import UTC, datetime, timedelta

from bulkport.jobs.postgres.rescuer import FailureDetector

_BEAT = datetime(2026, 1, 1, tzinfo=UTC)


def _watch() -> FailureDetector:
    return FailureDetector(stalled_seconds=10, longest_step=2)


def test_a_silent_server_is_dead_after_the_watched_time() -> None:
    watch = _watch()
    dead = [watch.look({1: _BEAT}, now) for now in range(100, 112)]
    assert dead[:10] == [{}] * 10
    assert dead[10] == {1: _BEAT}


def test_a_server_with_a_heartbeat_is_alive() -> None:
    watch = _watch()
    assert not any(watch.look({1: _BEAT + timedelta(seconds=n // 5)}, float(n)) for n in range(60))


def test_an_old_heartbeat_alone_does_not_mean_death() -> None:
    watch = _watch()
    assert watch.look({1: _BEAT - timedelta(days=1)}, 0) == {}
    assert watch.look({1: _BEAT - timedelta(days=1)}, 1) == {}


def test_a_gap_in_watching_counts_as_one_step() -> None:
    watch = _watch()
    watch.look({1: _BEAT}, 0)
    assert watch.look({1: _BEAT}, 3600) == {}
    assert [bool(watch.look({1: _BEAT}, 3600 + n)) for n in (2, 4, 6, 8)] == [False, False, False, True]


def test_a_clock_set_back_counts_as_a_heartbeat() -> None:
    watch = _watch()
    for n in range(10):
        watch.look({1: _BEAT}, n)
    assert watch.look({1: _BEAT - timedelta(hours=1)}, 10) == {}


def test_a_server_that_left_is_forgotten() -> None:
    watch = _watch()
    for n in range(10):
        watch.look({1: _BEAT, 2: _BEAT}, n)
    assert watch.look({2: _BEAT}, 10) == {2: _BEAT}
    assert watch.look({1: _BEAT}, 11) == {}
