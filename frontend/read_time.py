"""At which time a query reads, and the hold that keeps that time readable.

A read without AS OF takes the oracle's time, so that it sees every write acknowledged before it. A
read with AS OF takes the time that it names, as long as all that it reads can still be read then;
with AT LEAST, the earliest from there on at which that is so. All reads of a
transaction share the time of its first.
"""

from typing import Final

from controllers.read_holds import HoldTooOldError, ReadHold
from core import errors
from core.errors import SqlError
from core.ids import Timestamp
from core.sql_types import RelationDesc
from expr.scalar import Literal, Scalar
from expr.scalar import substitute as substitute_scalar
from frontend.constants import evaluate
from frontend.metrics import timestamp_counter
from frontend.planning import CachedPlan
from frontend.session import Session

MAX_REPLANS: Final = 100
SERIALIZABLE: Final = "serializable"


async def choose_time(
    session: Session, cached: CachedPlan, parameters: tuple[Literal, ...] = ()
) -> tuple[CachedPlan, Timestamp]:
    """The time of the transaction's reads, chosen and held if this is its first, and the plan,
    made again if the catalog has moved. Raises SqlError."""
    transaction = session.transaction
    query = cached.query
    assert query is not None
    transaction.check_readable(cached.reads)
    asked = named_time(session, cached, query.as_of, parameters)
    if transaction.as_of is None:
        if asked is None:
            cached, transaction.hold = await newest_time(session, cached)
        else:
            transaction.hold = hold_at(session, cached, asked, at_least=query.as_of_at_least)
        transaction.as_of = transaction.hold.ts
    elif asked is not None and not _is_meant(asked, transaction.as_of, query.as_of_at_least):
        raise SqlError(
            errors.FEATURE_NOT_SUPPORTED,
            "AS OF cannot name another time than that of the transaction's earlier reads",
            detail=f"They read as of {transaction.as_of}.",
        )
    if not transaction.is_read_only:
        transaction.reads.update(cached.user_reads)
    return cached, transaction.as_of


def named_time(
    session: Session, cached: CachedPlan, scalar: Scalar | None, parameters: tuple[Literal, ...]
) -> Timestamp | None:
    """The time that an expression of AS OF or UP TO means; None if there is none. Raises
    SqlError."""
    if scalar is None:
        return None
    now = session.transaction.as_of or Timestamp(session.statement_started_at)
    calls = session.calls(now)
    bound = substitute_scalar(scalar, parameters, calls)
    value = evaluate(bound, cached.scope.session.context)
    if value.is_null:
        raise SqlError(
            errors.INVALID_PARAMETER_VALUE,
            "can't use null as a mz_timestamp for AS OF or UP TO",
        )
    return Timestamp(int(value.value))


def hold_at(session: Session, cached: CachedPlan, asked: Timestamp, *, at_least: bool) -> ReadHold:
    """A hold at the time that AS OF names. Raises SqlError when it is too old."""
    query = cached.query
    assert query is not None
    stored = cached.catalog.collections
    read = [stored[id] for id in query.depends_on if id in stored]
    collections = session.clients.collections
    indexes = [source.index for source in cached.sources if source.index is not None]
    since = collections.since_of_all(read)
    if indexes and cached.cluster is not None:
        since = max(since, session.clients.compute.since_of(cached.cluster, indexes))
    if at_least:
        asked = max(asked, since)
    try:
        return collections.holds.acquire(asked, since)
    except HoldTooOldError:
        raise SqlError(
            errors.INVALID_PARAMETER_VALUE,
            f"Timestamp ({asked}) is not valid for all inputs: [{since}]",
        ) from None


def _is_meant(asked: Timestamp, chosen: Timestamp, at_least: bool) -> bool:
    return asked <= chosen if at_least else asked == chosen


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
            transaction.check_readable(cached.reads)
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
