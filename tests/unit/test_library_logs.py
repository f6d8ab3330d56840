"""Where the library's logs go, with and without structlog set up by the application."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from bulkport.logs import get_logger


@pytest.fixture
def unconfigured() -> Iterator[None]:
    """Structlog as in an application that does not know it."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    if before is not None:
        structlog.configure(**before)


def fail(secret: str) -> None:
    raise ValueError(f"a secret of {len(secret)} letters")


@pytest.mark.usefixtures("unconfigured")
def test_without_structlog_a_failure_is_a_logging_record(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("bulkport.some.module")
    secret = "hunter" + str(2)
    try:
        fail(secret)
    except ValueError:
        log.bind(job_id=7).exception("job failed", task="send mail", why="50 % done")

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("bulkport.some.module", "ERROR")
    assert record.getMessage() == "job failed job_id=7 task='send mail' why='50 % done'"
    assert "ValueError: a secret of 7 letters" in caplog.text
    assert secret not in caplog.text


@pytest.mark.usefixtures("unconfigured")
def test_without_structlog_levels_are_those_of_logging(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("bulkport.some.module")
    caplog.set_level(logging.WARNING, "bulkport")
    log.info("nobody asked")
    log.warning("nobody cares")

    assert [record.getMessage() for record in caplog.records] == ["nobody cares"]


def test_structlog_gets_events_once_it_is_configured() -> None:
    log = get_logger("bulkport.some.module")
    with capture_logs() as events:
        log.bind(job_id=7).warning("attempt failed", task="mail")

    assert events == [{"event": "attempt failed", "log_level": "warning", "job_id": 7, "task": "mail"}]


@pytest.mark.parametrize(
    ("set_up", "printed"),
    [
        ("pass", "worker started worker_id=1"),
        ("logging.basicConfig()", ""),
        ("logging.getLogger('bulkport').addHandler(logging.NullHandler())", ""),
        ("logging.basicConfig(level='INFO', format='%(name)s|%(message)s')", "bulkport|worker started worker_id=1"),
        ("structlog.configure(processors=[structlog.processors.JSONRenderer()])", '"event": "worker started"'),
    ],
)
def test_a_worker_process_prints_its_logs_unless_logging_is_configured(set_up: str, printed: str) -> None:
    program = f"""
import logging, structlog
from bulkport.logs import get_logger, log_to_stderr
{set_up}
log_to_stderr()
get_logger("bulkport").info("worker started", worker_id=1)
logging.getLogger("other").info("chatter")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    written = done.stdout + done.stderr
    assert printed in written
    assert bool(written) == bool(printed)
    if set_up == "pass":
        assert "chatter" not in written
