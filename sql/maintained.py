"""What a materialized view or an index maintains, planned from its stored definition.

A definition is planned anew whenever it is needed: at CREATE, to see that it can be maintained, and
by whoever runs it. Plans are never stored, so what planning learns applies to every definition.

`mz_now()` stands in plans as a call; other functions of the session, and volatile ones, have no
value that could be maintained.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, SqlError
from core.ids import GlobalId
from core.sql_types import TEXT, RelationDesc
from expr.registry import FunctionKind, function_by_id
from expr.relation import Relation, map_scalars
from expr.scalar import Call, ColumnRef, Scalar, children, literal
from expr.temporal import MZ_NOW, check_maintainable
from sql import hir
from sql.catalog_view import CatalogItem, CatalogView
from sql.coercion import ParameterTypes
from sql.hir import Hir, types_of
from sql.index_keys import index_key
from sql.maintained_syntax import CreateMaterializedView
from sql.maintained_text import ASSERT_NOT_NULL, parsed_definition
from sql.optimizer.lookups import used_indexes
from sql.query_planner import QueryPlanner
from sql.query_statement import keyed_indexes, optimize_hir
from sql.scope import Scope
from sql.session_view import PlanningSession
from sql.statement_context import Reading, StatementContext

_ERROR_IF_NULL: Final = "mz_error_if_null(anyelement,text)"
_TIMES: Final = frozenset(
    "now current_timestamp transaction_timestamp statement_timestamp clock_timestamp "
    "localtimestamp current_date localtime".split()
)
_TIME_HINT: Final = "Compare mz_now() with a column for rows that come and go with time."


@dataclass(frozen=True, slots=True)
class MaintainedPlan:
    """Rows of `desc` to maintain. `depends_on` are the collections that `relation` reads, other
    views inlined, `indexes` those of them (collection, index) that an index of the same cluster
    has. `key` is an index's, over the columns of `relation`."""

    relation: Relation
    depends_on: frozenset[GlobalId]
    indexes: tuple[tuple[GlobalId, GlobalId], ...]
    desc: RelationDesc
    key: tuple[Scalar, ...] = ()


def plan_maintained(
    item: CatalogItem, catalog: CatalogView, session: PlanningSession
) -> MaintainedPlan:
    """The plan of a materialized view or an index. Raises SqlError if it cannot be maintained.

    It reads no index younger than the item, so that dataflows never wait for each other in a ring.
    """
    reading = Reading(item.cluster, before=item.id)
    context = StatementContext(catalog, session, ParameterTypes((), 0), reading)
    queries = QueryPlanner(context)
    if item.index_on is not None:
        desc = catalog.item(item.index_on).desc
        rows = queries.item_relation(catalog.item(item.index_on)).hir
        key = index_key(item, context)
        check_maintained_scalars(key)
    else:
        desc, rows, key = item.desc, _view_rows(item, queries), ()
    return maintained_rows(rows, desc, context, key)


def maintained_rows(
    rows: Hir, desc: RelationDesc, context: StatementContext, key: tuple[Scalar, ...] = ()
) -> MaintainedPlan:
    """The plan of rows that follow their inputs. Raises SqlError if they cannot."""
    relation = optimize_hir(rows, context)
    _check_relation(relation)
    depends_on = frozenset(context.depends_on)
    for item in map(context.catalog.item, depends_on):
        if item.is_introspection:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                f'cannot materialize "{item.name.item}"',
                detail="Its rows are of the moment at which it is read.",
            )
    indexes = used_indexes(relation, keyed_indexes(context))
    return MaintainedPlan(relation, depends_on, indexes, desc, key)


def asserted_not_null(rows: Hir, item_name: str, names: Sequence[str], asserted: Set[str]) -> Hir:
    """`rows`, whose columns are called `names`, with the error of a NOT NULL constraint for every
    null in the `asserted` ones."""
    if not asserted:
        return rows
    width = len(names)
    outputs = list(range(width))
    checked: list[Scalar] = []
    for index, (name, sql_type) in enumerate(zip(names, types_of(rows), strict=True)):
        if name in asserted:
            outputs[index] = width + len(checked)
            checked.append(_not_null(ColumnRef(index, sql_type), name, item_name))
    return hir.Project(hir.Map(rows, tuple(checked)), tuple(outputs))


def _not_null(column: ColumnRef, name: str, item_name: str) -> Scalar:
    message = (
        f'null value in column "{name}" of relation "{item_name}" violates not-null constraint'
    )
    return Call(_ERROR_IF_NULL, (column, literal(message, TEXT)), column.type)


def _check_relation(relation: Relation) -> None:
    def check(scalar: Scalar) -> Scalar:
        _check_calls(scalar)
        return scalar

    map_scalars(relation, check)
    check_maintainable(relation)


def check_maintained_scalars(scalars: tuple[Scalar, ...]) -> None:
    """Raises SqlError 0A000 for what has no lasting value: a key cannot follow the time either."""
    for scalar in scalars:
        _check_calls(scalar, allowed="")


def _view_rows(item: CatalogItem, queries: QueryPlanner) -> Hir:
    statement = parsed_definition(item.create_sql)
    assert isinstance(statement, CreateMaterializedView)
    with queries.context.inside_definition():
        planned = queries.plan_query(statement.query, Scope())
        rows = queries.shaped(queries.as_relation(planned), item)
    asserted = {o.value for o in statement.options if o.name == ASSERT_NOT_NULL and o.value}
    return asserted_not_null(rows, item.name.item, item.desc.names, asserted)


def _check_calls(scalar: Scalar, allowed: str = MZ_NOW) -> None:
    if isinstance(scalar, Call) and scalar.function != allowed:
        function = function_by_id(scalar.function)
        if function.kind is FunctionKind.SESSION or function.volatile:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                f"cannot materialize call to {function.name}()",
                hint=_TIME_HINT if function.name in _TIMES else None,
            )
    for child in children(scalar):
        _check_calls(child, allowed)
