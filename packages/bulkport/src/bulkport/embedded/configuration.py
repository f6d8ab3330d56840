"""Settings of the embedded PostgreSQL.

They are written to a file of their own that `postgresql.conf` includes, anew at each start, so a newer release brings
its settings along. What an operator sets with `ALTER SYSTEM` goes to `postgresql.auto.conf`, which is read last and
wins.
"""

from pathlib import Path
from typing import Final

PORT: Final = 5432
"""Part of the socket's file name; nothing listens on a network."""

INCLUDED_FILE: Final = "bulkport.conf"

INCLUDE_LINE: Final = f"\ninclude_if_exists = '{INCLUDED_FILE}'\n"

_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # A million rows write some 100 MB of WAL: room for imports of tens of millions between two checkpoints.
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    # Only pglz is compiled in, whose time on a backend's one core costs more than the few full pages it saves:
    # tables are appended to, so nearly every page is new since the last checkpoint.
    "wal_compression": "off",
    # Short statements all of them: compiling one costs more than running it.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    # Durability is a promise, whatever someone wrote into postgresql.conf.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}


def configuration(socket_folder: Path) -> str:
    """The text of the included file."""
    # The value is a list, in which double quotes keep a folder with commas or spaces together.
    folder = '"{}"'.format(str(socket_folder).replace('"', '""'))
    settings = {**_SETTINGS, "unix_socket_directories": folder}
    lines = [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
    return "\n".join(["# Written at each start. Use ALTER SYSTEM for settings of your own.", *lines, ""])


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
