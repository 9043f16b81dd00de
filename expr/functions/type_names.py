"""Functions that know the names of types: types are fixed, so they need no catalog."""

from core.sql_types import INT4, OID, REGTYPE, TEXT
from core.type_names import format_type, type_oid
from expr.registry import Function, FunctionKind, register


def _to_regtype(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else type_oid(text)


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
