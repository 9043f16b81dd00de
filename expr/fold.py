"""Constant folding of scalars within a budget.

Folding runs where statements are planned, so it must stay small: no more than `MAX_STEPS` calls of
a scalar are folded, and no call whose result may be much larger than what goes into it. What is
left is computed by a replica.
"""

from typing import Final

from core.errors import SqlError
from core.rows import Datum
from core.sql_types import BOOL, RECORD
from expr.registry import Function, FunctionKind, bind, function_by_id
from expr.scalar import (
    And,
    Call,
    Case,
    Coalesce,
    EvaluationContext,
    Literal,
    Or,
    Scalar,
    children,
    literal,
    with_children,
)

MAX_STEPS: Final = 1_000
MAX_LITERAL_BYTES: Final = 65_536
# Functions whose cost or result is not bounded by the size of their arguments.
_UNBOUNDED: Final = frozenset(
    {"repeat", "lpad", "rpad", "array_fill", "power", "pow", "^", "exp", "factorial", "format"}
)


def fold(scalar: Scalar, context: EvaluationContext) -> Scalar:
    """`scalar` with constant subexpressions evaluated.

    Errors stay unfolded: they are raised at run time and only if evaluated. Volatile functions,
    session calls and expensive calls stay as they are.
    """
    if not children(scalar):
        return scalar
    return _Folder(context).fold(scalar)


class _Folder:
    def __init__(self, context: EvaluationContext) -> None:
        self._context = context
        self._steps_left = MAX_STEPS

    def fold(self, scalar: Scalar) -> Scalar:
        operands = children(scalar)
        if not operands:
            return scalar if not isinstance(scalar, Call) else self._fold_call(scalar)
        new = tuple(map(self.fold, operands))
        if new != operands:
            scalar = with_children(scalar, new)
        match scalar:
            case Call():
                return self._fold_call(scalar)
            case And(args=args):
                return _fold_junction(args, is_and=True)
            case Or(args=args):
                return _fold_junction(args, is_and=False)
            case Case():
                return _fold_case(scalar)
            case Coalesce():
                return _fold_coalesce(scalar)
        return scalar

    def _fold_call(self, call: Call) -> Scalar:
        if not all(isinstance(arg, Literal) for arg in call.args):
            return call
        function = function_by_id(call.function)
        if (
            function.volatile
            or function.kind is FunctionKind.SESSION
            or function.name in _UNBOUNDED
            or call.type.oid == RECORD.oid
            or any(arg.type.oid == RECORD.oid for arg in call.args)
        ):
            return call
        self._steps_left -= 1
        if self._steps_left < 0:
            return call
        try:
            folded = literal(self._value(function, call), call.type)
        except SqlError:
            return call
        return folded if len(folded.data) <= MAX_LITERAL_BYTES else call

    def _value(self, function: Function, call: Call) -> Datum:
        values = [arg.value for arg in call.args if isinstance(arg, Literal)]
        if function.strict and None in values:
            return None
        types = [arg.type for arg in call.args]
        return bind(function, types, call.type, self._context)(*values)


def _fold_junction(args: tuple[Scalar, ...], *, is_and: bool) -> Scalar:
    """AND without its trues and what stands behind a false; OR the other way round."""
    kept: list[Scalar] = []
    for arg in args:
        if isinstance(arg, Literal) and arg.value is not None:
            if arg.value is is_and:
                continue
            kept.append(arg)
            break
        kept.append(arg)
    if not kept:
        return literal(is_and, BOOL)
    if len(kept) == 1:
        return kept[0]
    if isinstance(kept[-1], Literal) and all(isinstance(arg, Literal) for arg in kept):
        values = [arg.value for arg in kept if isinstance(arg, Literal)]
        return literal((not is_and) if (not is_and) in values else None, BOOL)
    return And(tuple(kept)) if is_and else Or(tuple(kept))


def _fold_case(case: Case) -> Scalar:
    branches: list[tuple[Scalar, Scalar]] = []
    for condition, result in case.branches:
        if isinstance(condition, Literal):
            if condition.value is not True:
                continue
            if not branches:
                return result
            return Case(tuple(branches), result, case.type)
        branches.append((condition, result))
    return Case(tuple(branches), case.otherwise, case.type) if branches else case.otherwise


def _fold_coalesce(coalesce: Coalesce) -> Scalar:
    kept: list[Scalar] = []
    for arg in coalesce.args:
        if isinstance(arg, Literal):
            if arg.is_null:
                continue
            kept.append(arg)
            break
        kept.append(arg)
    if not kept:
        return literal(None, coalesce.type)
    return kept[0] if len(kept) == 1 else Coalesce(tuple(kept), coalesce.type)
