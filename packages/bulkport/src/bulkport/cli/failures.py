"""Messages for errors between the command line and a server."""

from typing import Final

from rich.console import Console
from rich.text import Text

from bulkport.cli.wording import harmless
from bulkport.client import ClientError, RequestRefused

_SHOWN_MESSAGES: Final = 20

# What to do about it, where the server's own words do not say.
_ADVICE: Final = {
    401: "The server does not accept this API key. Pass one with --api-key or {variable}.",
    403: "This API key may not do that.",
    404: "The server at this URL does not import {resource}; check --url and --resource.",
    413: "The file or one of its rows is larger than the server accepts.",
}


def print_failure(messages: Console, error: ClientError, *, variable: str, resource: str | None = None) -> None:
    """Print an error and, if known, its remedy.

    Parameters
    ----------
    variable:
        Environment variable that may hold the key.
    resource:
        What was to be imported.
    """
    lines = [harmless(error.detail, longest=1000)]
    if isinstance(error, RequestRefused):
        lines[0] = f"{error.http_status} {harmless(error.refusal)}: {lines[0]}"
        faults = [(path, message) for path, listed in error.errors.items() for message in listed]
        lines += [f"  {harmless(path)}: {harmless(message)}" for path, message in faults[:_SHOWN_MESSAGES]]
        if len(faults) > _SHOWN_MESSAGES:
            lines.append(f"  and {len(faults) - _SHOWN_MESSAGES:,} more")
        advice = _ADVICE.get(error.http_status)
        if advice and (resource is not None or error.http_status != 404):
            lines.append(advice.format(variable=variable, resource=resource))
        if error.http_status >= 500 and error.trace_id:  # server errors
            lines.append(f"The server's log has details under trace id {harmless(error.trace_id)}.")
    messages.print(Text.assemble(("error: ", "bold red"), "\n".join(lines)), soft_wrap=True)
