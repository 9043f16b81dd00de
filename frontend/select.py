"""Reading: from a plan to encoded rows.

snapshot (the session's) → plan (cached) → time (the oracle's, batched with other sessions') → hold
→ peek straight to the compute client → the replica's bytes, relayed. A read that the oracle says
was planned on an older catalog waits for the newer one and plans again. All reads of a transaction
share its first read's time and hold.
"""

import time
from collections.abc import Container
from typing import Final

from catalog.boot import SYSTEM_CLUSTER_ID
from controllers.compute_client import OutputFormat, PeekChunk, PeekRequest, PeekStream
from controllers.read_holds import HoldTooOldError, ReadHold
from core import errors
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, Timestamp
from core.sql_types import RelationDesc
from expr.relation import Finishing, Relation
from expr.relation import substitute as substitute_relation
from expr.scalar import Literal, Scalar
from expr.scalar import substitute as substitute_scalar
from frontend.constants import constant_rows, evaluate
from frontend.datums import row_encoder
from frontend.metrics import CANCELED_PEEKS, first_row_histogram, timestamp_counter
from frontend.planning import CachedPlan
from frontend.session import Session
from frontend.statements import ReadyRows, RowSource
from sql.plan import Query

MAX_REPLANS: Final = 100
SERIALIZABLE: Final = "serializable"


class PeekedRows:
    """The rows of a peek, `max_bytes` at most (0: no limit)."""

    __slots__ = ("_max_bytes", "_size_bytes", "_stream", "_wait_started", "_where")

    def __init__(
        self, stream: PeekStream, where: tuple[str, str], started: float, max_bytes: int
    ) -> None:
        self._stream: PeekStream | None = stream
        self._where = where
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._wait_started: float | None = started

    async def next(self) -> PeekChunk | None:
        if self._stream is None:
            return None
        try:
            chunk = await self._stream.__anext__()
        except StopAsyncIteration:
            self._stream = None
            chunk = None
        if self._wait_started is not None:
            first_row_histogram(*self._where, "peek").observe(
                time.perf_counter() - self._wait_started
            )
            self._wait_started = None
        if self._max_bytes and chunk is not None:
            self._size_bytes += len(chunk.data)
            if self._size_bytes > self._max_bytes:
                raise SqlError(
                    errors.PROGRAM_LIMIT_EXCEEDED,
                    f"result exceeds max size of {self._max_bytes} bytes",
                    hint="The limit is the setting max_query_result_size.",
                )
        return chunk

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            CANCELED_PEEKS.inc()
            await stream.aclose()


async def open_query(
    session: Session,
    cached: CachedPlan,
    parameters: tuple[Literal, ...],
    formats: tuple[int, ...],
) -> RowSource:
    """Start reading a query whose plan is current. Raises SqlError."""
    started = time.perf_counter()
    query = cached.query
    assert query is not None
    session.transaction.has_run = True
    if not query.depends_on:
        return await _open_constant(session, cached, query, parameters, formats, started)
    cached, as_of = await choose_time(session, cached)
    query = cached.query
    assert query is not None
    relation, finishing = bind_query(session, cached, query, parameters, as_of)
    finishing, _ = cached.sent(formats, finishing)
    output = cached.output(formats)
    return await _peek(session, cached, query, relation, finishing, as_of, output, started)


async def open_copy(
    session: Session, cached: CachedPlan, output: OutputFormat, binary: Container[int]
) -> RowSource:
    """Start reading a query for COPY TO: its rows as CopyData messages."""
    started = time.perf_counter()
    query = cached.query
    assert query is not None
    session.transaction.has_run = True
    as_of = MIN_TIMESTAMP
    if query.depends_on or cached.needs_time:
        cached, as_of = await choose_time(session, cached)
        query = cached.query
        assert query is not None
    relation, finishing = bind_query(session, cached, query, (), as_of)
    finishing, _ = query.sent(finishing, binary)
    return await _peek(session, cached, query, relation, finishing, as_of, output, started)


async def _open_constant(
    session: Session,
    cached: CachedPlan,
    query: Query,
    parameters: tuple[Literal, ...],
    formats: tuple[int, ...],
    started: float,
) -> RowSource:
    as_of = MIN_TIMESTAMP
    if cached.needs_time:
        cached, as_of = await choose_time(session, cached)
    context = cached.scope.session.context
    relation, finishing = bind_query(session, cached, query, parameters, as_of)
    finishing, types = cached.sent(formats, finishing)
    rows = constant_rows(relation, finishing, context)
    if rows is not None:
        return ReadyRows(row_encoder(types, formats, context).encode_all(rows))
    output = cached.output(formats)
    return await _peek(session, cached, query, relation, finishing, as_of, output, started)


async def _peek(
    session: Session,
    cached: CachedPlan,
    query: Query,
    relation: Relation,
    finishing: Finishing,
    as_of: Timestamp,
    output: OutputFormat,
    started: float,
) -> RowSource:
    cluster = cluster_of(session, cached)
    stream = await session.clients.compute.peek(
        PeekRequest(cluster, relation, as_of, output, finishing, cached.sources)
    )
    where = (cluster, session.transaction.isolation_level)
    return PeekedRows(stream, where, started, int(session.settings.values["max_query_result_size"]))


def cluster_of(session: Session, cached: CachedPlan) -> str:
    """The id of the cluster that runs a query: queries of system relations have their own. Raises
    SqlError 42704 when there is no cluster of the name that the session has set."""
    query = cached.query
    if (
        query is not None
        and query.is_catalog_only
        and query.depends_on
        and session.settings.values["auto_route_catalog_queries"]
    ):
        return SYSTEM_CLUSTER_ID
    if cached.cluster is None:
        raise unknown_cluster(session.cluster)
    return cached.cluster


def unknown_cluster(name: str) -> SqlError:
    """What statements answer that no cluster can run."""
    return SqlError(errors.UNDEFINED_OBJECT, f'unknown cluster "{name}"')


async def choose_time(session: Session, cached: CachedPlan) -> tuple[CachedPlan, Timestamp]:
    """The time of the transaction's reads, chosen and held if this is its first, and the plan,
    made again if the catalog has moved. Raises SqlError."""
    transaction = session.transaction
    assert cached.query is not None
    depends_on = cached.query.depends_on
    transaction.check_readable(depends_on)
    if transaction.as_of is None:
        cached, transaction.hold = await newest_time(session, cached)
        transaction.as_of = transaction.hold.ts
    if not transaction.is_read_only:
        transaction.reads.update(cached.user_reads)
    return cached, transaction.as_of


async def newest_time(session: Session, cached: CachedPlan) -> tuple[CachedPlan, ReadHold]:
    """A hold at the time to read at now, and the plan, made again if the catalog has moved. Raises
    SqlError."""
    transaction = session.transaction
    coordinator = session.coordinator
    timestamp_counter(transaction.isolation_level, session.cluster).inc()
    for _ in range(MAX_REPLANS):
        if transaction.isolation_level == SERIALIZABLE:
            read_ts = coordinator.complete_ts()
        else:
            read = await session.oracle.read_ts()
            read_ts = read.read_ts
            if read.catalog_ts > coordinator.published_catalog_ts():
                await coordinator.wait_catalog(read.catalog_ts)
        if transaction.preview is None and not session.is_current(cached):
            desc = cached.planned.result_desc
            cached = await session.plan(cached.parsed, tuple(cached.planned.parameter_types))
            check_same_desc(desc, cached.planned.result_desc)
            assert cached.query is not None
            transaction.check_readable(cached.query.depends_on)
        if transaction.preview is None and read_ts < cached.catalog.ts:
            continue  # planned on a catalog from after that time: ask again
        try:
            return cached, session.clients.holds.acquire(read_ts)
        except HoldTooOldError:
            continue
    raise SqlError(
        errors.SERIALIZATION_FAILURE,
        "could not choose a time to read at: the schema keeps changing",
        hint="The statement might succeed if retried.",
    )


def check_same_desc(before: RelationDesc | None, after: RelationDesc | None) -> None:
    """0A000 when planning again gave other columns than the client was told of."""
    if before is after:
        return
    if before is None or after is None or _shape(before) != _shape(after):
        raise SqlError(errors.FEATURE_NOT_SUPPORTED, "cached plan must not change result type")


def _shape(desc: RelationDesc) -> list[tuple[str, int, int]]:
    return [(c.name, c.type.oid, c.type.modifier) for c in desc.columns]


# Filling in what plans leave open ----------------------------------------------------------------


def bind_query(
    session: Session,
    cached: CachedPlan,
    query: Query,
    parameters: tuple[Literal, ...],
    as_of: Timestamp | None,
) -> tuple[Relation, Finishing]:
    """The query's relation and finishing without parameters and session calls."""
    if not cached.has_holes:
        return query.relation, query.finishing
    calls = session.calls(as_of)
    context = cached.scope.session.context
    relation = substitute_relation(query.relation, parameters, calls)
    finishing = query.finishing

    def count(scalar: Scalar, sqlstate: str, clause: str) -> int | None:
        value = evaluate(substitute_scalar(scalar, parameters, calls), context)
        if value.is_null:
            return None
        number = int(value.value)
        if number < 0:
            raise SqlError(sqlstate, f"{clause} must not be negative")
        return number

    if query.limit_expression is not None:
        limit = count(query.limit_expression, "2201W", "LIMIT")
        finishing = _with_limit(finishing, limit)
    if query.offset_expression is not None:
        offset = count(query.offset_expression, "2201X", "OFFSET") or 0
        finishing = Finishing(finishing.order_by, finishing.limit, offset, finishing.project)
    return relation, finishing


def _with_limit(finishing: Finishing, limit: int | None) -> Finishing:
    return Finishing(finishing.order_by, limit, finishing.offset, finishing.project)
