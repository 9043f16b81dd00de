"""SUBSCRIBE: from a plan to a stream of encoded rows.

The replica encodes the changes, the session adds what tells of progress. A subscription has a time
and a hold of its own, not its transaction's: it goes on for as long as somebody listens, and what
it holds follows it. Hence a transaction that subscribes can do nothing else.
"""

from collections import deque
from decimal import Decimal

from compute.dataflow_messages import SubscribeEnvelope, SubscribeExport
from compute.encode import result_encoder
from compute.output_format import OutputKind
from compute.result import with_header
from controllers.compute_client import (
    OutputFormat,
    PeekChunk,
    SubscribeProgress,
    SubscribeRequest,
    SubscribeStream,
)
from core import errors
from core.errors import SqlError
from core.ids import MAX_TIMESTAMP, Timestamp, next_timestamp
from expr.relation import substitute as substitute_relation
from expr.scalar import Literal
from frontend.metrics import ACTIVE_SUBSCRIBES
from frontend.planning import CachedPlan, subscription_of
from frontend.read_time import hold_at, named_time, newest_time
from frontend.responses import Notice
from frontend.select import cluster_of
from frontend.session import Session
from frontend.statements import RowSource
from sql.plan import SubscribePlan


class SubscribedRows:
    """The rows of a subscription; a source that may go on for ever."""

    def __init__(
        self,
        stream: SubscribeStream,
        output: OutputFormat,
        progress: Timestamp | None,
        session_type: str,
    ) -> None:
        self._stream: SubscribeStream | None = stream
        self._encoder = result_encoder(output)
        self._nulls = (None,) * (len(output.types) - 2)
        self._tells_progress = progress is not None
        self._active = ACTIVE_SUBSCRIBES.labels(session_type)
        self._active.inc()
        self._joins_header = output.kind is OutputKind.COPY_BINARY
        self._ready: deque[PeekChunk] = deque()
        if self._encoder.begin and not self._joins_header:
            self._ready.append(PeekChunk(self._encoder.begin, 0))
        if progress is not None:
            self._ready.append(self._progress(progress))

    async def next(self) -> PeekChunk | None:
        chunk = self._ready.popleft() if self._ready else await self._following()
        if chunk is not None and self._joins_header:
            self._joins_header = False
            chunk = PeekChunk(with_header(chunk.data, self._encoder.begin), chunk.row_count)
        return chunk

    async def _following(self) -> PeekChunk | None:
        while self._stream is not None:
            try:
                event = await self._stream.__anext__()
            except StopAsyncIteration:
                await self.close()
                end = self._encoder.end
                return PeekChunk(end, 0) if end else None
            if not isinstance(event, SubscribeProgress):
                return event
            if self._tells_progress:
                return self._progress(event.upper)
        return None

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._active.dec()
            await stream.aclose()

    def _progress(self, upper: Timestamp) -> PeekChunk:
        row = (Decimal(upper), True, *self._nulls)
        return PeekChunk(self._encoder.rows([row]), 1)


async def open_subscription(
    session: Session,
    cached: CachedPlan,
    parameters: tuple[Literal, ...],
    output: OutputFormat,
) -> RowSource:
    """Begin to stream, in the form of `output`. Raises SqlError."""
    plan = _plan(cached)
    context = cached.scope.session.context
    asked = named_time(session, cached, plan.query.as_of, parameters)
    up_to = named_time(session, cached, plan.up_to, parameters)
    if asked is None:
        cached, hold = await newest_time(session, cached)
    else:
        hold = hold_at(session, cached, asked, at_least=plan.query.as_of_at_least)
    plan, as_of = _plan(cached), hold.ts
    try:
        session.transaction.start_subscribing()
        until = _until(session, as_of, up_to)
        if not cached.sources and not cached.needs_time:
            until = min(until, next_timestamp(as_of))  # what reads nothing never changes
        relation = substitute_relation(plan.query.relation, parameters, lambda call: None)
        export = _export(session, plan, output)
        stream = await session.clients.compute.subscribe(
            SubscribeRequest(
                cluster_of(session, cached),
                relation,
                cached.sources,
                as_of,
                hold,
                export,
                until,
                context,
            )
        )
    except BaseException:
        hold.release()
        raise
    progress = None
    if plan.with_progress:
        progress = as_of if plan.with_snapshot else next_timestamp(as_of)
    return SubscribedRows(stream, output, progress, session.session_type)


def _plan(cached: CachedPlan) -> SubscribePlan:
    plan = subscription_of(cached.plan)
    assert plan is not None
    return plan


def _until(session: Session, as_of: Timestamp, up_to: Timestamp | None) -> Timestamp:
    if up_to is None:
        return MAX_TIMESTAMP
    if up_to < as_of:
        raise SqlError(
            "22000",
            "subscription lower bound (`AS OF`) is greater than its upper bound (`UP TO`): "
            f"{as_of} > {up_to}",
        )
    if up_to == as_of:
        session.notify(
            Notice(
                "NOTICE",
                errors.SUCCESSFUL_COMPLETION,
                f"subscribe as of {as_of} (inclusive) up to the same bound {up_to} (exclusive) is "
                "guaranteed to be empty",
            )
        )
    return min(up_to, MAX_TIMESTAMP)


def _export(session: Session, plan: SubscribePlan, output: OutputFormat) -> SubscribeExport:
    return SubscribeExport(
        output,
        max_waiting_bytes=session.limit("max_subscribe_backlog"),
        max_moment_bytes=session.limit("compute_memory_limit"),
        with_snapshot=plan.with_snapshot,
        with_progress=plan.with_progress,
        envelope=SubscribeEnvelope(plan.envelope.value),
        key=plan.key,
        order_by=plan.order_by,
    )
