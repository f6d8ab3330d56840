"""`python -m inputs`: sends requests that the API description allows and does not, and reports wrong responses."""

from pathlib import Path
from typing import Annotated

import typer
from chaos.run import new_seed

from inputs.run import run


def main(
    requests: Annotated[int, typer.Option(min=1, help="Requests to send at least.")] = 20_000,
    seed: Annotated[int | None, typer.Option(help="Of the first round; by default a new one.")] = None,
    examples: Annotated[int, typer.Option(min=1, help="Random requests of an operation in a round.")] = 40,
    details: Annotated[Path | None, typer.Option(help="File for Schemathesis' own reports.")] = None,
) -> None:
    """Send requests made from the API's description. Ends with 1 when an answer was wrong."""
    chosen = new_seed() if seed is None else seed
    print(f"seed {chosen}", flush=True)
    figures = run(requests, chosen, examples, details=details)
    print("| what | |\n|---|---|")
    print(f"| requests | {figures.requests:,} |\n| operations | {figures.operations} |\n| rounds | {figures.rounds} |")
    print(f"| seconds | {figures.seconds:.0f} |\n| wrong answers | {sum(figures.failures.values())} |")
    for what, times in (*figures.failures.most_common(), *figures.errors.most_common()):
        print(f"WRONG: {what} ({times})")
    raise SystemExit(1 if figures.failures or figures.errors else 0)


if __name__ == "__main__":
    typer.run(main)
