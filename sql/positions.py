"""Where in the text an expression stands, for error positions."""

from sql import syntax as ast


def position(node: ast.Expression) -> int | None:
    """The 1-based position of an expression for errors about its value."""
    pos = inner_pos(node)
    return pos + 1 if pos >= 0 else None


def inner_pos(node: ast.Expression) -> int:
    """The 0-based offset of the leftmost part of an expression, PostgreSQL's exprLocation."""
    while True:
        pos: int = getattr(node, "pos", -1)
        inner: ast.Expression | None
        match node:
            case ast.Operator(left=inner) | ast.DistinctTest(left=inner):
                pass
            case ast.Quantified(left=inner):
                pass
            case (
                ast.CastExpression(arg=inner)
                | ast.IsTest(arg=inner)
                | ast.Between(arg=inner)
                | ast.InList(arg=inner)
                | ast.InQuery(arg=inner)
                | ast.PatternMatch(arg=inner)
                | ast.Subscript(arg=inner)
                | ast.CollateExpression(arg=inner)
            ):
                pass
            case ast.Conjunction(args=args) | ast.Disjunction(args=args):
                inner = args[0]
            case _:
                return pos
        if inner is None:
            return pos
        node = inner
