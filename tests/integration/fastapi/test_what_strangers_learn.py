"""Metrics, methods and messages reveal nothing to strangers."""

import logging

import httpx
import pytest

from application_client import assert_problem, client_of, make_key, open_application
from bulkport.database import mask_passwords
from commandapi.cli.database import DatabaseUnreachable, ProvidedDatabase
from commandapi.logs import configure_logging
from commandapi.settings import Settings


async def test_metrics_require_the_token_or_a_private_network(database_url: str) -> None:
    async with open_application(database_url) as app:
        for address, headers, status in (
            ("127.0.0.1", {}, 200),
            ("10.1.2.3", {}, 200),
            ("::ffff:192.168.1.1", {}, 200),
            ("8.8.8.8", {}, 404),
            ("127.0.0.1", {"x-forwarded-for": "8.8.8.8"}, 404),
        ):
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://a.example", headers=headers) as client:
                assert (await client.get("/metrics")).status_code == status
    async with open_application(database_url, metrics_token="secret") as app, client_of(app) as client:
        assert_problem(await client.get("/metrics"), 404)
        assert (await client.get("/metrics", headers={"authorization": "Bearer other"})).status_code == 404
        assert (await client.get("/metrics", headers={"authorization": "Bearer secret"})).status_code == 200


async def test_a_method_that_bulk_does_not_support_is_405(database_url: str) -> None:
    async with open_application(database_url) as app, client_of(app, await make_key(database_url)) as client:
        for path in ("/api/platforms/bulk", "/api/commands/bulk"):
            for method in ("PUT", "DELETE", "GET"):
                answer = await client.request(method, path, json={"platformName": "a"})
                assert answer.status_code == 405, (method, path)
                assert answer.headers["allow"] == "POST, OPTIONS"


async def test_without_a_token_registrations_are_401_even_if_not_configured(database_url: str) -> None:
    async with open_application(database_url) as app, client_of(app) as client:
        assert_problem(await client.post("/api/registrations"), 401)
        assert_problem(await client.post("/api/registrations", headers={"authorization": "Bearer x"}), 501)


def test_passwords_in_urls_are_hidden() -> None:
    assert mask_passwords("at postgresql://ann:s3cr:et@db/x?y") == "at postgresql://ann:***@db/x?y"
    assert mask_passwords("host=db password='a b' user=c") == "host=db password=*** user=c"
    assert mask_passwords("https://a.example/b") == "https://a.example/b"


@pytest.mark.parametrize("url", ["postgresql://ann:s3cret@[bad/x", "postgresql://ann:s3c%zzret@db/x", "s3cret"])
def test_a_malformed_url_is_not_shown(url: str) -> None:
    with pytest.raises(DatabaseUnreachable) as told:
        ProvidedDatabase(url, None).migration_state()
    assert "s3c" not in told.value.detail


def test_control_characters_in_logs_are_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging(Settings(environment="development"))
        logging.getLogger("test").warning("path %s", "\x1b[2Jgone\x07 postgresql://a:pw@b", extra={"path": "\x1b[31m"})
    finally:
        root.handlers, root.level = handlers, level
    told = capfd.readouterr().err
    assert "\x1b[2J" not in told
    assert "\x1b[31m" not in told
    assert "\\x1b[2Jgone\\x07" in told
    assert "a:***@b" in told
