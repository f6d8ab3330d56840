"""Webhooks: messages that imports have ended, as signed requests to addresses of theirs.

An import's end and the deliveries about it are one commit (a trigger on `bulk_import_jobs`), so no end is
forgotten and none has two message ids. A worker queues a background job for each delivery (`dispatch.py`),
which sends it (`deliver.py`) and comes back later when that fails, for a day. Requests are signed as Standard Webhooks
1.0 says (`signing.py`); receivers verify them with its libraries.
"""

from bulkport.webhooks.store import Delivery, DeliveryState, Webhook, WebhookEvent

__all__ = ["Delivery", "DeliveryState", "Webhook", "WebhookEvent"]
