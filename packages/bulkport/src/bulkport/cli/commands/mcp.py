"""`bulkport mcp …`: shows failures to assistants over the Model Context Protocol."""

from bulkport.cli.commands.target import Target, load, plain_errors
from bulkport.extras import require_extra


def mcp(target: Target) -> None:
    """Serve the Model Context Protocol on standard input and output, read-only: failing tasks, jobs, import errors."""
    require_extra("mcp", "mcp")
    for module in ("jinja2", "starlette"):
        require_extra("dashboard", module)
    from bulkport.cli.mcp_server import mcp_server  # needs the extras

    with plain_errors(target):
        mcp_server(load(target)).run("stdio")
