"""What the logs of a process look like."""

import logging
import subprocess
import sys

import pytest

from commandapi.settings import Environment

PROGRAM = """
import logging, sys
from commandapi.logs import configure_logging
from commandapi.settings import Settings

configure_logging(Settings(environment=sys.argv[1]))

def stumble(secret):
    raise ValueError("the reason")

try:
    stumble("".join(["tok", "en-", "123"]))
except ValueError:
    logging.getLogger("somewhere").exception("it failed")
"""


@pytest.mark.parametrize("environment", list(Environment))
def test_tracebacks_show_where_and_why_but_no_variable_values(environment: Environment) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, environment], capture_output=True, text=True, check=True
    ).stderr
    assert {text for text in ("it failed", "ValueError", "the reason", "stumble") if text not in told} == set()
    assert "token-123" not in told
    assert logging.getLevelName(logging.ERROR).lower() in told
