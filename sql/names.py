"""The column name that an expression gives, by PostgreSQL's FigureColname."""

from typing import Final

from sql import syntax as ast

UNNAMED: Final = "?column?"


def column_name(expression: ast.Expression) -> str:
    """The name of an output column without AS."""
    return _figure(expression)[0] or UNNAMED


def _figure(node: ast.Expression) -> tuple[str | None, int]:
    """(name, strength): 2 for a name of its own, 1 for one that a CASE's ELSE may give way to."""
    match node:
        case ast.ColumnName(parts=parts):
            return parts[-1], 2
        case ast.FieldSelection(field=field):
            return field, 2
        case ast.Subscript(arg=arg):
            return _figure(arg)
        case ast.FunctionCall(name=function, label=label):
            return label or function[-1], 2
        case ast.SessionValue(name=value_name):
            return value_name, 2
        case ast.CastExpression(arg=arg, type=type_name):
            name, strength = _figure(arg)
            if strength > 1:
                return name, strength
            return type_name.name[-1], 1
        case ast.CollateExpression(arg=arg):
            return _figure(arg)
        case ast.CaseExpression(otherwise=otherwise):
            name, strength = _figure(otherwise) if otherwise is not None else (None, 0)
            return (name, strength) if strength > 1 else ("case", 1)
        case ast.ScalarSubquery(query=query):
            return _query_name(query)
        case ast.BooleanLiteral():
            return "bool", 1
        case ast.MinMax(is_greatest=is_greatest):
            return ("greatest" if is_greatest else "least"), 2
        case _:
            fixed = _FIXED.get(type(node))
            return (fixed, 2) if fixed else (None, 0)


_FIXED: Final[dict[type[ast.Expression], str]] = {
    ast.CoalesceExpression: "coalesce",
    ast.NullIf: "nullif",
    ast.ExistsSubquery: "exists",
    ast.ArraySubquery: "array",
    ast.ArrayExpression: "array",
    ast.RowExpression: "row",
    ast.GroupingCall: "grouping",
}


def _query_name(query: ast.Query) -> tuple[str | None, int]:
    body = query.body
    while isinstance(body, (ast.SetOperation, ast.NestedQuery)):
        body = body.left.body if isinstance(body, ast.SetOperation) else body.query.body
    if isinstance(body, ast.Values):
        return "column1", 2
    if isinstance(body, ast.Select) and body.items:
        item = body.items[0]
        if item.label:
            return item.label, 2
        return _figure(item.expression)
    return None, 0
