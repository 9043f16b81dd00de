"""Reading: from a plan to encoded rows.

snapshot (the session's) → plan (cached) → time (the oracle's, batched with other sessions') → hold
→ peek straight to the compute client → the replica's bytes, relayed. A read that the oracle says
was planned on an older catalog waits for the newer one and plans again. All reads of a transaction
share its first read's time and hold.
"""

import time
from collections.abc import Container

from catalog.boot import SYSTEM_CLUSTER_ID
from catalog.state import Catalog
from controllers.compute_client import OutputFormat, PeekChunk, PeekRequest, PeekStream
from core import errors
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, Timestamp
from expr.scalar import Literal
from frontend.binding import Bound, bind_parameters, bind_query
from frontend.constants import constant_rows
from frontend.datums import row_encoder
from frontend.metrics import CANCELED_PEEKS, first_row_histogram
from frontend.planning import CachedPlan, cluster_name
from frontend.read_time import choose_time
from frontend.session import Session
from frontend.statements import ReadyRows, RowSource
from sql.identifiers import quote_identifier
from sql.plan import Query
from sql.replica_sizes import DEFAULT_SIZE


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
    cached, as_of = await choose_time(session, cached, parameters)
    query = cached.query
    assert query is not None
    bound = bind_parameters(session, cached, query, parameters, as_of)
    finishing, _ = cached.sent(formats, bound.finishing)
    output = cached.output(formats)
    return await _peek(session, cached, bound._replace(finishing=finishing), as_of, output, started)


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
    bound = bind_parameters(session, cached, query, (), as_of)
    finishing, _ = query.sent(bound.finishing, binary)
    return await _peek(session, cached, bound._replace(finishing=finishing), as_of, output, started)


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
        cached, as_of = await choose_time(session, cached, parameters)
    context = cached.scope.session.context
    bound = bind_query(session, cached, query, parameters, as_of)
    finishing, types = cached.sent(formats, bound.finishing)
    rows = constant_rows(bound.relation, finishing, context)
    if rows is not None:
        return ReadyRows(row_encoder(types, formats, context).encode_all(rows))
    output = cached.output(formats)
    return await _peek(session, cached, bound._replace(finishing=finishing), as_of, output, started)


async def _peek(
    session: Session,
    cached: CachedPlan,
    bound: Bound,
    as_of: Timestamp,
    output: OutputFormat,
    started: float,
) -> RowSource:
    cluster = cluster_of(session, cached)
    stream = await session.clients.compute.peek(
        PeekRequest(
            cluster,
            bound.relation,
            as_of,
            output,
            bound.finishing,
            cached.sources,
            bound.parameters,
        )
    )
    where = (cluster, session.transaction.isolation_level)
    return PeekedRows(stream, where, started, int(session.settings.values["max_query_result_size"]))


def cluster_of(session: Session, cached: CachedPlan) -> str:
    """The id of the cluster that runs a query: queries of system relations have their own. Raises
    SqlError when the one that the session has set cannot."""
    query = cached.query
    if (
        query is not None
        and query.is_catalog_only
        and query.depends_on
        and session.settings.values["auto_route_catalog_queries"]
    ):
        return SYSTEM_CLUSTER_ID
    if cached.cluster is None:
        raise cannot_serve(cached.catalog, cluster_name(cached.plan, cached.scope.session))
    return cached.cluster


def cannot_serve(catalog: Catalog, name: str) -> SqlError:
    """What statements answer that the cluster of that name cannot run."""
    cluster = catalog.cluster_named(name)
    if cluster is None:
        return SqlError(errors.UNDEFINED_OBJECT, f'unknown cluster "{name}"')
    if any(replica.cluster_id == cluster.id for replica in catalog.replicas.values()):
        return SqlError(
            errors.OBJECT_NOT_IN_PREREQUISITE_STATE,
            f'cluster "{name}" does not run before the transaction that creates it has committed',
        )
    return SqlError(
        errors.OBJECT_NOT_IN_PREREQUISITE_STATE,
        f'cluster "{name}" has no replicas',
        hint=f"Use ALTER CLUSTER {quote_identifier(name)} SET (REPLICATION FACTOR 1)."
        if cluster.is_managed
        else f"Use CREATE CLUSTER REPLICA {quote_identifier(name)}.r1 SIZE '{DEFAULT_SIZE}'.",
    )
