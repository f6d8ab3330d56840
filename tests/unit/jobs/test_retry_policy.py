"""Retry policies: how many attempts, and how long the waits between them."""

import pytest

from bulkport.jobs import NO_RETRY, FinalError, RetryLater, RetryPolicy


def test_delays_double_up_to_the_longest() -> None:
    policy = RetryPolicy(base_seconds=0.5, max_seconds=3, jitter=0)
    assert [policy.delay_after(n) for n in (1, 2, 3, 4, 10_000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_shortens_a_delay_by_at_most_its_share() -> None:
    policy = RetryPolicy(base_seconds=10, max_seconds=10, jitter=0.2)
    waits = [policy.delay_after(1) for _ in range(500)]
    assert min(waits) >= 8
    assert max(waits) <= 10
    assert len(set(waits)) > 1


def test_attempts_are_counted() -> None:
    assert [RetryPolicy(max_attempts=2).allows_attempt_after(n) for n in (1, 2, 3)] == [True, False, False]
    assert not NO_RETRY.allows_attempt_after(1)


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"base_seconds": -1}, {"max_seconds": -1}, {"jitter": 1.1}, {"jitter": -0.1}]
)
def test_an_impossible_policy_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_later_is_never_in_the_past() -> None:
    assert RetryLater(-5).delay_seconds == 0
    assert RetryLater(1.5, lower_priority=True).lower_priority


def test_some_errors_are_final() -> None:
    policy = RetryPolicy(max_attempts=5, final=(LookupError,))
    assert not policy.allows_attempt_after(1, KeyError())
    assert not policy.allows_attempt_after(1, FinalError())
    assert policy.allows_attempt_after(1, ValueError())
