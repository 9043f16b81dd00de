"""Constants that name catalog objects: `'t'::regclass`, `'int4'::regtype` and their kin."""

from core.errors import (
    AMBIGUOUS_FUNCTION,
    INVALID_NAME,
    INVALID_SCHEMA_NAME,
    UNDEFINED_FUNCTION,
    UNDEFINED_OBJECT,
    UNDEFINED_TABLE,
    SqlError,
)
from core.sql_types import SqlType
from core.type_names import type_oid
from expr.scalar import Literal, literal
from sql.functions import local_name
from sql.lexer import tokenize
from sql.statement_context import StatementContext

_MAX_OID = 2**32 - 1


def resolve_catalog_literal(
    context: StatementContext, text: str, target: SqlType, pos: int
) -> Literal:
    """The oid that `text` means as a value of the `reg…` type `target`."""
    stripped = text.strip()
    if stripped == "-":
        return literal(0, target)
    if stripped.isdigit() and int(stripped) <= _MAX_OID:
        return literal(int(stripped), target)
    return literal(_oid(context, text, target, pos), target)


def _oid(context: StatementContext, text: str, target: SqlType, pos: int) -> int:
    session = context.session
    match target.name:
        case "regclass":
            parts = name_parts(text, pos)
            item = context.catalog.resolve_item(session.database, session.search_path, parts)
            if item is None:
                raise SqlError(
                    UNDEFINED_TABLE, f'relation "{text}" does not exist', position=pos + 1
                )
            return item.oid
        case "regtype":
            oid = type_oid(text)
            if oid is None:
                raise SqlError(UNDEFINED_OBJECT, f'type "{text}" does not exist', position=pos + 1)
            return oid
        case "regnamespace":
            schema = context.catalog.schema(session.database, name_parts(text, pos))
            if schema is None:
                raise SqlError(
                    INVALID_SCHEMA_NAME, f'schema "{text}" does not exist', position=pos + 1
                )
            return schema.oid
        case "regrole":
            (name,) = name_parts(text, pos)[-1:]
            for role, oid in context.catalog.roles():
                if role == name:
                    return oid
            raise SqlError(UNDEFINED_OBJECT, f'role "{text}" does not exist', position=pos + 1)
        case "regproc":
            return _function_oid(context, text, pos)
    raise SqlError(
        "0A000",
        f"constants of type {target.info.sql_name} by name are not supported",
        position=pos + 1,
    )


def _function_oid(context: StatementContext, text: str, pos: int) -> int:
    name = local_name(name_parts(text, pos))
    oids = () if name is None else context.catalog.function_oids(name)
    if not oids:
        raise SqlError(UNDEFINED_FUNCTION, f'function "{text}" does not exist', position=pos + 1)
    if len(oids) > 1:
        raise SqlError(
            AMBIGUOUS_FUNCTION, f'more than one function named "{text}"', position=pos + 1
        )
    return oids[0]


def name_parts(text: str, pos: int) -> tuple[str, ...]:
    """The parts of a possibly quoted and qualified name inside a string."""
    try:
        tokens = tokenize(text)
    except SqlError:
        raise SqlError(INVALID_NAME, "invalid name syntax", position=pos + 1) from None
    parts = []
    for index, token in enumerate(tokens[:-1]):
        expected = "wq" if index % 2 == 0 else "c"
        if token.kind not in expected or (token.kind == "c" and token.value != "."):
            raise SqlError(INVALID_NAME, "invalid name syntax", position=pos + 1)
        if token.kind in "wq":
            parts.append(token.value)
    if not parts or len(tokens) % 2 == 1:
        raise SqlError(INVALID_NAME, "invalid name syntax", position=pos + 1)
    return tuple(parts)
