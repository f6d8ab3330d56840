"""The continuations around a job as a graph: what it waits for on the left, what waits for it on the right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import PageRequest
from bulkport.dashboard.pages.job_timeline import state_word
from bulkport.identifiers import BackgroundJobId
from bulkport.jobs.calls import JobCalls
from bulkport.jobs.job import JobState
from bulkport.jobs.port.details import JobDetails, JobLink

_MAX_NODES: Final = 40
_MAX_READ: Final = 12
"""Jobs that are read beside the one of the page; the graph ends at those that are not."""
_WIDTH: Final = 190
_HEIGHT: Final = 44
_GAP_X: Final = 56
_GAP_Y: Final = 14
_NAME_CHARACTERS: Final = 24
_TONES: Final = {
    JobState.SUCCEEDED: "ok",
    JobState.FAILED: "bad",
    JobState.RETRYING: "warn",
    JobState.PROCESSING: "accent",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A job or a batch of the graph."""

    key: str
    column: int
    """0 for the job of the page, negative for its predecessors."""
    name: str
    note: str
    tone: str
    href: str
    is_current: bool = False
    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """The drawn graph."""

    nodes: Sequence[Node]
    edges: Sequence[str]
    """SVG paths."""
    width: int
    height: int
    node_width: int = _WIDTH
    node_height: int = _HEIGHT


async def continuation_graph(jobs: JobCalls, details: JobDetails, request: PageRequest) -> Graph | None:
    """The graph around a job; None if nothing waits for it and it waits for nothing."""
    if not details.parents and not details.children:
        return None
    job = details.job
    start = _job_node(str(job.id), 0, job.task, job.state, request, is_current=True)
    nodes = {start.key: start}
    edges: set[tuple[str, str]] = set()
    pending: list[tuple[JobDetails, int]] = [(details, 0)]
    read = 0
    while pending:
        known, column = pending.pop(0)
        own = f"job-{known.job.id}"
        for link, step in (
            *((link, -1) for link in known.parents if column <= 0),
            *((link, 1) for link in known.children if column >= 0),
        ):
            node = _node(link, column + step, request)
            edges.add((node.key, own) if step < 0 else (own, node.key))
            if node.key in nodes or len(nodes) >= _MAX_NODES:
                continue
            nodes[node.key] = node
            if link.job_id is not None and link.task is not None and read < _MAX_READ:
                read += 1
                further = await jobs.details(BackgroundJobId(str(link.job_id)))
                if further is not None:
                    pending.append((further, column + step))
    return _drawn(nodes, [edge for edge in edges if edge[0] in nodes and edge[1] in nodes])


def _node(link: JobLink, column: int, request: PageRequest) -> Node:
    if link.job_id is not None:
        return _job_node(str(link.job_id), column, link.task, link.state, request)
    href = request.link(f"batches/{link.batch_id}")
    return Node(f"batch-{link.batch_id}", column, t("Batch {number}", number=link.batch_id), "", "muted", href)


def _job_node(
    job_id: str,
    column: int,
    task: str | None,
    state: JobState | None,
    request: PageRequest,
    *,
    is_current: bool = False,
) -> Node:
    name = task or t("removed")
    shown = name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"
    note = f"#{job_id}" + (f" · {state_word(state)}" if state is not None else "")
    tone = _TONES.get(state, "muted") if state is not None else "muted"
    return Node(f"job-{job_id}", column, shown, note, tone, request.link(f"jobs/{job_id}"), is_current)


def _drawn(nodes: Mapping[str, Node], edges: Iterable[tuple[str, str]]) -> Graph:
    columns = sorted({node.column for node in nodes.values()})
    placed: dict[str, Node] = {}
    tallest = max(sum(1 for node in nodes.values() if node.column == column) for column in columns)
    height = tallest * (_HEIGHT + _GAP_Y) - _GAP_Y
    for place, column in enumerate(columns):
        members = [node for node in nodes.values() if node.column == column]
        top = (height - (len(members) * (_HEIGHT + _GAP_Y) - _GAP_Y)) // 2
        for row, node in enumerate(members):
            placed[node.key] = replace(node, x=place * (_WIDTH + _GAP_X), y=top + row * (_HEIGHT + _GAP_Y))
    paths = [_edge(placed[left], placed[right]) for left, right in sorted(edges)]
    return Graph(list(placed.values()), paths, len(columns) * (_WIDTH + _GAP_X) - _GAP_X, height)


def _edge(left: Node, right: Node) -> str:
    x1, y1 = left.x + _WIDTH, left.y + _HEIGHT // 2
    x2, y2 = right.x, right.y + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
