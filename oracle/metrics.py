"""Metrics of the timestamp oracle."""

import time
from types import TracebackType
from typing import Final

from core.metrics import LoopCounter, LoopHistogram

LATENCY_BUCKETS_S: Final = tuple(8e-6 * 2**power for power in range(23))  # 8 µs to 33 s

_SECONDS: Final = LoopHistogram(
    "mz_ts_oracle_seconds",
    "Time of one timestamp oracle operation.",
    ["op"],
    buckets=LATENCY_BUCKETS_S,
)
_STARTED: Final = LoopCounter("mz_ts_oracle_started_count", "Operations started.", ["op"])
_SUCCEEDED: Final = LoopCounter(
    "mz_ts_oracle_succeeded_count", "Operations that succeeded.", ["op"]
)
_FAILED: Final = LoopCounter(
    "mz_ts_oracle_failed_count", "Operations that raised an error.", ["op"]
)
BATCHED_OPS: Final = LoopCounter("mz_ts_oracle_batched_op_count", "Operations asked for.", ["op"])
BATCHES: Final = LoopCounter("mz_ts_oracle_batches_count", "Round trips that served them.", ["op"])


class OracleOp:
    """A reusable description of one kind of operation; `with op.timed():` around each."""

    __slots__ = ("failed", "seconds", "started", "succeeded")

    def __init__(self, name: str) -> None:
        self.seconds: LoopHistogram = _SECONDS.labels(name)
        self.started: LoopCounter = _STARTED.labels(name)
        self.succeeded: LoopCounter = _SUCCEEDED.labels(name)
        self.failed: LoopCounter = _FAILED.labels(name)

    def timed(self) -> "_Timed":
        return _Timed(self)


class _Timed:
    __slots__ = ("_begin", "_op")

    def __init__(self, op: OracleOp) -> None:
        self._op = op
        self._begin = 0.0

    def __enter__(self) -> None:
        self._op.started.inc()
        self._begin = time.perf_counter()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._op.seconds.observe(time.perf_counter() - self._begin)
        (self._op.succeeded if error_type is None else self._op.failed).inc()
