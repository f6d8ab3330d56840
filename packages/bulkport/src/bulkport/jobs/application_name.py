"""The database sessions that a server's tasks work in, and their end with the server.

A process that stands still (a stopped virtual machine, a debugger, a cut network) keeps its transactions open, and
whoever takes its jobs over would wait for their row locks as long as it stands. So when a server is given up for
dead, the engine ends those of its sessions that carry the server's mark.
"""

import hashlib
from typing import Final

_PREFIX: Final = "bulkport worker "


def session_mark(server_name: str) -> str:
    """The `application_name` of the connections that the tasks of a server use.

    The name is hashed because PostgreSQL cuts it to 63 bytes; the engine's statements make the same mark in SQL.
    """
    return _PREFIX + hashlib.md5(server_name.encode(), usedforsecurity=False).hexdigest()
