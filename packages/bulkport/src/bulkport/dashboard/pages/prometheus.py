"""Numbers about jobs, queues, servers and what needs attention, in Prometheus' text format (version 0.0.4).

They are gauges alone, which OpenMetrics writes the same way.
"""

from collections.abc import Iterable, Mapping, Sequence

from bulkport.dashboard.pages.attention import Attention
from bulkport.jobs.inspect import InspectCalls

Sample = tuple[Mapping[str, str], float]


async def job_metrics(jobs: InspectCalls, attention: Sequence[Attention]) -> str:
    """All of them, each line ended."""
    async with jobs.reader.at_one_moment() as reader:
        statistics, queues, servers = await reader.statistics(), await reader.queues(), await reader.servers()
        paused = await reader.paused_tasks()
    families: list[tuple[str, str, Iterable[Sample]]] = [
        ("bulkport_jobs", "Jobs there are, by state.", [({"state": s.value}, n) for s, n in statistics.states.items()]),
        ("bulkport_queue_waiting_jobs", "Jobs that wait.", [({"queue": one.name}, one.waiting) for one in queues]),
        ("bulkport_queue_running_jobs", "Jobs that run.", [({"queue": one.name}, one.running) for one in queues]),
        (
            "bulkport_queue_oldest_wait_seconds",
            "How long the oldest waiting job waits.",
            [({"queue": one.name}, one.latency_seconds or 0.0) for one in queues],
        ),
        ("bulkport_queue_servers", "Servers of the queue.", [({"queue": one.name}, one.servers) for one in queues]),
        (
            "bulkport_queue_paused",
            "Whether the queue is paused.",
            [({"queue": one.name}, float(one.paused_at is not None)) for one in queues],
        ),
        ("bulkport_task_paused", "Paused tasks: 1 for each.", [({"task": one.task}, 1.0) for one in paused]),
        (
            "bulkport_servers",
            "Worker servers, by whether they respond.",
            [
                ({"state": "online"}, sum(not one.is_silent for one in servers)),
                ({"state": "silent"}, sum(one.is_silent for one in servers)),
            ],
        ),
        (
            "bulkport_attention",
            "Conditions that need an operator: 1 for each.",
            [({"code": one.code, "subject": one.subject}, 1.0) for one in attention],
        ),
    ]
    return "".join(_family(*family) for family in families)


def _family(name: str, what: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {what}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
