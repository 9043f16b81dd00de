"""EXPLAIN ANALYZE: queries that are run and measured."""

import contextlib

from compute.measure import COLUMNS
from controllers.compute_client import OutputFormat, PeekRequest
from core.ids import MIN_TIMESTAMP
from expr.scalar import Literal
from frontend.binding import bind_parameters
from frontend.datums import decode_data_rows
from frontend.planning import CachedPlan
from frontend.read_time import choose_time
from frontend.select import cluster_of
from frontend.session import Session
from sql.explain import RunFigures, explain_query, explain_query_json
from sql.plan import AnalyzePlan


async def analyze(
    session: Session, cached: CachedPlan, plan: AnalyzePlan, parameters: tuple[Literal, ...]
) -> tuple[str, ...]:
    """EXPLAIN ANALYZE: run the query, throw away its rows, and show what its operators did. Raises
    SqlError."""
    query = plan.query
    session.transaction.has_run = True
    as_of = MIN_TIMESTAMP
    if query.depends_on or cached.needs_time:
        cached, as_of = await choose_time(session, cached, parameters)
        assert cached.query is not None
        query = cached.query
    bound = bind_parameters(session, cached, query, parameters, as_of)
    cluster = cluster_of(session, cached)
    stream = await session.clients.compute.peek(
        PeekRequest(
            cluster,
            bound.relation,
            as_of,
            OutputFormat(COLUMNS, context=cached.scope.session.context),
            bound.finishing,
            cached.sources,
            bound.parameters,
            is_analyzed=True,
        )
    )
    run: dict[int, RunFigures] = {}
    async with contextlib.aclosing(stream):
        async for chunk in stream:
            for fields in decode_data_rows(chunk.data):
                number, *figures = (int(field or 0) for field in fields)
                run[number] = RunFigures(*figures)
    catalog = cached.catalog.for_connection(session.connection_id)
    name = cached.catalog.clusters[cluster].name
    if plan.is_json:
        return (explain_query_json(query, catalog, name, run),)
    return explain_query(query, catalog, name, run)
