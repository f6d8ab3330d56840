"""OpenTelemetry: one trace leads from a request through the chunks of its import to its end."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import psycopg
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from application_client import client_of, make_key, open_application
from bulkport import Bulkport, telemetry
from import_steps import NDJSON, ndjson, running_worker, settled

SENT_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def metric_reader(monkeypatch: pytest.MonkeyPatch) -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    monkeypatch.setattr(telemetry, "_instruments", {})
    return reader


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch, metric_reader: InMemoryMetricReader) -> Iterator[InMemorySpanExporter]:
    """A provider as an application sets it up, for this test alone."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


@pytest.fixture
async def client(database_url: str, exporter: InMemorySpanExporter) -> AsyncIterator[httpx.AsyncClient]:
    key = await make_key(database_url)
    async with (
        open_application(database_url, chunk_bytes=2_000) as app,
        client_of(app, key) as client,
        running_worker(app.state.bulkport, database_url),
    ):
        yield client


def spans(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def ended(exporter: InMemorySpanExporter, name: str, count: int) -> None:
    """Wait for spans, which end a moment after their work."""
    async with asyncio.timeout(60):
        while len(spans(exporter, name)) < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("rows", [5, 2_000], ids=["one chunk", "many chunks"])
async def test_one_trace_covers_the_request_and_the_whole_import(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter, rows: int
) -> None:
    body = ndjson({"platformName": f"p{row}"} for row in range(rows))
    headers = {**NDJSON, "traceparent": f"00-{SENT_TRACE}-b7ad6b7169203331-01"}
    answer = await client.post("/api/platforms/bulk", content=body, headers=headers)
    await settled(client, answer.json()["id"])
    process = "process bulkport.process_import" if rows <= 200 else "process bulkport.process_large_import"
    await ended(exporter, process, 1)
    (request,) = spans(exporter, "POST /api/platforms/bulk")
    assert request.kind is SpanKind.SERVER
    assert (request.attributes or {})["http.response.status_code"] == 202
    chain = [request, *spans(exporter, "send imports"), *spans(exporter, "bulkport.chunk")]
    chain += spans(exporter, process)
    assert {f"{span.context.trace_id:032x}" for span in chain if span.context} == {SENT_TRACE}
    assert len(spans(exporter, "bulkport.chunk")) >= (1 if rows < 100 else 10)
    run = spans(exporter, process)[0]
    attributes = dict(run.attributes or {})
    assert run.kind is SpanKind.CONSUMER
    assert attributes["messaging.system"] == "bulkport"
    assert attributes["messaging.operation.type"] == "process"
    assert attributes["messaging.destination.name"] == "imports"
    assert attributes["messaging.message.id"] == answer.json()["hangfireJobId"]
    (sent,) = spans(exporter, "send imports")
    assert run.parent is not None
    assert sent.context is not None
    assert run.parent.span_id == sent.context.span_id
    if rows > 100:
        assert len(spans(exporter, "bulkport.complete")) == 1


async def test_a_problem_names_the_trace_of_its_span(client: httpx.AsyncClient, exporter: InMemorySpanExporter) -> None:
    problem = (await client.get("/api/platforms/999")).json()
    (span,) = spans(exporter, "GET /api/platforms/{platform_id}")
    assert span.context is not None
    assert problem["traceId"] == f"{span.context.trace_id:032x}"


async def test_runs_are_measured_by_task_queue_and_error(
    database_url: str, exporter: InMemorySpanExporter, metric_reader: InMemoryMetricReader
) -> None:
    bulkport = Bulkport(database_url)

    @bulkport.task(name="greet", queue="mail")
    async def greet(name: str) -> None:
        if name == "nobody":
            raise LookupError(name)

    async with bulkport.connect(), running_worker(bulkport, database_url):
        good = await bulkport.enqueue(greet, "ada")
        bad = await bulkport.enqueue(greet, "nobody")
        details = await bulkport.details(good)
        assert details is not None
        assert details.job.args == {"name": "ada"}
        await ended(exporter, "process greet", 2)
        await bulkport.delete(bad)
    data = metric_reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    sent = found["messaging.client.sent.messages"].data.data_points[0]
    assert sent.value == 2  # type: ignore[union-attr]
    points = found["messaging.process.duration"].data.data_points
    assert {dict(point.attributes or {}).get("error.type") for point in points} == {None, "LookupError"}


async def test_without_a_provider_jobs_carry_no_trace_context(database_url: str) -> None:
    bulkport = Bulkport(database_url)

    @bulkport.task(name="greet")
    async def greet(name: str) -> None: ...

    async with bulkport.connect():
        await bulkport.enqueue(greet, "ada")
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("SELECT args FROM bulkport.jobs")
        assert await cursor.fetchall() == [({"name": "ada"},)]
    assert not telemetry.is_active()
