"""`commandapi worker`: runs one worker without the API."""

from typing import Annotated

import typer


def worker(
    *,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Concurrent background jobs.",
            show_default="COMMANDAPI_WORKER_CONCURRENCY, or 20",
            metavar="N",
        ),
    ] = None,
    heavy: Annotated[
        bool,
        typer.Option(
            " /--no-heavy",
            help="Leave heavy tasks, such as imports of more than 200 rows, to other workers.",
            show_default=False,
        ),
    ] = True,
) -> None:
    """Run imports and background jobs. Start any number of workers, on any machine that reaches the database.

    The first Ctrl-C or SIGTERM lets running jobs finish; a second one returns them to the queue.
    """
    from commandapi import worker_process  # noqa: PLC0415  # slow to import
    from commandapi.cli.database import provide_database  # noqa: PLC0415
    from commandapi.logs import configure_logging  # noqa: PLC0415
    from commandapi.settings import Settings  # noqa: PLC0415

    settings = Settings()
    configure_logging(settings)
    with provide_database(settings) as database:
        database.wait_until_usable(settings.database_start_seconds)
        worker_process.run(
            settings.model_copy(update={"database_url": database.url}),
            concurrency=concurrency or settings.worker_concurrency,
            heavy=heavy,
        )
