"""Evaluates registered functions on texts, as the reference does on SQL."""

from collections.abc import Callable, Sequence
from functools import partial

from core.errors import SqlError
from core.rows import Datum, Record, Row
from core.sql_types import SqlType
from expr.array_values import one_dimensional
from expr.binary_format import binary_input, binary_output
from expr.compile import compile_scalar
from expr.registry import FunctionKind
from expr.scalar import EvaluationContext
from expr.text_format import text_input, text_output
from tests.expr.postgres_reference import Outcome
from tests.expr.signatures import Signature
from tests.expr.values import type_named

_WITHOUT_INPUT = frozenset({"record", "void"})
UTC_CONTEXT = EvaluationContext()
TEXT_ARRAY = type_named("_text")


def read(text: str | None, sql_type: SqlType, context: EvaluationContext = UTC_CONTEXT) -> Datum:
    """A value from its text."""
    return None if text is None else text_input(sql_type, context)(text)


def value_outcome(value: Datum, sql_type: SqlType, context: EvaluationContext) -> Outcome:
    """The outcome of a value: its type, text and bytes. The bytes must read back as the value."""
    type_name = sql_type.info.sql_name
    if value is None:
        return Outcome(type_name)
    text = text_output(sql_type, context)(value)
    binary = binary_output(sql_type)(value)
    if type_name not in _WITHOUT_INPUT:
        again = binary_output(sql_type)(binary_input(sql_type)(binary))
        assert again == binary, (type_name, text, binary.hex(), again.hex())
    return Outcome(type_name, text, binary.hex())


def outcome_of(
    evaluate: Callable[[Row], Datum],
    arguments: Sequence[tuple[str | None, SqlType]],
    returns: SqlType,
    context: EvaluationContext = UTC_CONTEXT,
) -> Outcome:
    """The outcome of a compiled function on arguments given as texts."""
    try:
        row = tuple(read(text, sql_type, context) for text, sql_type in arguments)
        return value_outcome(evaluate(row), returns, context)
    except SqlError as error:
        return Outcome(sqlstate=error.sqlstate, message=error.message)


def evaluator(
    signature: Signature, context: EvaluationContext = UTC_CONTEXT
) -> Callable[[Sequence[str | None]], Outcome]:
    """What evaluates a signature on the texts of its arguments."""
    if signature.function.kind is FunctionKind.TABLE:
        return lambda texts: _rows_outcome(signature, texts, context)
    types = signature.args
    evaluate: Callable[[Row], Datum]
    try:
        evaluate = compile_scalar(signature.scalar(), context)
    except SqlError as error:  # a call that is wrong for its types, whatever the values
        evaluate = partial(_refuse, error)
    return lambda texts: outcome_of(
        evaluate, list(zip(texts, types, strict=True)), signature.returns, context
    )


def _refuse(error: SqlError, row: Row) -> Datum:
    raise error


def _rows_outcome(
    signature: Signature, texts: Sequence[str | None], context: EvaluationContext
) -> Outcome:
    """The rows of a table function as an array of texts, as `Signature.sql` writes it."""
    try:
        row = tuple(map(read, texts, signature.args, [context] * len(texts)))
        rows = signature.rows(row, context)
        output = text_output(signature.returns, context)
        if signature.returns.name == "record":
            types = tuple(column.type for column in signature.function.columns)
            values: list[Datum] = [Record.of(types, line) for line in rows]
        else:
            values = [line[0] for line in rows]
        lines = [None if value is None else output(value) for value in values]
        return value_outcome(one_dimensional(lines), TEXT_ARRAY, context)
    except SqlError as error:
        return Outcome(sqlstate=error.sqlstate, message=error.message)
