"""Sources that are objects in stores which the operator has named: S3, Google Cloud Storage, Azure, or a folder.

Requests name a store and a path. Where the store is and how it is signed in to stays with the server.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bulkport.errors import ValidationFailed
from bulkport.extras import require_extra
from bulkport.identifiers import UserId
from bulkport.pulls.opened_source import OpenedSource, SourceRefused, SourceUnavailable, Version
from bulkport.pulls.source import Source, kind_of_file

_PART_BYTES: Final = 1024 * 1024
_CONNECTION_OPTIONS: Final = frozenset(
    {"allow_http", "allow_invalid_certificates", "connect_timeout", "pool_idle_timeout", "proxy_url", "timeout"}
)


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A store that imports may be pulled from.

    Parameters
    ----------
    url
        `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` (the account is the option `account_name`),
        or `file:///srv/folder`. Requests reach nothing outside of it.
    options
        Settings and credentials as obstore names them: `{"region": "eu-central-1", "access_key_id": "…"}`. What is left
        out comes from the environment, as with the tools of the cloud's own.
    users
        Who may name it; None: every user.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    users: tuple[str, ...] | None = None


def require_store(stores: Mapping[str, ObjectStore], source: Source, user_id: UserId) -> None:
    """Check that a user may name the store of a source.

    Raises
    ------
    ValidationFailed
        There is no such store, or it is not for this user: the message is the same.
    """
    known = sorted(name for name, store in stores.items() if store.users is None or user_id in store.users)
    if source.store not in known:
        text = f"source.store must be {' or '.join(known)}" if known else "source.store: no store is configured here"
        raise ValidationFailed({"source.store": [text]})


def open_store(store: ObjectStore) -> Any:
    """The store as obstore has it.

    Options that are about connections (`allow_http`, `timeout`, …) are known by their names.
    """
    from obstore.store import from_url  # noqa: PLC0415 # an extra

    about_connections: Any = {name: value for name, value in store.options.items() if name in _CONNECTION_OPTIONS}
    own = {name: value for name, value in store.options.items() if name not in _CONNECTION_OPTIONS}
    if store.url.startswith(("file:", "memory:")):
        return from_url(store.url, **own)
    return from_url(store.url, client_options=about_connections or None, **own)


class StoreReader:
    """Reads objects.

    Parameters
    ----------
    stores
        By the names that requests use.

    Raises
    ------
    MissingExtra
        There are stores, and `obstore` is not installed.
    """

    def __init__(self, stores: Mapping[str, ObjectStore]) -> None:
        if stores:
            require_extra("sources", "obstore")
        self._stores = dict(stores)
        self._opened: dict[str, Any] = {}

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[OpenedSource]:
        """Open an object; see `SourceReader`."""
        import obstore  # noqa: PLC0415 # an extra

        assert source.path is not None
        try:
            found = await obstore.get_async(self._store(source), source.path)
        except Exception as error:
            raise _failure(source, error) from error
        attributes = {str(name).lower(): value for name, value in found.attributes.items()}
        kind = kind_of_file(
            source,
            source.path.rpartition("/")[2],
            attributes.get("content-type"),
            attributes.get("content-encoding"),
        )
        yield OpenedSource(kind, _version(found.meta), found.meta["size"], _body(source, found))

    async def is_unchanged(self, source: Source, known: Version) -> bool:
        """Compare the store's metadata of the object; see `SourceReader`."""
        import obstore  # noqa: PLC0415 # an extra

        assert source.path is not None
        if known == Version():
            return False
        try:
            return _version(await obstore.head_async(self._store(source), source.path)) == known
        except Exception:  # reported by the import that then tries to read it
            return False

    def _store(self, source: Source) -> Any:
        name = source.store or ""
        if name not in self._stores:
            raise SourceRefused(f"{source.title}: there is no store {name} on this server any more")
        if name not in self._opened:
            self._opened[name] = open_store(self._stores[name])
        return self._opened[name]


async def _body(source: Source, found: Any) -> AsyncIterator[bytes]:
    try:
        async for part in found.stream(min_chunk_size=_PART_BYTES):
            yield bytes(part)
    except Exception as error:
        raise _failure(source, error) from error


def _version(meta: Any) -> Version:
    modified = meta.get("last_modified")
    return Version(meta.get("e_tag"), modified.isoformat() if isinstance(modified, datetime) else None)


def _failure(source: Source, error: Exception) -> Exception:
    """What a store's error means. Its own text names folders, hosts and accounts, which are not the client's."""
    from obstore import exceptions  # noqa: PLC0415 # an extra

    if isinstance(error, SourceRefused):
        return error
    if isinstance(error, FileNotFoundError | exceptions.NotFoundError):
        return SourceRefused(f"{source.title}: the object does not exist")
    if isinstance(error, PermissionError | exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return SourceRefused(f"{source.title}: the store denies access to this server")
    if isinstance(error, ValueError | exceptions.InvalidPathError | exceptions.UnknownConfigurationKeyError):
        return SourceRefused(f"{source.title}: the path or the configuration of the store cannot be used")
    return SourceUnavailable(f"{source.title}: the store does not respond ({type(error).__name__})")
