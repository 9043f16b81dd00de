"""Evaluates registered functions on texts, as the reference does on SQL."""

from collections.abc import Sequence

from core.errors import SqlError
from core.sql_types import SqlType
from expr import library  # noqa: F401  (fills the registry)
from expr.compile import compile_scalar
from expr.registry import Function
from expr.scalar import Call, EvaluationContext, literal
from expr.text_format import text_input, text_output
from tests.expr.postgres_reference import Outcome

UTC_CONTEXT = EvaluationContext()


def read(text: str | None, sql_type: SqlType, context: EvaluationContext = UTC_CONTEXT) -> object:
    """A value from its text."""
    return None if text is None else text_input(sql_type, context)(text)


def call_on_texts(
    function: Function,
    arguments: Sequence[tuple[str | None, SqlType]],
    returns: SqlType,
    context: EvaluationContext = UTC_CONTEXT,
) -> Outcome:
    """The outcome of a call whose arguments are given as texts."""
    try:
        literals = tuple(literal(read(t, s, context), s) for t, s in arguments)
        call = Call(function.id, literals, returns)
        value = compile_scalar(call, context)(())
        text = None if value is None else text_output(returns, context)(value)
    except SqlError as error:
        return Outcome(None, error.sqlstate, error.message)
    return Outcome(text)
