"""From a parsed statement to a plan.

`plan_statement` is synchronous, pure and thread-safe: the same statement, catalog view, session
view and parameter types give the same plan. It reads nothing but its arguments and the registry
of functions, and its work is bounded by the limits of `sql.parse` and `sql.limits`.
"""

from collections.abc import Callable
from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, SqlError
from core.sql_types import SqlType
from sql import limits
from sql import syntax as ast
from sql.catalog_view import CatalogView
from sql.check_planner import plan_check
from sql.coercion import ParameterTypes
from sql.copy_planner import plan_copy
from sql.definition_planner import DEFINITION_PLANNERS
from sql.explain_planner import plan_explain, plan_explain_resources, plan_explain_timestamp
from sql.inspection_syntax import Check, Explain, ExplainResources, ExplainTimestamp
from sql.modification_planner import plan_insert
from sql.mutation_planner import plan_delete, plan_truncate, plan_update
from sql.parse import ParsedStatement
from sql.plan import PlannedStatement
from sql.query_statement import plan_query_statement
from sql.session_planner import SESSION_PLANNERS
from sql.session_view import PlanningSession
from sql.show_planner import plan_show_create, plan_show_objects
from sql.statement_context import StatementContext
from sql.subscribe_planner import plan_subscribe_statement


def plan_statement(
    parsed: ParsedStatement,
    catalog: CatalogView,
    session: PlanningSession,
    parameter_types: tuple[SqlType | None, ...] = (),
) -> PlannedStatement:
    """Plan one statement.

    `parameter_types` are the types that the client gave in Parse (or PREPARE), None or missing
    where it gave none; the result's `parameter_types` has one inferred type for each parameter.
    Raises SqlError, with positions relative to the text that `parse_statements` was given.
    """
    parameters = ParameterTypes(parameter_types, parsed.parameter_count)
    context = StatementContext(catalog, session, parameters)
    try:
        return plan_node(parsed.statement, parsed, context)
    except RecursionError:
        raise limits.too_deep() from None


def plan_node(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """Plan a statement of the tree, whole or inside EXPLAIN."""
    planner = _PLANNERS.get(type(statement))
    if planner is not None:
        return planner(statement, parsed, context)
    if isinstance(statement, Explain):
        return plan_explain(statement, parsed, context, plan_node)
    if isinstance(statement, ast.Unsupported):
        raise SqlError(FEATURE_NOT_SUPPORTED, f"{statement.what} is not supported")
    raise AssertionError(type(statement).__name__)


_Planner = Callable[[ast.Statement, ParsedStatement, StatementContext], PlannedStatement]
_PLANNERS: Final[dict[type[ast.Statement], _Planner]] = {
    ast.QueryStatement: plan_query_statement,
    ast.Insert: plan_insert,
    ast.Update: plan_update,
    ast.Delete: plan_delete,
    ast.Truncate: plan_truncate,
    ast.Copy: plan_copy,
    ast.Subscribe: plan_subscribe_statement,
    ExplainResources: plan_explain_resources,
    ExplainTimestamp: plan_explain_timestamp,
    Check: plan_check,
    ast.ShowObjects: plan_show_objects,
    ast.ShowCreate: plan_show_create,
    **DEFINITION_PLANNERS,
    **SESSION_PLANNERS,
}
