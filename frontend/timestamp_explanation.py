"""EXPLAIN TIMESTAMP: at which time a query would read, and what speaks for it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.ids import MIN_TIMESTAMP, Timestamp
from core.sql_types import TIMESTAMPTZ
from expr.scalar import EvaluationContext, Literal
from expr.text_format import text_output
from frontend.planning import CachedPlan
from frontend.read_time import hold_at, named_time, newest_time
from frontend.session import Session
from frontend.session_calls import session_time
from sql.catalog_view import ItemKind
from sql.plan import ExplainTimestampPlan

_TIME_TEXT: Final = text_output(TIMESTAMPTZ, EvaluationContext())


@dataclass(frozen=True, slots=True)
class Source:
    """A collection that the query reads, or the index that it reads it from."""

    name: str
    since: Timestamp
    upper: Timestamp


@dataclass(frozen=True, slots=True)
class Determination:
    """A query's time, and what it was chosen by. `oracle_ts` None: the oracle was not asked."""

    query_ts: Timestamp
    oracle_ts: Timestamp | None
    wall_us: int
    sources: tuple[Source, ...]

    @property
    def since(self) -> Timestamp:
        """From when on everything can be read."""
        return max((source.since for source in self.sources), default=MIN_TIMESTAMP)

    @property
    def upper(self) -> Timestamp | None:
        """Until when everything is complete; None: for ever."""
        return min((source.upper for source in self.sources), default=None)

    @property
    def responds_immediately(self) -> bool:
        """Whether the query would have to wait for nothing."""
        return self.upper is None or self.query_ts < self.upper


async def explain_timestamp(
    session: Session,
    cached: CachedPlan,
    plan: ExplainTimestampPlan,
    parameters: tuple[Literal, ...],
) -> tuple[str, ...]:
    """The lines of the explanation. Raises SqlError."""
    found = await _determine(session, cached, parameters)
    return (_json(found),) if plan.is_json else tuple(_lines(found))


async def _determine(
    session: Session, cached: CachedPlan, parameters: tuple[Literal, ...]
) -> Determination:
    transaction, query = session.transaction, cached.query
    assert query is not None
    asked = named_time(session, cached, query.as_of, parameters)
    oracle_ts: Timestamp | None = None
    if transaction.as_of is not None:
        query_ts = transaction.as_of
    elif asked is not None:
        with hold_at(session, cached, asked, at_least=query.as_of_at_least) as hold:
            query_ts = hold.ts
    else:
        cached, chosen = await newest_time(session, cached)
        with chosen:
            query_ts = oracle_ts = chosen.ts
    return Determination(
        query_ts, oracle_ts, session.statement_started_at, _sources(session, cached)
    )


def _sources(session: Session, cached: CachedPlan) -> tuple[Source, ...]:
    frontiers = session.clients.introspection.frontiers()
    catalog = cached.catalog.for_connection(session.connection_id)
    found = {}
    for source in cached.sources:
        id = source.index or source.id
        name = catalog.item(id).name
        full = ".".join(part for part in (name.database, name.schema, name.item) if part)
        kind = "compute" if catalog.item(id).kind is ItemKind.INDEX else "storage"
        since, upper = frontiers.get(id, (MIN_TIMESTAMP, MIN_TIMESTAMP))
        found[id] = Source(f"{full} ({id}, {kind})", since, upper)
    return tuple(found.values())


def _lines(found: Determination) -> Iterator[str]:
    if found.oracle_ts is not None:
        yield _line("oracle read timestamp", f" {_shown(found.oracle_ts)}")
    yield _line("query timestamp", f" {_shown(found.query_ts)}")
    if found.upper is not None:
        yield _line("largest not in advance of upper", f" {_shown(Timestamp(found.upper - 1))}")
    yield _line("upper", _frontier(found.upper))
    yield _line("since", _frontier(found.since))
    yield _line("can respond immediately", f" {'true' if found.responds_immediately else 'false'}")
    yield _line("timeline", " EpochMicroseconds")
    yield _line("session wall time", f" {_shown(Timestamp(found.wall_us))}")
    for source in found.sources:
        yield ""
        yield f"source {source.name}:"
        yield _line("read frontier", _frontier(source.since))
        yield _line("write frontier", _frontier(source.upper))


def _line(label: str, value: str) -> str:
    return f"{label:>31}:{value}"


def _frontier(ts: Timestamp | None) -> str:
    return "[]" if ts is None else f"[{_shown(ts)}]"


def _shown(ts: Timestamp) -> str:
    return f"{ts} ({_TIME_TEXT(session_time(ts))})"


def _json(found: Determination) -> str:
    upper = found.upper
    return json.dumps(
        {
            "determination": {
                "timestamp": found.query_ts,
                "oracle_read_timestamp": found.oracle_ts,
                "since": [found.since],
                "upper": [] if upper is None else [upper],
                "largest_not_in_advance_of_upper": None if upper is None else upper - 1,
                "timeline": "EpochMicroseconds",
                "session_wall_time": found.wall_us,
            },
            "respond_immediately": found.responds_immediately,
            "sources": [
                {
                    "name": source.name,
                    "read_frontier": [source.since],
                    "write_frontier": [source.upper],
                }
                for source in found.sources
            ],
        },
        indent=2,
        ensure_ascii=False,
    )
