"""Percentiles and medians of measured samples."""

import math
from collections.abc import Sequence
from statistics import median


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest sample that `percent` of all samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def spread(samples: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Number, minimum, p50, p90, p99 and maximum of the samples, rounded for reading."""
    if not samples:
        return {"samples": 0}
    return {
        "samples": len(samples),
        "min": round(min(samples), digits),
        "p50": round(median(samples), digits),
        "p90": round(percentile(samples, 90), digits),
        "p99": round(percentile(samples, 99), digits),
        "max": round(max(samples), digits),
    }


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios of runs that took turns: `over[i] / under[i]`."""
    return median(first / second for first, second in zip(over, under, strict=True))
