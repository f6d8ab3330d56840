"""The type of the fixture `open_client`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx

OpenClient = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
"""Opens a client of an application with the settings given as keywords."""
