"""The embedded database's default folder."""

from pathlib import Path

import pytest

from commandapi import data_folder
from commandapi.settings import Settings


def test_each_version_of_the_tables_has_its_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("COMMANDAPI_DATA_DIR", raising=False)
    now = Settings().data_dir
    assert now == Settings().data_dir
    monkeypatch.setattr(data_folder, "upgrade_sql", lambda: "CREATE TABLE another ()")
    assert Settings().data_dir != now


def test_a_user_without_a_home_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("COMMANDAPI_DATA_DIR", raising=False)
    monkeypatch.setattr(data_folder.platformdirs, "user_data_path", fail)
    assert Settings(database_url="postgresql://host/database").data_dir.name.startswith("schema-")
