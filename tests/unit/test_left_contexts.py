"""What is still going on when its event loop ends is closed in another context, and says nothing."""

import contextvars
from contextlib import AbstractContextManager
from types import coroutine
from typing import Any

import pytest

from bulkport.connection_user import without_connection_user
from bulkport.dashboard.core.language import speaking


@coroutine
def pause() -> Any:
    yield


@pytest.mark.parametrize("context", [speaking("de"), without_connection_user()], ids=["language", "connection user"])
def test_a_context_can_be_left_where_it_was_not_entered(context: AbstractContextManager[None]) -> None:
    async def work() -> None:
        with context:
            await pause()

    going_on = work()
    contextvars.copy_context().run(going_on.send, None)
    going_on.close()
