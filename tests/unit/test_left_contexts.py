"""What is still going on when its event loop ends is closed in another context, and says nothing."""

import contextvars
from contextlib import AbstractContextManager
from types import coroutine
from typing import Any

import pytest

from bulkport.borrower import borrowing_for_nobody
from bulkport.dashboard.core.language import speaking


@coroutine
def pause() -> Any:
    yield


@pytest.mark.parametrize("context", [speaking("de"), borrowing_for_nobody()], ids=["language", "borrower"])
def test_a_context_may_be_left_where_it_was_not_entered(context: AbstractContextManager[None]) -> None:
    async def work() -> None:
        with context:
            await pause()

    going_on = work()
    contextvars.copy_context().run(going_on.send, None)
    going_on.close()
