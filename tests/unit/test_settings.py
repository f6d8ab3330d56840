"""What the settings take: a value that cannot be used is refused where it is read, not where it is used."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from bulkport.jobs import RetentionPolicy
from commandapi.settings import Settings


@pytest.mark.parametrize("level", ["DEBUG", "info", "Warning", "ERROR", "critical"])
def test_log_levels_have_any_case(level: str) -> None:
    assert Settings(log_level=level).log_level == level.upper()


@pytest.mark.parametrize("level", ["", "loud", "10"])
def test_unknown_log_level_is_refused(level: str) -> None:
    with pytest.raises(ValidationError, match="log_level"):
        Settings(log_level=level)


def test_limits_of_requests_are_those_of_the_settings() -> None:
    assert Settings(database_wait_seconds=0.5).import_limits().database_wait_seconds == 0.5


def test_finished_jobs_are_kept_as_long_as_the_settings_say() -> None:
    policy = Settings(jobs_keep_succeeded_days=1.5, jobs_keep_failed_days="never").job_retention()  # type: ignore[arg-type]
    assert policy == RetentionPolicy(succeeded=timedelta(days=1.5), failed=None, cancelled=timedelta(days=1.5))
    assert Settings().job_retention() == RetentionPolicy()


@pytest.mark.parametrize("days", ["-1", "soon", "nan", "inf"])
def test_a_retention_that_cannot_be_is_refused(days: str) -> None:
    with pytest.raises(ValidationError, match="jobs_keep_failed_days"):
        Settings(jobs_keep_failed_days=days)  # type: ignore[arg-type]
