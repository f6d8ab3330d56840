"""What the settings take: a value that cannot be used is refused where it is read, not where it is used."""

import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from bulkport.jobs import RetentionPolicy
from commandapi.settings import Settings


@pytest.mark.parametrize("level", ["DEBUG", "info", "Warning", "ERROR", "critical"])
def test_log_levels_are_case_insensitive(level: str) -> None:
    assert Settings(log_level=level).log_level == level.upper()


@pytest.mark.parametrize("level", ["", "loud", "10"])
def test_an_unknown_log_level_is_rejected(level: str) -> None:
    with pytest.raises(ValidationError, match="log_level"):
        Settings(log_level=level)


def test_request_limits_come_from_the_settings() -> None:
    assert Settings(database_wait_seconds=0.5).import_limits().database_wait_seconds == 0.5


def test_finished_jobs_are_retained_as_configured() -> None:
    policy = Settings(jobs_keep_succeeded_days=1.5, jobs_keep_failed_days="never").job_retention()  # type: ignore[arg-type]
    assert policy == RetentionPolicy(succeeded=timedelta(days=1.5), failed=None, cancelled=timedelta(days=1.5))
    assert Settings().job_retention() == RetentionPolicy()


@pytest.mark.parametrize("days", ["-1", "soon", "nan", "inf"])
def test_an_impossible_retention_is_rejected(days: str) -> None:
    with pytest.raises(ValidationError, match="jobs_keep_failed_days"):
        Settings(jobs_keep_failed_days=days)  # type: ignore[arg-type]


def test_store_options_are_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"client_email": "importer@acme.example", "private_key_id": "1"}
    options = {"allow_http": True, "service_account_key": key, "timeout": "30s"}
    monkeypatch.setenv("COMMANDAPI_STORES", json.dumps({"drop": {"url": "gs://acme/in", "options": options}}))
    (store,) = Settings().object_stores().values()
    assert store.options["allow_http"] == "true"
    assert json.loads(store.options["service_account_key"]) == key
    assert store.options["timeout"] == "30s"
