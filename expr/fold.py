"""Constant folding of scalars within a step budget.

Folding runs in environmentd, so it must stay cheap: a call is only folded when its operands and its
result are small and its function is neither volatile nor able to work long on small operands;
anything else is left to a replica. A fold keeps an expression's meaning: what raises an error stays
as it is, for SQL raises it only if it evaluates it.
"""

from typing import Final

from core.errors import SqlError
from core.sql_types import BOOL
from expr.compile import MAX_DEPTH, compile_scalar
from expr.registry import FunctionKind, function_by_id
from expr.scalar import (
    And,
    Call,
    Case,
    Coalesce,
    ColumnRef,
    EvaluationContext,
    Literal,
    Or,
    Parameter,
    Scalar,
    children,
    literal,
    with_children,
)

MAX_STEPS: Final = 2_000
MAX_OPERAND_BYTES: Final = 4_096
MAX_RESULT_BYTES: Final = 65_536
# Functions whose work is not bounded by the size of their operands.
_EXPENSIVE: Final = frozenset(
    {"repeat", "lpad", "rpad", "array_fill", "factorial", "power", "pow", "^", "exp", "ln", "log"}
    | {"log10", "format", "pg_sleep", "setseed", "gcd", "lcm", "digest"}
    | {"regexp_replace", "regexp_match", "regexp_split_to_array", "~", "!~", "~*", "!~*"}
)


def fold(scalar: Scalar, context: EvaluationContext) -> Scalar:
    """`scalar` with constant subexpressions evaluated.

    Errors stay unfolded: they are raised at run time and only if evaluated. Volatile functions and
    expensive calls stay as they are.
    """
    return _Folder(context).fold(scalar, 0)


class _Folder:
    """One run; `steps` is what is left of the budget."""

    def __init__(self, context: EvaluationContext) -> None:
        self.context = context
        self.steps = MAX_STEPS

    def fold(self, scalar: Scalar, depth: int) -> Scalar:
        self.steps -= 1
        if self.steps < 0 or depth > MAX_DEPTH:
            return scalar
        operands = children(scalar)
        if operands:
            new = tuple(self.fold(operand, depth + 1) for operand in operands)
            if any(after is not before for after, before in zip(new, operands, strict=True)):
                scalar = with_children(scalar, new)
        match scalar:
            case ColumnRef() | Literal() | Parameter():
                return scalar
            case And(args=args):
                return _fold_connective(scalar, args, decisive=False)
            case Or(args=args):
                return _fold_connective(scalar, args, decisive=True)
            case Case():
                return _fold_case(scalar)
            case Coalesce():
                return _fold_coalesce(scalar)
            case Call():
                return self._fold_call(scalar)

    def _fold_call(self, call: Call) -> Scalar:
        if not all(isinstance(arg, Literal) for arg in call.args):
            return call
        size = sum(len(arg.data) for arg in call.args if isinstance(arg, Literal))
        if size > MAX_OPERAND_BYTES or call.type.oid == 2249:
            return call
        function = function_by_id(call.function)
        if function.kind in (FunctionKind.SESSION, FunctionKind.TABLE) or function.volatile:
            return call
        if function.name in _EXPENSIVE:
            return call
        if any(arg.type.oid == 2249 for arg in call.args):
            return call
        try:
            value = compile_scalar(call, self.context)(())
        except SqlError:
            return call
        folded = literal(value, call.type)
        return folded if len(folded.data) <= MAX_RESULT_BYTES else call


def _fold_connective(scalar: And | Or, args: tuple[Scalar, ...], *, decisive: bool) -> Scalar:
    """AND and OR: neutral constants vanish, what follows a decisive one is never evaluated."""
    kept: list[Scalar] = []
    for arg in args:
        value = arg.value if isinstance(arg, Literal) else _UNKNOWN
        if value is (not decisive):
            continue
        if type(arg) is type(scalar):
            kept.extend(arg.args)
        else:
            kept.append(arg)
        if value is decisive:
            break
    if not kept:
        return literal(not decisive, BOOL)
    if len(kept) == 1:
        return kept[0]
    # A decisive constant at the end decides unless something before it raises; a plain test
    # of columns cannot, but that is not known here: only constants before it are dropped.
    if all(isinstance(arg, Literal) for arg in kept):
        values = [arg.value for arg in kept if isinstance(arg, Literal)]
        return literal(decisive if decisive in values else None, BOOL)
    return scalar if tuple(kept) == args else type(scalar)(tuple(kept))


_UNKNOWN: Final = object()


def _fold_case(case: Case) -> Scalar:
    branches: list[tuple[Scalar, Scalar]] = []
    for condition, result in case.branches:
        if isinstance(condition, Literal):
            if condition.value is True:
                if not branches:
                    return result
                return Case(tuple(branches), result, case.type)
            continue
        branches.append((condition, result))
    if not branches:
        return case.otherwise
    if len(branches) == len(case.branches):
        return case
    return Case(tuple(branches), case.otherwise, case.type)


def _fold_coalesce(coalesce: Coalesce) -> Scalar:
    kept: list[Scalar] = []
    for arg in coalesce.args:
        if isinstance(arg, Literal) and arg.is_null:
            continue
        kept.append(arg)
        if isinstance(arg, Literal):
            break
    if not kept:
        return literal(None, coalesce.type)
    if len(kept) == 1:
        return kept[0]
    return coalesce if tuple(kept) == coalesce.args else Coalesce(tuple(kept), coalesce.type)
