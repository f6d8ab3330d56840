"""Describes the machine of a run, so that its figures can be interpreted later."""

import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("fastapi", "uvicorn", "pydantic", "msgspec", "psycopg", "procrastinate")
_PEER_PACKAGES = ("sqlalchemy", "django", "django-import-export", "celery", "redis", "pgqueuer")


def describe_machine(database_settings: dict[str, str]) -> dict[str, Any]:
    """Processor, memory, versions and database settings."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in (*_PACKAGES, *_PEER_PACKAGES)},
        "postgresql": database_settings,
    }


def addition_milliseconds() -> float:
    """How long a million additions in Python take now: machines with neighbours are not always as fast."""
    found = []
    for _ in range(3):
        started = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number
        found.append((time.perf_counter() - started) * 1000)
    return min(found)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
