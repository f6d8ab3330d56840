"""The embedded PostgreSQL: a real server in a data folder, for development, tests and machines that have none.

The server's programs come from the extra `embedded`; how it is set up, shared and stopped is decided here::

    from bulkport import embedded, migrations

    with embedded.open_server(Path("data")) as server:
        with psycopg.connect(server.url) as connection:
            migrations.upgrade(connection)
        bulkport = Bulkport(server.url, resources=[BOOKS])

Any number of processes may open the same folder. The first starts the server, the last one to leave stops it, and a
server that outlived its users (they were killed) is taken over as it is. Processes that are started by one that holds
the server need no handle of their own: give them the URL.
"""

from bulkport.embedded.errors import EmbeddedDatabaseError, UnsupportedPlatform
from bulkport.embedded.server import EmbeddedServer, open_server

__all__ = ["EmbeddedDatabaseError", "EmbeddedServer", "UnsupportedPlatform", "open_server"]
