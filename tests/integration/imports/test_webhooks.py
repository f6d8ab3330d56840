"""Users are told that their imports have ended: signed, once under one id, again when it fails, and nobody's inside."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs
from webhook_receiver import Receiver, open_receiver, status

from application_client import assert_problem, client_of, make_key, open_application
from bulkport import Bulkport
from each_case import case
from import_steps import NDJSON, accepted, execute, fetch, imported, ndjson, running_worker

LOOPBACK = {"egress_allowed_networks": "127.0.0.0/8", "egress_allow_http": True}
BULK = "/api/platforms/bulk"
_SENDING = """
    SELECT count(*) FILTER (WHERE state = 'processing'), count(*)
    FROM bulkport.jobs WHERE task = 'bulkport.deliver_webhook' AND user_id = 'ann'
"""


class Site:
    """The Command API, two users' clients, and a receiver."""

    def __init__(self, url: str, ann: Any, bob: Any, bulkport: Bulkport, receiver: Receiver) -> None:
        self.url, self.ann, self.bob, self.bulkport, self.receiver = url, ann, bob, bulkport, receiver

    async def webhook(self, **members: Any) -> dict[str, Any]:
        """A webhook of ann's."""
        answer = await self.ann.post("/api/webhooks", json={"url": self.receiver.url, **members})
        assert answer.status_code == 201, answer.text
        webhook: dict[str, Any] = answer.json()
        assert answer.headers["location"] == f"/api/webhooks/{webhook['id']}"
        return webhook

    async def deliveries(self, webhook: dict[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.ann.get(f"/api/webhooks/{webhook['id']}/deliveries")).json()["items"]
        return items

    async def delivery(self, webhook: dict[str, Any], is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The newest delivery, once it is as expected."""
        deadline = time.monotonic() + 60
        while True:
            found = await self.deliveries(webhook)
            if found and is_it(found[0]):
                return found[0]
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    """The Command API with a worker; webhooks may name loopback."""
    async with (
        open_receiver() as receiver,
        open_application(database_url, **LOOPBACK) as app,
        client_of(app, await make_key(database_url, "ann")) as ann,
        client_of(app, await make_key(database_url, "bob")) as bob,
        running_worker(app.state.bulkport, database_url),
    ):
        yield Site(database_url, ann, bob, app.state.bulkport, receiver)


async def test_a_finished_import_is_reported_with_a_signature(site: Site) -> None:
    webhook = await site.webhook()
    answer = await site.ann.post(
        BULK,
        params={"name": "July", "clientId": "7"},
        content=ndjson([{"platformName": "Docker"}, {"platformName": ""}]),
        headers=NDJSON | {"x-import-metadata": '{"a": 1}'},
    )
    (request,) = await site.receiver.wait_for(1)
    message = Verifier(webhook["secret"]).verify(request.body.decode(), request.headers)
    assert message == json.loads(request.body)
    assert message["type"] == "import.partial_success"
    data = message["data"]
    assert (data["id"], data["status"], data["successCount"], data["failureCount"]) == (
        answer.json()["id"],
        "PartialSuccess",
        1,
        1,
    )
    assert (data["name"], data["clientId"], data["metadata"]) == ("July", "7", {"a": 1})
    delivery = await site.delivery(webhook, lambda one: one["state"] == "delivered")
    assert (delivery["messageId"], delivery["attempts"], delivery["lastStatus"]) == (
        request.headers["webhook-id"],
        1,
        204,
    )
    with pytest.raises(WebhookVerificationError):
        Verifier(webhook["secret"]).verify(request.body.decode() + " ", request.headers)


async def test_each_completion_is_sent_only_to_its_subscribers(site: Site) -> None:
    everything = await site.webhook()
    failures = await site.webhook(events=["import.failed", "import.failed"])
    off = await site.webhook()
    await site.ann.patch(f"/api/webhooks/{off['id']}", json={"isActive": False})
    bobs = (await site.bob.post("/api/webhooks", json={"url": site.receiver.url})).json()
    await imported(site.ann, BULK, json={"platforms": [{"platformName": "Docker"}]})
    await imported(site.ann, BULK, content=b'{"platformName": ""}\n', headers=NDJSON)
    requests = await site.receiver.wait_for(3)
    assert sorted(json.loads(request.body)["type"] for request in requests) == [
        "import.completed",
        "import.failed",
        "import.failed",
    ]
    assert len({request.headers["webhook-id"] for request in requests}) == 3
    told = await fetch(site.url, "SELECT webhook_id, event FROM bulkport.webhook_deliveries ORDER BY 1, 2")
    assert told == [
        (everything["id"], "import.completed"),
        (everything["id"], "import.failed"),
        (failures["id"], "import.failed"),
    ]
    assert (await site.bob.get(f"/api/webhooks/{bobs['id']}/deliveries")).json()["items"] == []


async def test_a_cancelled_import_is_reported(database_url: str) -> None:
    async with (
        open_receiver() as receiver,
        open_application(database_url, **LOOPBACK) as app,
        client_of(app, await make_key(database_url, "ann")) as ann,
    ):
        await ann.post("/api/webhooks", json={"url": receiver.url})
        job_id = await accepted(ann, BULK, json={"platforms": [{"platformName": "Docker"}]})
        await ann.delete(f"/api/imports/{job_id}")
        async with running_worker(app.state.bulkport, database_url):
            (request,) = await receiver.wait_for(1)
    assert json.loads(request.body)["type"] == "import.cancelled"


REFUSALS = (status(500), status(302, "location: http://127.0.0.1/"), status(404), lambda _: b"")


async def test_a_failed_delivery_is_retried_under_the_same_id(site: Site) -> None:
    refusals = {f"/hooks/{number}": refusal for number, refusal in enumerate(REFUSALS)}
    site.receiver.answer = lambda request: refusals[request.path](request)
    webhooks = {path: await site.webhook(url=site.receiver.url.replace("/hooks", path)) for path in refusals}
    for webhook in webhooks.values():
        await site.ann.post(f"/api/webhooks/{webhook['id']}/ping")
    ids = {}
    with capture_logs() as logs:
        for webhook in webhooks.values():
            await site.delivery(webhook, lambda one: one["attempts"] >= 1)
    assert not any("exc_info" in line and line["exc_info"] for line in logs)
    for path, webhook in webhooks.items():
        failed = await site.delivery(webhook, lambda one: one["attempts"] >= 1)
        assert (failed["state"], failed["deliveredAt"]) == ("pending", None)
        assert failed["lastError"]
        ids[path] = failed["messageId"]
    site.receiver.answer = status(200)
    for path, webhook in webhooks.items():
        taken = await site.delivery(webhook, lambda one: one["state"] == "delivered")
        assert (taken["lastStatus"], taken["lastError"]) == (200, None)
        sent = [request for request in site.receiver.requests if request.path == path]
        assert len(sent) == taken["attempts"] >= 2
        assert {request.headers["webhook-id"] for request in sent} == {ids[path]}
        assert len({request.body for request in sent}) == 1


async def test_a_receiver_that_is_gone_disables_its_webhook(site: Site) -> None:
    webhook = await site.webhook()
    site.receiver.answer = status(410)
    await site.ann.post(f"/api/webhooks/{webhook['id']}/ping")
    failed = await site.delivery(webhook, lambda one: one["state"] == "failed")
    assert failed["lastStatus"] == 410
    assert (await site.ann.get(f"/api/webhooks/{webhook['id']}")).json()["isActive"] is False
    await imported(site.ann, BULK, json={"platforms": [{"platformName": "Docker"}]})
    assert len(await site.deliveries(webhook)) == 1


async def test_a_delivery_can_be_resent(site: Site) -> None:
    webhook = await site.webhook()
    await site.ann.post(f"/api/webhooks/{webhook['id']}/ping")
    delivery = await site.delivery(webhook, lambda one: one["state"] == "delivered")
    address = f"/api/webhooks/{webhook['id']}/deliveries/{delivery['id']}/resend"
    assert_problem(await site.bob.post(address), 404)
    assert (await site.ann.post(address)).status_code == 202
    first, second = await site.receiver.wait_for(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_replaced_secret_signs_beside_the_new_one(site: Site) -> None:
    webhook = await site.webhook()
    rotated = (await site.ann.post(f"/api/webhooks/{webhook['id']}/secret")).json()
    assert rotated["secret"] != webhook["secret"]
    await site.ann.post(f"/api/webhooks/{webhook['id']}/ping")
    (request,) = await site.receiver.wait_for(1)
    for secret in (webhook["secret"], rotated["secret"]):
        assert Verifier(secret).verify(request.body.decode(), request.headers)["type"] == "webhook.ping"
    await execute(site.url, "UPDATE bulkport.webhooks SET rotated_at = now() - interval '25 hours'")
    await site.ann.post(f"/api/webhooks/{webhook['id']}/ping")
    _, later = await site.receiver.wait_for(2)
    assert Verifier(rotated["secret"]).verify(later.body.decode(), later.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(webhook["secret"]).verify(later.body.decode(), later.headers)


async def test_webhooks_belong_to_their_user_and_show_their_secret_once(site: Site) -> None:
    webhook = await site.webhook(description="to the warehouse")
    address = f"/api/webhooks/{webhook['id']}"
    assert "secret" not in (await site.ann.get(address)).json()
    (listed,) = (await site.ann.get("/api/webhooks")).json()["items"]
    assert (listed["description"], "secret" in listed) == ("to the warehouse", False)
    assert (await site.bob.get("/api/webhooks")).json()["items"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/ping"), ("POST", "/secret")):
        request = {"json": {"isActive": False}} if method == "PATCH" else {}
        assert_problem(await site.bob.request(method, address + path, **request), 404)
    assert (await site.ann.delete(address)).status_code == 204
    assert_problem(await site.ann.get(address), 404)


async def test_slow_receivers_occupy_few_worker_slots(site: Site) -> None:
    release = asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    webhooks = [await site.webhook(url=url) for _ in range(7)]
    for webhook in webhooks:
        assert (await site.ann.post(f"/api/webhooks/{webhook['id']}/ping")).status_code == 202
    deadline = time.monotonic() + 60
    while (await fetch(site.url, _SENDING))[0] != (4, 7):
        assert time.monotonic() < deadline, await fetch(site.url, _SENDING)
        await asyncio.sleep(0.02)
    told = await imported(site.bob, BULK, json={"platforms": [{"platformName": "p"}]})
    assert told["status"] == "Completed"
    assert (await fetch(site.url, _SENDING))[0] == (4, 7)

    bobs = (await site.bob.post("/api/webhooks", json={"url": site.receiver.url})).json()
    await execute(
        site.url,
        f"""
        INSERT INTO bulkport.webhook_deliveries (webhook_id, event)
        SELECT {webhooks[0]["id"]}, 'webhook.ping' FROM generate_series(1, 2000)
        UNION ALL SELECT {bobs["id"]}, 'webhook.ping'
        """,
    )
    await site.receiver.wait_for(1)
    while (await fetch(site.url, _SENDING))[0] != (4, 2007):
        assert time.monotonic() < deadline, await fetch(site.url, _SENDING)
        await asyncio.sleep(0.02)
    ((before,),) = await fetch(
        site.url,
        f"""
        SELECT count(*) FROM bulkport.webhook_deliveries
        WHERE queued_at < (SELECT queued_at FROM bulkport.webhook_deliveries WHERE webhook_id = {bobs["id"]})
        """,
    )
    assert before < 600  # a batch and the first messages, of 2,008
    release.set()
    server.close()


async def test_a_user_can_have_a_limited_number_of_webhooks(site: Site) -> None:
    answers = await asyncio.gather(
        *(site.ann.post("/api/webhooks", json={"url": site.receiver.url}) for _ in range(24))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [409] * 4


BAD_URLS = [
    "https://127.0.0.1/x",
    "https://localhost.localdomain:99999/x",
    "https://[::1]/x",
    "https://localhost/x",
    "https://LOCALHOST./x",
    "https://any.localhost/x",
    "https://127.0.0.1./x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "https://0/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[::]/x",
    "https://[fe80::1%25eth0]/x",
    "https://[fd00::1]/x",
    "https://example.org:0/x",
    "https://example.org:65536/x",
    "javascript:alert(1)",
    "https://[::ffff:10.0.0.1]/x",
    "https://[64:ff9b::7f00:1]/x",
    "https://[2002:7f00:1::]/x",
    "https://10.0.0.1/x",
    "https://172.16.0.1/x",
    "https://192.168.1.1/x",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/x",
    "https://0.0.0.0/x",
    "https://224.0.0.1/x",
    "http://example.org/x",
    "ftp://example.org/x",
    "file:///etc/passwd",
    "https://user:password@example.org/",
    "https:///x",
    "example.org",
    "https://example.org/\x00",
    "https://exa mple.org/",
    "https://bücher.example/",
    "x" * 3000,
    "",
]


async def test_a_private_or_unresolvable_address_is_rejected(database_url: str) -> None:
    async with open_application(database_url) as app, client_of(app, await make_key(database_url)) as client:
        for url in BAD_URLS:
            with case(url):
                answer = await client.post("/api/webhooks", json={"url": url})
                assert list(assert_problem(answer, 400)["errors"]) == ["url"]


BAD_WEBHOOKS: list[tuple[Any, str]] = [
    ({}, "url is required"),
    ({"url": 5}, "url must be text"),
    ({"url": "https://example.org/", "events": []}, "events must have at least 1 item"),
    ({"url": "https://example.org/", "events": ["import.exploded"]}, "events[0] must be"),
    ({"url": "https://example.org/", "event": ["import.failed"]}, "event is not a known field"),
    ({"url": "https://example.org/", "secret": "mine"}, "secret is not a known field"),
    ({"url": "https://example.org/", "description": "x" * 201}, "description must be at most 200 characters"),
    ([], "The body must be a JSON object."),
]


async def test_an_invalid_webhook_is_rejected(database_url: str) -> None:
    async with open_application(database_url) as app, client_of(app, await make_key(database_url)) as client:
        for body, message in BAD_WEBHOOKS:
            problem = assert_problem(await client.post("/api/webhooks", json=body), 400)
            told = [problem["detail"], *(text for texts in problem.get("errors", {}).values() for text in texts)]
            assert any(message in text for text in told), (body, told)
        made = await client.post("/api/webhooks", json={"url": "https://example.org/"})
        change = await client.patch(made.headers["location"], json={"active": False})
        assert list(assert_problem(change, 400)["errors"]) == ["active"]
