"""All metrics of this process in Prometheus's text format, rendered without stalling the loop."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SLICE_S: Final = 0.002


async def render_metrics(registry: CollectorRegistry = REGISTRY) -> bytes:
    """Every metric family of `registry`; lets the event loop go on every 2 ms, so the families
    of one answer are not all of the same instant."""
    parts = []
    slice_end = time.perf_counter() + SLICE_S
    for metric in _families(registry):
        parts.append(generate_latest(_OneFamily(metric)))
        if time.perf_counter() > slice_end:
            await asyncio.sleep(0)
            slice_end = time.perf_counter() + SLICE_S
    return b"".join(parts)


def _families(registry: CollectorRegistry) -> Iterator[Metric]:
    for metric in registry.collect():
        metric.samples = [sample for sample in metric.samples if not _is_creation_time(sample.name)]
        yield metric


def _is_creation_time(name: str) -> bool:
    """OpenMetrics' `_created` samples: in the text format they only double the size."""
    return name.endswith("_created")


class _OneFamily(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
