"""Where the embedded database lives unless a setting says otherwise."""

from hashlib import sha256
from pathlib import Path

import platformdirs

from bulkport.migrations import upgrade_sql

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def default_data_folder() -> Path:
    """A folder of the user's, one for each state of the tables.

    Until the first release migrations change in place, so a database that an earlier state made is of no use to this
    one. It stays where it is.
    """
    digest = sha256(upgrade_sql().encode())
    for file in sorted(_VERSIONS.glob("[0-9]*.py")):
        digest.update(file.read_bytes())
    return platformdirs.user_data_path("commandapi", version=f"schema-{digest.hexdigest()[:8]}")
