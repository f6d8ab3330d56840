"""Commands that serve wait for a PostgreSQL that is just starting."""

import threading

import psycopg
import pytest

from bulkport import embedded
from commandapi import migrations
from commandapi.cli.database import DatabaseUnreachable, ProvidedDatabase


def test_a_database_that_goes_away_again_is_waited_for(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state, calls = migrations.state, iter([True, True, False])

    def away_at_first(url: str) -> migrations.MigrationState:
        if next(calls):
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return state(url)

    monkeypatch.setattr(migrations, "state", away_at_first)
    ProvidedDatabase(database_url, None).wait_until_usable(60)
    assert next(calls, None) is None


def test_a_database_that_rejects_its_user_is_not_waited_for(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> migrations.MigrationState:
        raise psycopg.OperationalError('role "nobody" does not exist')

    monkeypatch.setattr(migrations, "state", refuse)
    with pytest.raises(DatabaseUnreachable):
        ProvidedDatabase(database_url, None).wait_until_usable(3600)


def test_a_server_that_starts_later_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("late")
    folder.chmod(0o755)
    with embedded.open_server(folder / "data", database="late") as server:
        migrations.upgrade(server.url)
        url = server.url
    has_come: list[str] = []

    def wait() -> None:
        ProvidedDatabase(url, None).wait_until_usable(120)
        has_come.append("yes")

    waiting = threading.Thread(target=wait)
    waiting.start()
    with embedded.open_server(folder / "data", database="late"):
        waiting.join(120)
    assert has_come == ["yes"]
