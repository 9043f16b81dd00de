"""Filling in what plans leave open, right before they run.

What a replica keeps compiled gets values beside it (`bind_parameters`); what is run once, or by the
session itself, gets literals in their places (`bind_query`). Introspection relations become
constants.
"""

from typing import NamedTuple

from core.errors import SqlError
from core.ids import Timestamp
from expr.relation import Finishing, Relation, replace_get
from expr.relation import substitute as substitute_relation
from expr.scalar import EvaluationContext, Literal, Scalar
from expr.scalar import substitute as substitute_scalar
from frontend.constants import evaluate
from frontend.planning import CachedPlan
from frontend.session import Session
from frontend.session_calls import SessionCalls
from sql.plan import Query


class Bound(NamedTuple):
    """A query as it is run; `parameters` are those that still stand in `relation`."""

    relation: Relation
    finishing: Finishing
    parameters: tuple[Literal, ...] = ()


def bind_query(
    session: Session,
    cached: CachedPlan,
    query: Query,
    parameters: tuple[Literal, ...],
    as_of: Timestamp | None,
) -> Bound:
    """The query without parameters and session calls. Raises SqlError."""
    found = _introspected(session, cached, query.relation)
    if cached.holes is None or cached.holes.is_closed:
        return Bound(found, query.finishing)
    calls = session.calls(as_of)
    relation = substitute_relation(found, parameters, calls)
    context = cached.scope.session.context
    return Bound(relation, _finishing(query, parameters, calls, context))


def bind_parameters(
    session: Session,
    cached: CachedPlan,
    query: Query,
    parameters: tuple[Literal, ...],
    as_of: Timestamp,
) -> Bound:
    """The query with the values of its parameters and session calls. Raises SqlError."""
    holes = cached.holes
    if holes is None or holes.is_closed:
        return Bound(_introspected(session, cached, query.relation), query.finishing)
    calls = session.calls(as_of)
    values = list(parameters[: holes.parameter_count])
    for call in holes.calls:
        value = substitute_scalar(call, parameters, calls)
        assert isinstance(value, Literal)
        values.append(value)
    finishing = _finishing(query, parameters, calls, cached.scope.session.context)
    relation = _introspected(session, cached, holes.relation)
    return Bound(relation, finishing, tuple(values))


def _introspected(session: Session, cached: CachedPlan, relation: Relation) -> Relation:
    """The relation with the rows that introspection relations have now."""
    for id in cached.introspected:
        relation = replace_get(relation, id, session.clients.introspection.contents(id))
    return relation


def _finishing(
    query: Query,
    parameters: tuple[Literal, ...],
    calls: SessionCalls,
    context: EvaluationContext,
) -> Finishing:
    """The finishing with its LIMIT and OFFSET evaluated."""
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
        finishing = Finishing(finishing.order_by, limit, finishing.offset, finishing.project)
    if query.offset_expression is not None:
        offset = count(query.offset_expression, "2201X", "OFFSET") or 0
        finishing = Finishing(finishing.order_by, finishing.limit, offset, finishing.project)
    return finishing
