"""Start, adopt and stop the PostgreSQL server of a data folder."""

import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from commandapi.embedded.configuration import INCLUDE_LINE, INCLUDED_FILE, PORT, configuration
from commandapi.embedded.errors import EmbeddedDatabaseError
from commandapi.embedded.programs import Account, Programs, find_programs, open_the_way
from commandapi.embedded.sharing import DataFolderUse

_log = logging.getLogger(__name__)

_DATABASE: Final = "commandapi"
_SUPERUSER: Final = "postgres"

_CREATE_SECONDS: Final = 120.0
# Replaying the log of a killed server takes up to a minute or so at max_wal_size.
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 60.0
_ORPHANS_SECONDS: Final = 60.0

_NO_PROCESS: Final = str(2**31 - 1)

# Linux allows 107 bytes in a socket's path, macOS 103.
_MAX_SOCKET_PATH: Final = 103


class EmbeddedServer:
    """The running server of one data folder. Made by `open_server`."""

    def __init__(self, data_dir: Path, programs: Programs, use: DataFolderUse) -> None:
        self._cluster = data_dir / "postgres"
        self._programs = programs
        self._use = use
        self._socket_folder = _socket_folder(self._cluster)

    @property
    def url(self) -> str:
        """Connection URL of the application's database."""
        return self._url_of(_DATABASE)

    @property
    def pid(self) -> int | None:
        """Process id of the server as its pid file has it; None when there is no such file."""
        try:
            return int((self._cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def is_running(self) -> bool:
        """Whether the server's main process lives. Cheap: it asks the kernel only."""
        pid = self.pid
        return pid is not None and is_alive(pid)

    def ensure_running(self) -> bool:
        """Start the server unless it runs.

        Returns
        -------
        Whether it had to be started.
        """
        with self._use.alone():
            return self._ensure_running()

    def _enter(self) -> None:
        with self._use.alone():
            self._use.join()
            if not (self._cluster / "PG_VERSION").exists():
                self._create()
            self._check_version()
            self._ensure_running()
            self._ensure_database()

    def _leave(self) -> None:
        with self._use.alone():
            if self._use.is_last() and self._answers_to_pg_ctl():
                self._stop()
            self._use.leave()

    def _create(self) -> None:
        # Made beside its place and then moved, so a process killed here leaves no half-made cluster behind.
        for left_over in self._cluster.parent.glob("postgres.new-*"):
            shutil.rmtree(left_over)
        if self._cluster.exists():
            self._cluster.rmdir()
        _log.info("making the embedded database in %s", self._cluster.parent)
        place = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self._cluster.parent))
        _give(place, self._programs.account)
        self._programs.run(
            "initdb",
            [
                "--pgdata",
                str(place),
                "--username",
                _SUPERUSER,
                # The folder, and with it the socket, is closed to everyone but its owner and root.
                "--auth=trust",
                "--encoding=UTF8",
                # PostgreSQL's own locale: the same on every machine, and Unicode in case-insensitive searches.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            ],
            seconds=_CREATE_SECONDS,
        )
        with (place / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(INCLUDE_LINE)
        place.rename(self._cluster)

    def _check_version(self) -> None:
        stored = (self._cluster / "PG_VERSION").read_text().strip()
        ours = self._programs.run("postgres", ["--version"], seconds=30).split()[-1].split(".")[0]
        if stored != ours:
            raise EmbeddedDatabaseError(
                f"The data in {self._cluster} was written by PostgreSQL {stored}, this program carries {ours}. "
                "Set COMMANDAPI_DATA_DIR to a new folder, or keep the data with pg_dump of the older version."
            )

    def _ensure_running(self) -> bool:
        if self._answers_to_pg_ctl():
            self._wait_until_ready()
            return False
        self._write_configuration()
        # Processes of a killed server may live a moment longer, and PostgreSQL waits for none of them.
        deadline = time.monotonic() + (_ORPHANS_SECONDS if self.pid is not None else 0)
        while True:
            try:
                self._start()
            except EmbeddedDatabaseError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return True

    def _start(self) -> None:
        log_file = self._cluster / "server.log"
        wait = ["--wait", "--silent", f"--timeout={_START_SECONDS:.0f}"]
        place = ["--pgdata", str(self._cluster), "--log", str(log_file)]
        self._forget_dead_process()
        try:
            self._programs.run("pg_ctl", ["start", *wait, *place], seconds=_START_SECONDS + 10)
        except EmbeddedDatabaseError as error:
            raise EmbeddedDatabaseError(f"{error.detail}\n{_end_of(log_file)}".strip()) from error

    def _forget_dead_process(self) -> None:
        # A killed server stays a zombie where process 1 does not reap, as in many containers, and PostgreSQL takes
        # it for alive. Only the id is exchanged, for one beyond any kernel's range: the file's other lines let
        # PostgreSQL find server processes that still use its shared memory.
        pid = self.pid
        if pid is None or is_alive(pid):
            return
        pid_file = self._cluster / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([_NO_PROCESS, *lines[1:]]))

    def _write_configuration(self) -> None:
        if self._socket_folder != self._cluster:
            _make_private_folder(self._socket_folder, self._programs.account)
        path = self._cluster / INCLUDED_FILE
        path.write_text(configuration(self._socket_folder), encoding="utf-8")
        path.chmod(0o600)
        _give(path, self._programs.account)

    def _answers_to_pg_ctl(self) -> bool:
        # pg_ctl knows whether the pid file is of this folder's server.
        if not self.is_running():
            return False
        try:
            self._programs.run("pg_ctl", ["status", "--pgdata", str(self._cluster)], seconds=30)
        except EmbeddedDatabaseError:
            return False
        return True

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self._url_of("postgres"), connect_timeout=10).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedDatabaseError(f"The embedded database does not answer: {error}") from error
                time.sleep(0.1)
            else:
                return

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url_of("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (_DATABASE,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))

    def _stop(self) -> None:
        stop = ["stop", "--wait", "--silent", f"--timeout={_STOP_SECONDS:.0f}", "--pgdata", str(self._cluster)]
        try:
            self._programs.run("pg_ctl", [*stop, "--mode=fast"], seconds=_STOP_SECONDS + 10)
        except EmbeddedDatabaseError as error:
            # Like a power cut, which PostgreSQL recovers from at its next start.
            _log.warning("the embedded database did not stop in time, stopping it at once: %s", error.detail)
            self._programs.run("pg_ctl", [*stop, "--mode=immediate"], seconds=_STOP_SECONDS + 10)

    def _url_of(self, database: str) -> str:
        return f"postgresql://{_SUPERUSER}@/{database}?host={quote(str(self._socket_folder), safe='/')}&port={PORT}"


@contextmanager
def open_server(data_dir: Path) -> Iterator[EmbeddedServer]:
    """Have the server of `data_dir` run for as long as the context lasts, making the folder where there is none.

    Raises
    ------
    EmbeddedDatabaseError
        It cannot be started.
    UnsupportedPlatform
        There is no embedded PostgreSQL for this platform.
    """
    data_dir = data_dir.expanduser().resolve()
    cluster = data_dir / "postgres"
    try:
        programs = find_programs(owner=cluster.stat().st_uid if cluster.exists() else None)
        _make_data_folder(data_dir, programs.account)
    except OSError as error:
        raise EmbeddedDatabaseError(f"The data folder {data_dir} cannot be used: {error}") from error
    with DataFolderUse(data_dir) as use:
        server = EmbeddedServer(data_dir, programs, use)
        try:
            server._enter()  # noqa: SLF001  # the class is opened here and nowhere else
            yield server
        finally:
            server._leave()  # noqa: SLF001


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie, dead but not yet reaped by its parent, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # proc(5): the state follows the command's name, which may itself hold parentheses.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return True


def _make_data_folder(data_dir: Path, account: Account) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise PermissionError(f"{data_dir} is not writable")
    if account.changes_user:
        open_the_way(data_dir / "postgres")


def _socket_folder(cluster: Path) -> Path:
    """The cluster's own folder, or a private one in the temporary folder where that path is too long for a socket."""
    if len(os.fsencode(cluster / f".s.PGSQL.{PORT}")) <= _MAX_SOCKET_PATH:
        return cluster
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path("/tmp") / f"commandapi-{name}"  # noqa: S108  # made private, or refused, by _make_private_folder


def _make_private_folder(folder: Path, account: Account) -> None:
    try:
        folder.mkdir(mode=0o700)
        _give(folder, account)
    except FileExistsError:
        found = folder.lstat()
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077
        if not is_ours:
            raise EmbeddedDatabaseError(
                f"{folder} exists and belongs to someone else. Set COMMANDAPI_DATA_DIR to a folder with a shorter path."
            ) from None


def _give(path: Path, account: Account) -> None:
    if account.changes_user:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _end_of(log_file: Path) -> str:
    try:
        return "\n".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    except OSError:
        return ""
