"""Text representations of datums: PostgreSQL's input and output functions, as one table.

`text_output` gives the function that PostgreSQL calls a type's output function, `text_input` its
input function with the type modifier applied. Both are bound once per column and called per value;
they never see nulls.
"""

from collections.abc import Callable

from core.rows import Datum
from core.sql_types import SqlType
from expr.scalar import EvaluationContext

TextOutput = Callable[[Datum], str]
TextInput = Callable[[str], Datum]


def text_output(sql_type: SqlType, context: EvaluationContext) -> TextOutput:
    """The output function of `sql_type` under the session's settings."""
    raise NotImplementedError


def text_input(sql_type: SqlType, context: EvaluationContext) -> TextInput:
    """The input function of `sql_type`; raises SqlError (22P02, 22003, 22007, 22008, 22001 …)."""
    raise NotImplementedError
