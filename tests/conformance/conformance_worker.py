"""A worker process of the suite: `python conformance_worker.py URL FOLDER NAME [JSON of options]`.

Options are those of `BackgroundJobs.run_worker`, and two more: `clock_seconds` has its clock go wrong by so much, and
`edition` has it know other tasks, as a server of another version of the application does.
"""

import datetime as datetime_module
import json
import logging
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any


class _Kind(type):
    """Has datetimes that were made before or elsewhere count as ones of the wrong clock."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _RIGHT)


_RIGHT = datetime_module.datetime


def put_clock_wrong(seconds: float) -> None:
    """Have this process believe it is so much later than it is. To be called before anything else is imported."""
    right_time = time.time

    class WrongDatetime(_RIGHT, metaclass=_Kind):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return _RIGHT.now(tz) + timedelta(seconds=seconds)

        @classmethod
        def utcnow(cls) -> Any:
            return _RIGHT.now(datetime_module.UTC).replace(tzinfo=None) + timedelta(seconds=seconds)

    time.time = lambda: right_time() + seconds
    time.time_ns = lambda: int(time.time() * 1_000_000_000)
    datetime_module.datetime = WrongDatetime  # type: ignore[misc]


def work(url: str, folder: Path, name: str, edition: str, options: dict[str, Any]) -> None:
    sys.path.append(str(Path(__file__).parents[1]))
    import conformance_editions
    import conformance_tasks
    from conformance_diary import Diary
    from conformance_engine import engine_under_test

    from bulkport.jobs import RetentionPolicy
    from bulkport.jobs.worker import run_until_signal

    jobs, diary = engine_under_test().application(), Diary(folder, name)
    if edition == "current":
        conformance_tasks.declare(jobs, diary)
    else:
        conformance_editions.declare(jobs, diary, edition)
    if "retention_seconds" in options:
        kept = timedelta(seconds=options.pop("retention_seconds"))
        options["retention"] = RetentionPolicy(succeeded=kept, failed=None, cancelled=kept)
    run_until_signal(lambda stop: jobs.run_worker(url, stop, name=name, **options))


def main() -> None:
    url, folder, name, text = sys.argv[1:]
    options = json.loads(text)
    if seconds := options.pop("clock_seconds", 0):
        put_clock_wrong(seconds)
    import structlog

    as_json = structlog.processors.JSONRenderer(default=repr)
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, as_json])
    logging.basicConfig(level=logging.WARNING)
    work(url, Path(folder), name, options.pop("edition", "current"), options)


if __name__ == "__main__":
    main()
