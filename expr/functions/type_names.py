"""Functions that know the names of types: types are fixed, so they need no catalog."""

from typing import Final

from core.errors import SqlError
from core.rows import Datum
from core.sql_types import INT4, OID, REGTYPE, TEXT
from core.type_names import format_type
from expr.registry import Function, FunctionKind, register
from expr.scalar import EvaluationContext
from expr.text_format import text_input

_READ: Final = text_input(REGTYPE, EvaluationContext())


def _to_regtype(text: str) -> Datum:
    """The type of a name or a number; None when there is none of the name."""
    try:
        return _READ(text)
    except SqlError:
        return None


register(
    Function(
        id="format_type(oid,int4)",
        name="format_type",
        kind=FunctionKind.SCALAR,
        args=(OID, INT4),
        returns=TEXT,
        implementation=lambda oid, modifier: None if oid is None else format_type(oid, modifier),
        strict=False,
    )
)
register(
    Function(
        id="to_regtype(text)",
        name="to_regtype",
        kind=FunctionKind.SCALAR,
        args=(TEXT,),
        returns=REGTYPE,
        implementation=_to_regtype,
    )
)
