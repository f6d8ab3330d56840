"""`python -m fuzz`: fuzzes the readers for a given time."""

from typing import Annotated

import typer
from chaos.run import new_seed

from fuzz.run import has_atheris, run_all


def main(
    seconds: Annotated[float, typer.Option(min=1, help="In all.")] = 600,
    seed: Annotated[int | None, typer.Option(help="By default a new one.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Part of a target's name; repeatable.")] = None,
    by_chance: Annotated[bool, typer.Option("--by-chance", help="Even where atheris is installed.")] = False,
) -> None:
    """Fuzz the readers. Ends with 1 when something broke."""
    chosen = new_seed() % 2**31 if seed is None else seed
    by_coverage = has_atheris() and not by_chance
    print(f"seed {chosen}, {'atheris' if by_coverage else 'chance'}", flush=True)
    results = run_all(seconds, chosen, only or [], by_coverage=by_coverage)
    print("| target | seconds | examples | |\n|---|---|---|---|")
    for result in sorted(results, key=lambda result: result.name):
        verdict = "holds" if result.fault is None else "**broken**"
        print(f"| {result.name} | {result.seconds:.0f} | {result.examples:,} | {verdict} |")
    for result in results:
        if result.fault is not None:
            print(f"BROKEN: {result.name}\n{result.fault}")
    raise SystemExit(1 if any(result.fault for result in results) else 0)


if __name__ == "__main__":
    typer.run(main)
