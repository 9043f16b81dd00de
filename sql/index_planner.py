"""CREATE INDEX: its key, its name, and its normalised text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_NAME,
    UNDEFINED_COLUMN,
    UNDEFINED_OBJECT,
    SqlError,
)
from core.sql_types import Column, RelationDesc, SqlType
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind, QualifiedName
from sql.coercion import ParameterTypes
from sql.definition_text import replaced
from sql.equality import has_equality
from sql.identifiers import quote_identifier
from sql.index_keys import relation_scope
from sql.maintained import check_maintained_scalars, maintained_rows
from sql.maintained_options import check_names
from sql.maintained_planner import cluster_for, history_of
from sql.maintained_syntax import CreateIndex, IndexKey
from sql.maintained_text import RETAIN_HISTORY, MaintainedDefinition
from sql.names import UNNAMED, column_name
from sql.new_items import no_parameters, plain
from sql.object_names import cannot_open, user_relation
from sql.parse import ParsedStatement
from sql.pending import Pending
from sql.plan import CreateIndexPlan, PlannedStatement
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.query_statement import optimize_hir
from sql.statement_context import Reading, Replacement, StatementContext
from sql.syntax_walk import nodes_of
from sql.unique_keys import unique_key

MAX_NAME_BYTES: Final = 63
_NUMBER_BYTES: Final = 8  # room for what makes a name unique
_METHODS: Final = frozenset({"arranged", "btree", "hash"})
_OTHER_METHODS: Final = frozenset({"gin", "gist", "spgist", "brin"})


@dataclass(frozen=True, slots=True)
class _KeyPart:
    """`reference` is the position of a column from 1, or the text of an expression."""

    reference: int | str
    name: str
    type: SqlType
    nullable: bool = True


def plan_create_index(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE INDEX, once it is known that what it is on can be maintained."""
    assert isinstance(statement, CreateIndex)
    no_parameters(parsed)
    if statement.refused is not None:
        raise SqlError(FEATURE_NOT_SUPPORTED, f"{statement.refused} is not supported")
    _check_method(statement.method)
    check_names(statement.options, {RETAIN_HISTORY})
    cluster = cluster_for(statement.cluster, context)
    history_us = history_of(statement.options, context)
    queries = QueryPlanner(context)
    on = _indexed_relation(statement.relation, context)
    maintained_rows(queries.item_relation(on).hir, on.desc, context)
    if statement.keys is None:
        parts = _default_key(on, context)
    else:
        parts = tuple(dict.fromkeys(_key_part(key, on, queries) for key in statement.keys))
    name = _name(statement, on, parts)
    definition = MaintainedDefinition(
        _parts(name),
        cluster,
        statement.options,
        tuple(_text(part, on) for part in parts),
        on=_parts(on.name),
    )
    return plain(
        CreateIndexPlan(
            name,
            on.id,
            tuple(part.reference for part in parts),
            _description(parts),
            definition.sql(),
            cluster,
            statement.name is None,
            statement.if_not_exists,
            history_us,
        )
    )


def _check_method(method: str | None) -> None:
    if method is None or method in _METHODS:
        return
    if method in _OTHER_METHODS:
        raise SqlError(FEATURE_NOT_SUPPORTED, f'access method "{method}" is not supported')
    raise SqlError(UNDEFINED_OBJECT, f'access method "{method}" does not exist')


def _indexed_relation(name: ast.Name, context: StatementContext) -> CatalogItem:
    item = user_relation(name, context)
    if item.kind is ItemKind.INDEX:
        raise cannot_open(item, None)
    if item.is_temporary:
        kind = item.kind.value.replace("-", " ")
        raise SqlError(
            FEATURE_NOT_SUPPORTED, f'cannot create index on temporary {kind} "{item.name.item}"'
        )
    return item


# Keys


def _default_key(on: CatalogItem, context: StatementContext) -> tuple[_KeyPart, ...]:
    """A key of the relation if its query tells of one, else all columns; those of types without
    equality are left out."""
    columns = on.desc.columns
    from_base = StatementContext(
        context.catalog, context.session, ParameterTypes((), 0), Reading(None, is_from_base=True)
    )
    rows = QueryPlanner(from_base).item_relation(on).hir
    key = unique_key(optimize_hir(rows, from_base))
    parts = tuple(
        _KeyPart(index + 1, columns[index].name, columns[index].type, columns[index].nullable)
        for index in key or range(len(columns))
        if has_equality(columns[index].type)
    )
    if not parts:
        _check_key_type(columns[0].type)
    return parts


def _key_part(key: IndexKey, on: CatalogItem, queries: QueryPlanner) -> _KeyPart:
    expression = key.expression
    names = on.desc.names
    if isinstance(expression, ast.ColumnName) and expression.parts[:-1] in _qualifiers(on):
        name = expression.parts[-1]
        if name not in names and len(expression.parts) == 1:
            raise SqlError(UNDEFINED_COLUMN, f'column "{name}" does not exist')
        if name in names:
            column = on.desc.columns[names.index(name)]
            _check_key_type(column.type)
            return _KeyPart(names.index(name) + 1, name, column.type, column.nullable)
    pending = Pending(queries.indices)
    bare = _unqualified(expression, on)
    scalar = queries.scalars(relation_scope(on.desc), pending, "index expressions").plan(bare)
    if pending.subqueries:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "cannot use subquery in index expression",
            position=position(expression),
        )
    check_maintained_scalars((scalar,))
    _check_key_type(scalar.type)
    name = column_name(expression)
    text = replaced(key.sql, key.pos, tuple(_without_qualifiers(expression, on)))
    if not (key.is_enclosed or isinstance(expression, ast.FunctionCall)):
        text = f"({text})"
    return _KeyPart(text, "expr" if name == UNNAMED else name, scalar.type)


def _check_key_type(sql_type: SqlType) -> None:
    if not has_equality(sql_type):
        raise SqlError(
            UNDEFINED_OBJECT,
            f"data type {sql_type.info.sql_name} has no default operator class for access method "
            '"btree"',
            hint="You must specify an operator class for the index or define a default operator "
            "class for the data type.",
        )


def _qualifiers(on: CatalogItem) -> set[tuple[str, ...]]:
    """How the columns of the relation may be qualified."""
    full = _parts(on.name)
    return {full[start:] for start in range(len(full) + 1)}


def _unqualified(expression: ast.Expression, on: CatalogItem) -> ast.Expression:
    """`expression` with its columns named without the relation."""

    def change(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(change, value))
        if not isinstance(value, ast.SyntaxNode):
            return value
        if isinstance(value, ast.ColumnName):
            is_own = value.parts[:-1] in _qualifiers(on)
            return msgspec.structs.replace(value, parts=value.parts[-1:]) if is_own else value
        fields = {name: change(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)

    changed = change(expression)
    assert isinstance(changed, ast.Expression)
    return changed


def _without_qualifiers(expression: ast.Expression, on: CatalogItem) -> Iterator[Replacement]:
    """What to write for the qualified columns of an expression."""
    for node in nodes_of(expression):
        if isinstance(node, ast.ColumnName):
            *qualifier, name = node.parts
            if qualifier and tuple(qualifier) in _qualifiers(on):
                yield Replacement(node.pos, 2 * len(qualifier) + 1, quote_identifier(name))


# Names and texts


def _name(statement: CreateIndex, on: CatalogItem, parts: Sequence[_KeyPart]) -> QualifiedName:
    schema = on.name
    if statement.name is not None:
        *qualifier, item = statement.name
        if tuple(qualifier) not in {_parts(schema)[start:-1] for start in range(3)}:
            raise SqlError(
                INVALID_NAME,
                "an index is in the schema of the relation that it is on",
                position=statement.pos + 1,
            )
        return QualifiedName(schema.database, schema.schema, item)
    words = ["primary"] if statement.keys is None else [part.name for part in parts]
    suffix = _clipped("_".join(words), MAX_NAME_BYTES // 2)
    room = MAX_NAME_BYTES - _NUMBER_BYTES - len(f"__idx{suffix}".encode())
    made = f"{_clipped(schema.item, room)}_{suffix}_idx"
    return QualifiedName(schema.database, schema.schema, made)


def _clipped(text: str, size_bytes: int) -> str:
    return text.encode()[:size_bytes].decode(errors="ignore")


def _parts(name: QualifiedName) -> ast.Name:
    return tuple(part for part in (name.database, name.schema, name.item) if part is not None)


def _text(part: _KeyPart, on: CatalogItem) -> str:
    if isinstance(part.reference, str):
        return part.reference
    return quote_identifier(on.desc.columns[part.reference - 1].name)


def _description(parts: Sequence[_KeyPart]) -> RelationDesc:
    """The columns of the key: columns keep their names, expressions get numbers where names come
    twice, as in PostgreSQL."""
    columns: list[Column] = []
    taken = {part.name for part in parts if isinstance(part.reference, int)}
    for part in parts:
        name, number = part.name, 0
        while isinstance(part.reference, str) and name in taken:
            number += 1
            name = f"{part.name}{number}"
        taken.add(name)
        columns.append(Column(name, part.type, part.nullable))
    return RelationDesc(tuple(columns))
