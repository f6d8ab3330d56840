"""What tests inherit from whoever starts them, made the same everywhere: variables, signals, time zone and umask.

A terminal, `make` in the background of a script, `nohup` and each CI service give their own, and the programs that
tests start inherit them in turn.
"""

import os
import pwd
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Final

_KEPT: Final = {"BULKPORT_TEST_DATABASE_URL", "BULKPORT_EXAMPLES_TIMES", "BULKPORT_MANY_ROWS"}
_DROPPED_PREFIXES: Final = ("COMMANDAPI_", "BULKPORT_", "PG", "LC_", "OTEL_", "AWS_")
_DROPPED: Final = {
    # Settings of programs
    "DATABASE_URL",
    "LANGUAGE",
    # Colours and widths of a terminal
    *("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "GITHUB_ACTIONS"),
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"),
    # How Python runs; without bytecode, each process that a test starts takes twice the time
    *("PYTHONDONTWRITEBYTECODE", "PYTHONDEVMODE", "PYTHONWARNINGS", "PYTHONASYNCIODEBUG", "PYTHONOPTIMIZE"),
    *("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONHASHSEED", "PYTHONSTARTUP", "PYTHONINSPECT"),
    # Packages come by https; plain http goes to this machine alone
    *("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"),
}
_SET: Final = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "PYTHONUNBUFFERED": "1"}
_HERE: Final = "localhost,127.0.0.1,::1"


def clean() -> None:
    """Make this process, and those that it starts, such as they are anywhere."""
    for name in list(os.environ):
        if name not in _KEPT and (name in _DROPPED or name.startswith(_DROPPED_PREFIXES)):
            del os.environ[name]
    os.environ.update(_SET)
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), _HERE]))
    if "HOME" not in os.environ:
        with suppress(KeyError):
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    time.tzset()
    os.umask(0o022)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        # What is ignored stays so in programs that are started; a handler of ours does not.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
