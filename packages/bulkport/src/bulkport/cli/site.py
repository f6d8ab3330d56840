"""The server that the commands use, and their credentials."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkport.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from bulkport.client import Client

_PATIENCE_SECONDS = 5.0

JobNumber = Annotated[int, typer.Argument(metavar="IMPORT", help="Id of the import.", show_default=False, min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


@dataclass(frozen=True, slots=True)
class Site:
    """The server of an application.

    Parameters
    ----------
    api_key_variable:
        Environment variable that holds the API key where `--api-key` is not given.
    prefix:
        Path below which the application has its routes.
    """

    api_key_variable: str
    default_url: str = "http://127.0.0.1:8000"
    prefix: str = "/api"

    @property
    def url_option(self) -> Any:
        """What the parameter `url` is."""
        variable = f"{self.api_key_variable.removesuffix('_API_KEY')}_URL"
        return typer.Option(envvar=variable, help="URL of the server.", show_envvar=True)

    @property
    def key_option(self) -> Any:
        """What the parameter `api_key` is."""
        return typer.Option(envvar=self.api_key_variable, help="API key.", show_default=False, show_envvar=True)

    def require_key(self, api_key: str) -> None:
        """End the program if there is no key."""
        if not api_key:
            from rich.console import Console
            from rich.text import Text

            text = f"an API key is required: --api-key or {self.api_key_variable}."
            Console(stderr=True).print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
            raise typer.Exit(ExitCode.NOT_IMPORTED)

    def client(self, url: str, api_key: str) -> "Client":
        """A client of the server."""
        from bulkport.client import Client  # slow to import

        return Client(url, api_key=api_key, prefix=self.prefix, patience_seconds=_PATIENCE_SECONDS)

    @contextmanager
    def connected(
        self, url: str, api_key: str, *, stopped: Callable[[], str] = lambda: "Stopped."
    ) -> "Iterator[Client]":
        """A client whose errors end the program with a message and an exit code.

        Parameters
        ----------
        stopped:
            What there is to say after Ctrl-C.
        """
        self.require_key(api_key)
        from rich.console import Console  # slow to import
        from rich.text import Text

        from bulkport.cli.failures import print_failure
        from bulkport.client import ClientError

        try:
            with self.client(url, api_key) as client:
                yield client
        except ClientError as error:
            print_failure(Console(stderr=True), error, variable=self.api_key_variable)
            raise typer.Exit(ExitCode.NOT_IMPORTED) from None
        except BrokenPipeError:  # `… | head`
            raise typer.Exit(ExitCode.ALL_IMPORTED) from None
        except KeyboardInterrupt:
            Console(stderr=True).print(Text(stopped()), soft_wrap=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
