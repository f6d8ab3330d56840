"""Chooses the folder of the server's socket: the cluster's own, or a shorter one if its path is too long."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bulkport.embedded.binaries import Account, give
from bulkport.embedded.configuration import PORT
from bulkport.embedded.errors import EmbeddedDatabaseError

# Linux allows 107 bytes in a socket's path, macOS 103.
_MAX_SOCKET_PATH: Final = 103


def socket_folder(cluster: Path) -> Path:
    """The folder for the socket of the cluster in the folder `cluster`."""
    path = cluster / f".s.PGSQL.{PORT}"
    # libpq reads commas in a host as a list of hosts.
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH and "," not in str(path):
        return cluster
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path("/tmp") / f"bulkport-{name}"  # noqa: S108  # made private, or refused, by make_private


def make_private(folder: Path, account: Account) -> None:
    """Make a folder that only `account` (and root) can enter; one that exists must be such a one.

    Raises
    ------
    EmbeddedDatabaseError
        It is someone else's: everyone may write into the temporary folder.
    """
    try:
        folder.mkdir(mode=0o700)
        give(folder, account)
    except FileExistsError:
        found = folder.lstat()
        if not (stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077):
            raise EmbeddedDatabaseError(
                f"{folder} exists and belongs to someone else. Choose a data folder with a shorter path."
            ) from None


def connection_url(folder: Path, *, user: str, database: str) -> str:
    """The URL of a database behind the socket in `folder`. It names the port, lest `PGPORT` be taken for it."""
    return f"postgresql://{user}@/{database}?host={quote(str(folder), safe='/')}&port={PORT}"
