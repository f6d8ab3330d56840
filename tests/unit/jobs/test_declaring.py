"""What a declared task is called, how its calls are queued, and that its types are checked by mypy."""

import functools
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkport.jobs.errors import TaskDeclarationError
from bulkport.jobs.task import JobOptions, Task, TaskSettings

TYPED = """
from bulkport.jobs import JobContext
from bulkport.jobs.calls import JobCalls

jobs = JobCalls()

@jobs.task
async def send(context: JobContext, recipient: str, copies: int = 1) -> int: return copies

@jobs.task(queue="reports")
def report(year: int) -> str: return str(year)

async def main() -> None:
    await jobs.enqueue(send, "ada", copies=2)
    await jobs.enqueue(report.options(queue="other").call(2026))
    await jobs.schedule(report.call(2026), in_=60)
    await jobs.enqueue(report, "this year")  # wrong: a text
    send.call()  # wrong: nothing
    report.call(year=1, month=2)  # wrong: one too many
    report.options(qeue="slow")  # wrong: no such option
"""


async def send_report(recipient: str) -> None: ...


def test_a_task_is_named_after_its_function_by_default() -> None:
    assert task(send_report).name == f"{__name__}.send_report"
    assert Task(send_report, TaskSettings(name="send"), JobOptions()).name == "send"


SCRIPT = """
from bulkport.jobs.calls import JobCalls

@JobCalls().task
async def send() -> None: ...

print(send.name)
"""


@pytest.mark.parametrize(
    ("command", "name"),
    [(["shop/tasks.py"], "tasks.send"), (["-m", "shop.tasks"], "shop.tasks.send"), (["-c", SCRIPT], "__main__.send")],
)
def test_a_task_of_a_script_is_named_as_importers_name_it(command: list[str], name: str, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "tasks.py").write_text(SCRIPT)
    run = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == name


def test_a_callable_without_a_name_needs_one() -> None:
    nameless = functools.partial(send_report, "ada")
    with pytest.raises(TaskDeclarationError, match="name="):
        task(nameless)
    assert Task(nameless, TaskSettings(name="send"), JobOptions()).name == "send"
    with pytest.raises(TaskDeclarationError, match="128 characters"):
        Task(send_report, TaskSettings(name="x" * 129), JobOptions())


def test_generators_are_rejected() -> None:
    def produce() -> Iterator[int]:
        yield 1

    async def produce_slowly() -> AsyncIterator[int]:
        yield 1

    for function in (produce, produce_slowly):
        with pytest.raises(TaskDeclarationError, match="yields"):
            task(function)


def test_options_create_another_task_and_leave_the_original() -> None:
    declared = task(send_report)
    urgent = declared.options(queue="urgent", priority=5).options(unique_key="ada")
    assert urgent.call("ada").options == JobOptions("urgent", 5, unique_key="ada")
    assert declared.call("ada").options == JobOptions()
    assert urgent.call("ada").task == declared.name


@pytest.mark.parametrize("wrong", [{"queue": ""}, {"priority": 2**31}, {"concurrency_limit": 0}], ids=str)
def test_unusable_options_are_rejected(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"1 to 40|32-bit|at least 1"):
        task(send_report).options(**wrong)


def test_mypy_finds_wrong_calls(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "typed_program.py"
    program.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    found = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    wrong = [number for number, line in enumerate(TYPED.splitlines(), 1) if "# wrong" in line]
    lines = {
        int(line.split(":")[1])
        for line in found.stdout.splitlines()
        if f"{program.name}:" in line and ": error:" in line
    }
    assert sorted(lines) == wrong, found.stdout


def task(function: Any) -> Task[..., Any]:
    return Task(function, TaskSettings(), JobOptions())
