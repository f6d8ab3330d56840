"""Where the embedded database lives unless a setting says otherwise."""

import os
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

import platformdirs

from bulkport.migrations import upgrade_sql

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def default_data_folder() -> Path:
    """A folder of the user's, one for each state of the tables.

    Until the first release migrations change in place, so a database that an earlier state made is of no use to this
    one. It stays where it is. Of a user without a home it is in the folder for temporary files.
    """
    digest = sha256(upgrade_sql().encode())
    for file in sorted(_VERSIONS.glob("[0-9]*.py")):
        digest.update(file.read_bytes())
    version = f"schema-{digest.hexdigest()[:8]}"
    try:
        return platformdirs.user_data_path("commandapi", version=version)
    except RuntimeError:
        # A user id without a name, as containers and units have them, has no home either.
        return Path(gettempdir()) / f"commandapi-{os.getuid()}" / version
