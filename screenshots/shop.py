"""The background jobs of a shop: mails, webhooks, pictures, reports; some of them fail."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from bulkport import Bulkport, JobContext, RetryPolicy

QUEUES = ("default", "mail", "webhooks", "reports", "slow")

_PEOPLE = ("ada", "chen", "grace", "kofi", "lena", "mateo", "noor", "yuki")
_HOSTS = ("hooks.example.org", "api.example.net", "erp.example.com")
USERS = ("auth0|alice", "auth0|bo", "google-oauth2|104233", "auth0|dana")


class ConnectTimeout(OSError):
    """A host did not answer."""


class Shop:
    """The shop's tasks, and the jobs that its business makes.

    Parameters
    ----------
    chance:
        Makes the same business each time.
    """

    def __init__(self, chance: random.Random) -> None:
        self.jobs = Bulkport(None)
        self._chance = chance
        jobs = self.jobs

        @jobs.task(name="send_mail", queue="mail")
        async def send_mail(recipient: str, template: str, order_id: int) -> Mapping[str, Any]:
            await asyncio.sleep(chance.uniform(0.01, 0.08))
            return {"message_id": f"<{order_id}.{template}@shop.example>"}

        @jobs.task(name="send_webhook", queue="webhooks", retry=RetryPolicy(max_attempts=4, base_seconds=6))
        async def send_webhook(url: str, event: str, order_id: int, api_key: str = "whsec_4fX") -> int:
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            if "erp" in url:
                raise ConnectTimeout(f"{url.split('/')[2]}:443 did not answer within 10 s")
            return 204

        @jobs.task(name="resize_picture", queue="slow")
        async def resize_picture(path: str, widths: list[int]) -> list[str]:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            return [path.replace(".jpg", f"-{width}.jpg") for width in widths]

        @jobs.task(name="send_report", queue="reports", retry=RetryPolicy(max_attempts=3, final=(ValueError,)))
        async def send_report(recipient: str, month: str) -> int:
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            if "@" not in recipient:
                raise ValueError(f"no recipient in {recipient!r}")
            return chance.randrange(10, 90)

        @jobs.task(name="rebuild_search_index", queue="slow")
        async def rebuild_search_index(context: JobContext, index: str) -> int:
            total = 128_000
            context.log(f"reading {total:,} documents of {index}")
            for done in range(0, total, 400):
                context.check()
                context.progress(done, total, f"indexing {index}")
                if done % 16_000 == 0:
                    context.log(f"{done:,} documents are in the new index")
                await asyncio.sleep(1)
            return total

        @jobs.task(name="close_day")
        async def close_day(branch: str) -> None:
            await asyncio.sleep(chance.uniform(0.2, 0.5))

        self.send_mail = send_mail
        self.send_webhook = send_webhook
        self.resize_picture = resize_picture
        self.send_report = send_report
        self.rebuild_search_index = rebuild_search_index
        self.close_day = close_day

    async def open(self) -> None:
        """Set up recurring jobs and start long ones."""
        recurring = self.jobs.recurring
        await recurring.add_or_update(
            "close-day", self.close_day.call("Berlin"), cron="0 22 * * MON-SAT", timezone="Europe/Berlin"
        )
        await recurring.add_or_update(
            "monthly-report", self.send_report.call("ceo@shop.example", "July"), cron="@monthly"
        )
        await recurring.add_or_update("reindex", self.rebuild_search_index.call("products"), cron="30 3 * * *")
        await recurring.add_or_update("ping-erp", self._webhook("stock.changed"), cron="*/15 * * * *")
        await recurring.trigger("close-day")
        await recurring.trigger("monthly-report")
        await recurring.pause("ping-erp")
        index = await self.jobs.enqueue(self.rebuild_search_index, "products")
        await self.jobs.continue_with(index, self.send_mail.call("ops@shop.example", "index-is-ready", 1))
        for hours in range(1, 15):
            await self.jobs.schedule(self._mail("remind"), in_=hours * 1800)
        async with self.jobs.batch("Invoices of July", user_id="auth0|dana") as batch:
            for _ in range(40):
                batch.add(self._mail("invoice"))
            batch.then(self.send_report.options(user_id="auth0|dana").call("dana@shop.example", "July"))

    async def trade(self) -> None:
        """Enqueue jobs for bulk operations until cancelled."""
        while True:
            calls = [self._mail("order-confirmed") for _ in range(self._chance.randrange(2, 9))]
            calls += [self._webhook("order.created") for _ in range(self._chance.randrange(1, 4))]
            calls.append(self.resize_picture.call(f"products/{self._number()}.jpg", [320, 640, 1280]))
            if self._chance.random() < 0.1:
                recipient = self._chance.choice((f"{self._chance.choice(_PEOPLE)}@shop.example", "Accounting"))
                user = self._chance.choice(USERS)
                calls.append(self.send_report.options(user_id=user).call(recipient, "July"))
            await self.jobs.enqueue_many(calls)
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))

    def _mail(self, template: str) -> Any:
        person, user = self._chance.choice(_PEOPLE), self._chance.choice(USERS)
        options = self.send_mail.options(user_id=user, tags=[f"mail:{template}"])
        return options.call(f"{person}{self._chance.randrange(100)}@example.org", template, self._number())

    def _webhook(self, event: str) -> Any:
        # Every thirtieth goes to a host that does not respond.
        host = _HOSTS[2] if self._chance.random() < 1 / 30 else self._chance.choice(_HOSTS[:2])
        return self.send_webhook.call(f"https://{host}/shop/{event}", event, self._number())

    def _number(self) -> int:
        return self._chance.randrange(10_000, 99_999)
