"""The newest migration is known without Alembic, and is the one that Alembic would name."""

import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from commandapi import migrations


def test_the_head_is_alembics() -> None:
    assert migrations.head() == ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()


def test_a_server_does_not_import_what_it_does_not_need() -> None:
    program = (
        "import sys, commandapi.serving, commandapi.cli.database, commandapi.app; "
        "sys.exit(len({'alembic', 'httpx', 'joserfc', 'cryptography'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
