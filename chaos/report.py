"""Formats the results of a run as a table."""

from typing import Any

from chaos.faults import FAULTS
from chaos.ledger import Fate, Ledger
from chaos.options import Options


def figures_of(options: Options, ledger: Ledger) -> dict[str, Any]:
    """The run for programs."""
    fates = [entry.fate for entry in ledger.entries]
    return {
        "seed": options.seed,
        "seconds": options.seconds,
        "faults": dict(ledger.faults),
        "skipped": ledger.skipped,
        "imports": len(fates),
        "acknowledged": fates.count(Fate.ACCEPTED),
        "ambiguous": ledger.ambiguous,
        "rows_checked": ledger.rows_checked,
        "jobs": len(ledger.jobs),
        "settle_seconds": round(ledger.settle_seconds, 1),
        "violations": ledger.violations,
    }


def lines_of(options: Options, ledger: Ledger) -> list[str]:
    """The run as a Markdown table, with the violations."""
    fates = [entry.fate for entry in ledger.entries]
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(ledger.answers.items()))
    jobs = list(ledger.jobs.values())
    enqueued = f"{jobs.count('committed')}, {jobs.count('rolled back')}, {jobs.count('unknown')}"
    lines = [
        f"Seed {options.seed}, {options.seconds:g} s, {options.clients} clients, {options.workers} workers.",
        "",
        "| fault | times |",
        "|---|---|",
    ]
    lines += [
        f"| {kind} | {ledger.skipped.get(kind) or ledger.faults[kind]} |"
        for kind in FAULTS
        if kind in ledger.faults or kind in ledger.skipped
    ]
    lines += [
        f"| **all** | **{ledger.faults.total()}** |",
        "",
        "| what | |",
        "|---|---|",
        f"| imports sent | {len(fates)} |",
        f"| acknowledged with 202 | {fates.count(Fate.ACCEPTED)} |",
        f"| refused with 400, as they must be | {fates.count(Fate.REFUSED)} |",
        f"| ambiguous: answers that were lost | {ledger.ambiguous} |",
        f"| … of imports that could not be sent again | {fates.count(Fate.UNKNOWN)} |",
        f"| sent again though they were answered | {ledger.replays} |",
        f"| answers | {answers} |",
        f"| status polls, and those lost | {ledger.polls}, {ledger.lost_polls} |",
        f"| rows checked | {ledger.rows_checked:,} |",
        f"| imports, row errors checked | {ledger.imports_checked:,}, {ledger.errors_checked:,} |",
        f"| jobs enqueued, rolled back, ambiguous | {enqueued} |",
        f"| runs of jobs | {ledger.runs} |",
        f"| backlog at the last fault: records, jobs | {ledger.backlog_rows:,}, {ledger.backlog_jobs} |",
        f"| requests under way answered after the last fault | {ledger.requests_seconds:.1f} s |",
        f"| settled after the last fault | {ledger.settle_seconds:.1f} s |",
        f"| **violations** | **{len(ledger.violations)}** |",
    ]
    return [*lines, *(f"VIOLATION: {violation}" for violation in ledger.violations[:50])]
