"""An object store as the place where the bytes of uploads wait for their imports."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from bulkport.errors import StagingUnavailable
from bulkport.extras import require_extra
from bulkport.pulls.stores import ObjectStore, open_store

_logger: Final = logging.getLogger(__name__)


class ObjectParts:
    """Keeps parts of uploads in an object store; see `bulkport.imports.body.part_store.PartStore`.

    Raises
    ------
    MissingExtra
        `obstore` is not installed.
    """

    def __init__(self, store: ObjectStore) -> None:
        require_extra("sources", "obstore")
        self._where = store
        self._opened: Any = None

    async def put(self, name: str, data: bytes) -> None:
        """Store an object."""
        import obstore  # noqa: PLC0415 # an extra

        try:
            await obstore.put_async(self._store, name, data)
        except Exception as error:
            raise _unavailable("stored", error) from error

    async def get(self, name: str) -> bytes:
        """The bytes of an object."""
        import obstore  # noqa: PLC0415 # an extra

        try:
            return bytes(await (await obstore.get_async(self._store, name)).bytes_async())
        except Exception as error:
            raise _unavailable("read", error) from error

    async def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone are passed over."""
        import obstore  # noqa: PLC0415 # an extra

        try:
            await obstore.delete_async(self._store, list(names))
        except FileNotFoundError:
            # A folder stops at the first one that is gone.
            for name in names:
                await self._delete_one(name)
        except Exception as error:
            raise _unavailable("removed", error) from error

    async def _delete_one(self, name: str) -> None:
        import obstore  # noqa: PLC0415 # an extra

        try:
            await obstore.delete_async(self._store, name)
        except FileNotFoundError:
            pass
        except Exception as error:
            raise _unavailable("removed", error) from error

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = open_store(self._where)
        return self._opened


def _unavailable(done: str, error: Exception) -> StagingUnavailable:
    # The store's own text names hosts and accounts, which are the operator's to read.
    _logger.error("a part of an upload could not be %s", done, exc_info=error)
    return StagingUnavailable()
