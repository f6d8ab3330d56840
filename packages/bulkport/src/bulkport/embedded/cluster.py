"""One folder of PostgreSQL's data: make it, start its server, stop it.

Whoever calls these makes sure that nobody else does at the same time; see `bulkport.embedded.locks`.
"""

import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import psycopg

from bulkport.embedded.binaries import Programs, give
from bulkport.embedded.configuration import INCLUDE_LINE, INCLUDED_FILE, configuration
from bulkport.embedded.errors import EmbeddedDatabaseError
from bulkport.embedded.processes import is_alive
from bulkport.embedded.sockets import connection_url, make_private, socket_folder

_log = logging.getLogger(__name__)

SUPERUSER: Final = "postgres"

_CREATE_SECONDS: Final = 120.0
# Replaying the log of a killed server takes up to a minute or so at max_wal_size.
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 60.0
_ORPHANS_SECONDS: Final = 60.0

_NO_PROCESS: Final = str(2**31 - 1)


class Cluster:
    """The data in one folder, and the server over it."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.folder = folder
        self.socket_folder = socket_folder(folder)
        self._programs = programs
        self._pid_file = folder / "postmaster.pid"

    @property
    def exists(self) -> bool:
        """Whether the folder holds a cluster."""
        return (self.folder / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        """Process id of the server from its pid file; None if there is no such file."""
        try:
            return int(self._pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    @property
    def is_running(self) -> bool:
        """Whether the server's main process lives. Cheap: it asks the kernel only."""
        pid = self.pid
        return pid is not None and is_alive(pid)

    def create(self) -> None:
        """Make the cluster.

        It is made beside its place and then moved, so a process killed here leaves no half-made one.
        """
        for left_over in self.folder.parent.glob("postgres.new-*"):
            shutil.rmtree(left_over)
        if self.folder.exists():
            self.folder.rmdir()
        _log.info("making the embedded database in %s", self.folder.parent)
        place = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.folder.parent))
        give(place, self._programs.account)
        # The folder, and with it the socket, is closed to everyone but its owner and root: that is the authentication.
        access = ["--username", SUPERUSER, "--auth=trust"]
        # PostgreSQL's own locale: the same on every machine, and Unicode in case-insensitive searches.
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self._programs.run(
            "initdb", ["--pgdata", str(place), *access, *locale, "--no-instructions"], seconds=_CREATE_SECONDS
        )
        place.rename(self.folder)

    def check_version(self) -> None:
        """Refuse data that these programs cannot read.

        Raises
        ------
        EmbeddedDatabaseError
            They are of another major version.
        """
        stored = (self.folder / "PG_VERSION").read_text().strip()
        ours = self._programs.run("postgres", ["--version"], seconds=30).split()[-1].split(".")[0]
        if stored != ours:
            raise EmbeddedDatabaseError(
                f"The data in {self.folder} was written by PostgreSQL {stored}; this program includes {ours}. "
                "Choose a new data folder, or keep the data with pg_dump of the older version."
            )

    def ensure_running(self) -> bool:
        """Start the server unless it runs; returns whether it had to be started.

        Raises
        ------
        EmbeddedDatabaseError
            It does not start; the message ends with the last lines of its log.
        """
        if self._answers_to_pg_ctl() and self._becomes_ready():
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

    def stop(self) -> None:
        """Stop the server where it runs; open transactions are rolled back."""
        if not self._answers_to_pg_ctl():
            return
        stop = ["stop", "--wait", "--silent", f"--timeout={_STOP_SECONDS:.0f}", "--pgdata", str(self.folder)]
        try:
            self._programs.run("pg_ctl", [*stop, "--mode=fast"], seconds=_STOP_SECONDS + 10)
        except EmbeddedDatabaseError as error:
            # Like a power cut, which PostgreSQL recovers from at its next start.
            _log.warning("the embedded database did not stop in time, stopping it at once: %s", error.detail)
            self._programs.run("pg_ctl", [*stop, "--mode=immediate"], seconds=_STOP_SECONDS + 10)

    def _start(self) -> None:
        log_file = self.folder / "server.log"
        wait = ["--wait", "--silent", f"--timeout={_START_SECONDS:.0f}"]
        place = ["--pgdata", str(self.folder), "--log", str(log_file)]
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
        lines = self._pid_file.read_text().split("\n")
        self._pid_file.write_text("\n".join([_NO_PROCESS, *lines[1:]]))

    def _write_configuration(self) -> None:
        if self.socket_folder != self.folder:
            make_private(self.socket_folder, self._programs.account)
        main = self.folder / "postgresql.conf"
        if INCLUDE_LINE.strip() not in main.read_text(encoding="utf-8"):
            with main.open("a", encoding="utf-8") as file:
                file.write(INCLUDE_LINE)
        path = self.folder / INCLUDED_FILE
        path.write_text(configuration(self.socket_folder), encoding="utf-8")
        path.chmod(0o600)
        give(path, self._programs.account)

    def _answers_to_pg_ctl(self) -> bool:
        # pg_ctl knows whether the pid file is of this folder's server.
        if not self.is_running:
            return False
        try:
            self._programs.run("pg_ctl", ["status", "--pgdata", str(self.folder)], seconds=30)
        except EmbeddedDatabaseError:
            return False
        return True

    def _becomes_ready(self) -> bool:
        """Wait until a running server takes connections. False when it dies instead."""
        deadline = time.monotonic() + _START_SECONDS
        url = connection_url(self.socket_folder, user=SUPERUSER, database="postgres")
        while True:
            try:
                psycopg.connect(url, connect_timeout=10).close()
            except psycopg.OperationalError as error:
                if not self.is_running:
                    return False
                if time.monotonic() > deadline:
                    raise EmbeddedDatabaseError(f"The embedded database does not answer: {error}") from error
                time.sleep(0.1)
            else:
                return True


def _end_of(log_file: Path) -> str:
    try:
        return "\n".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    except OSError:
        return ""
