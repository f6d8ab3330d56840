"""`python -m chaos`: breaks things and checks that nothing was lost."""

import json
import signal
import sys
from typing import Annotated

import typer

from chaos.faults import FAULTS
from chaos.options import Options
from chaos.report import figures_of, lines_of
from chaos.run import new_seed, run


def main(  # noqa: PLR0917  # options of the command line
    seconds: Annotated[float, typer.Option(min=1, help="How long faults are injected.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Of contents and faults; by default a new one.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="A kind of fault, or the beginning of some; repeatable.")
    ] = None,
    rows: Annotated[int, typer.Option(min=20, help="Records of the largest import.")] = 30_000,
    clients: Annotated[int, typer.Option(min=1, help="Clients that send imports.")] = 4,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    pause: Annotated[float, typer.Option(min=0.01, help="Mean pause between faults, in seconds.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON after the table.")] = False,
    disk: Annotated[float, typer.Option(min=1, help="Size of PostgreSQL's disk, in GiB.")] = 3,
    enough: Annotated[
        int, typer.Option(min=0, help="End after so many faults, --enough-imports and --enough-rows, if sooner.")
    ] = 0,
    enough_imports: Annotated[int, typer.Option(min=0, help="Accepted imports for --enough.")] = 10,
    enough_rows: Annotated[int, typer.Option(min=0, help="Their rows, for --enough.")] = 1_000,
    settle: Annotated[float, typer.Option(help="Longest wait after the last fault, in seconds.")] = 180,
) -> None:
    """Break a running system and check that nothing was lost or doubled. Ends with 1 when something was."""
    chosen = tuple(kind for kind in FAULTS if any(kind.startswith(word) for word in fault or [""]))
    if not chosen:
        raise typer.BadParameter(f"there are: {', '.join(FAULTS)}")
    # What was started and mounted is ended and unmounted also when the run is told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = Options(
        seconds=seconds,
        seed=new_seed() if seed is None else seed,
        faults=chosen,
        rows=rows,
        clients=clients,
        workers=workers,
        pause_seconds=pause,
        settle_seconds=settle,
        enough_faults=enough,
        enough_imports=enough_imports,
        enough_rows=enough_rows,
        disk_bytes=int(disk * 2**30),
    )
    print(f"seed {options.seed}", flush=True)
    ledger = run(options, lambda line: print(line, file=sys.stderr, flush=True))
    print("\n".join(lines_of(options, ledger)), flush=True)
    if as_json:
        print(json.dumps(figures_of(options, ledger)), flush=True)
    raise SystemExit(1 if ledger.violations else 0)


if __name__ == "__main__":
    typer.run(main)
