"""CHECK VIEW: the rows that differ, and the metrics that count what checks find."""

from controllers.compute_client import PeekChunk
from expr.scalar import Literal
from frontend.metrics import CHECK_MISMATCHED_ROWS, CHECK_MISMATCHES, CHECK_RUNS
from frontend.planning import CachedPlan
from frontend.select import open_query
from frontend.session import Session
from frontend.statements import RowSource


class CheckedRows:
    """The rows of a check; it has run when their end was reached."""

    __slots__ = ("_row_count", "_source")

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._row_count = 0

    async def next(self) -> PeekChunk | None:
        chunk = await self._source.next()
        if chunk is not None:
            self._row_count += chunk.row_count
            return chunk
        CHECK_RUNS.inc()
        CHECK_MISMATCHED_ROWS.inc(self._row_count)
        if self._row_count:
            CHECK_MISMATCHES.inc()
        return None

    async def close(self) -> None:
        await self._source.close()


async def open_check(
    session: Session,
    cached: CachedPlan,
    parameters: tuple[Literal, ...],
    formats: tuple[int, ...],
) -> RowSource:
    """Start a check whose plan is current. Raises SqlError."""
    return CheckedRows(await open_query(session, cached, parameters, formats))
