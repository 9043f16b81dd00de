"""From a parsed statement to a plan.

`plan_statement` is synchronous, pure and thread-safe: the same statement, catalog view, session
view and parameter types give the same plan. It reads nothing but its arguments and the registry
of functions, and its work is bounded by the limits of `sql.parse` and `sql.limits`.
"""

from core.sql_types import SqlType
from sql.catalog_view import CatalogView
from sql.parse import ParsedStatement
from sql.plan import PlannedStatement
from sql.session_view import PlanningSession


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
    raise NotImplementedError
