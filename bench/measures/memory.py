"""Peak memory of every process of the product, over an import of `rows` and, in fresh processes, of `large_rows`."""

from bench.measures.run import Run
from bench.memory import Peak, PeakMemory


def memory(run: Run) -> None:
    """Start the product twice and import once in each life."""
    small = _peaks(run, run.scale.rows)
    large = _peaks(run, run.scale.large_rows)
    growth = {name: large[name].resident - small[name].resident for name in large}
    run.results.details["memory"] = {
        f"{records} rows": {
            name: {"peak_resident_mib": round(peak.resident, 1), "peak_unique_mib": round(peak.unique, 1)}
            for name, peak in peaks.items()
        }
        for records, peaks in ((run.scale.rows, small), (run.scale.large_rows, large))
    }
    most = max(growth, key=lambda name: growth[name])
    run.results.put(
        "memory-growth", growth[most], ", ".join(f"{name} {value:+.1f}" for name, value in growth.items()) + " MiB"
    )
    workers = [peak for name, peak in large.items() if name.startswith("worker")]
    for key, peak in (("memory-api", large["api"]), ("memory-worker", max(workers, key=lambda peak: peak.resident))):
        run.results.put(key, peak.resident, f"resident {peak.resident:.0f} MiB, unique {peak.unique:.0f} MiB")


def _peaks(run: Run, records: int) -> dict[str, Peak]:
    run.say(f"peak memory over {records:,} rows")
    body = run.dataset.platforms_ndjson(records)
    with run.product() as product, PeakMemory(product.processes) as watched:
        run.import_body(product, "platforms", body)
    return {peak.name: peak for peak in watched.peaks}
