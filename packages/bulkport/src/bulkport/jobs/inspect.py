"""Queries of an application about jobs, queues and servers."""

from abc import ABC, abstractmethod

from bulkport.jobs.forwarding import forwarded
from bulkport.jobs.port.reading import JobReader


def _reader(calls: "InspectCalls") -> JobReader:
    return calls.reader


class InspectCalls(ABC):
    """Questions; a part of `Bulkport`: those of `JobReader`."""

    @property
    @abstractmethod
    def reader(self) -> JobReader:
        """Answers them all."""

    search = forwarded(_reader, JobReader.search)
    count = forwarded(_reader, JobReader.count)
    details = forwarded(_reader, JobReader.details)
    logs = forwarded(_reader, JobReader.logs)
    tags = forwarded(_reader, JobReader.tags)
    batch_status = forwarded(_reader, JobReader.batch)
    batches = forwarded(_reader, JobReader.batches)
    statistics = forwarded(_reader, JobReader.statistics)
    series = forwarded(_reader, JobReader.series)
    series_by = forwarded(_reader, JobReader.series_by)
    queue_activity = forwarded(_reader, JobReader.queue_activity)
    task_statistics = forwarded(_reader, JobReader.task_statistics)
    queues = forwarded(_reader, JobReader.queues)
    paused_tasks = forwarded(_reader, JobReader.paused_tasks)
    servers = forwarded(_reader, JobReader.servers)
