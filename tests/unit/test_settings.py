"""What the settings take: a value that cannot be used is refused where it is read, not where it is used."""

import pytest
from pydantic import ValidationError

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
