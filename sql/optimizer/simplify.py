"""Local simplification, bottom up: fold constants, fuse neighbours, drop what does nothing.

What is empty makes what depends on it empty; what is constant is computed here if it is small, has
no parameters and no session calls in it, and raises no error (errors are left for run time, where
they may never be met).
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from core.errors import SqlError
from core.rows import Row, codec_for
from core.sql_types import SqlType
from expr.compile import compile_predicate, compile_row
from expr.fold import fold
from expr.relation import (
    CardinalityCheck,
    Constant,
    Filter,
    FlatMap,
    Get,
    Join,
    JoinKind,
    Let,
    LocalGet,
    Map,
    Negate,
    OuterJoin,
    Project,
    Reduce,
    Relation,
    Threshold,
    TopK,
    Union,
    Window,
    children,
    column_types,
    map_scalars,
    with_children,
)
from expr.scalar import EvaluationContext, Literal, Scalar
from sql.intrinsics import conjuncts, null_of
from sql.optimizer.columns import is_constant, rewrite_columns
from sql.optimizer.pruning import project

MAX_FOLDED_ROWS: Final = 64


def fold_scalars(relation: Relation, context: EvaluationContext) -> Relation:
    """`relation` with constant subexpressions of its scalars evaluated."""
    return map_scalars(relation, lambda scalar: fold(scalar, context))


def simplify(relation: Relation, context: EvaluationContext) -> Relation:
    """An equal relation of fewer and smaller nodes."""
    new = tuple(simplify(child, context) for child in children(relation))
    relation = with_children(relation, new)
    match relation:
        case Project(input=source, outputs=outputs):
            return _simplify_project(source, outputs)
        case Map():
            return _simplify_map(relation, context)
        case Filter():
            return _simplify_filter(relation, context)
        case Join():
            return _simplify_join(relation)
        case OuterJoin():
            return _simplify_outer_join(relation)
        case Union():
            return _simplify_union(relation)
        case Negate(input=Negate(input=inner)):
            return inner
        case TopK(limit=0):
            return _empty(column_types(relation))
        case TopK(input=source, limit=None, offset=0):
            return source
        case Let(id=local_id, value=value, body=body):
            return _simplify_let(local_id, value, body)
        case (
            FlatMap(input=source)
            | Reduce(input=source)
            | TopK(input=source)
            | Window(input=source)
            | Negate(input=source)
            | Threshold(input=source)
            | CardinalityCheck(input=source)
        ) if _is_empty(source):
            return _empty(column_types(relation))
        case _:
            return relation


def _empty(types: tuple[SqlType, ...]) -> Constant:
    return Constant((), types)


def _is_empty(relation: Relation) -> bool:
    return isinstance(relation, Constant) and not relation.rows


def _is_unit(relation: Relation) -> bool:
    """Whether the relation is one row without columns, the neutral element of the product."""
    return (
        isinstance(relation, Constant)
        and not relation.types
        and sum(diff for _, diff in relation.rows) == 1
        and all(diff > 0 for _, diff in relation.rows)
    )


def _simplify_project(source: Relation, outputs: tuple[int, ...]) -> Relation:
    if isinstance(source, Constant) and len(source.rows) <= MAX_FOLDED_ROWS:
        types = tuple(source.types[index] for index in outputs)
        return _rows_mapped(source, types, lambda row: tuple(row[index] for index in outputs))
    return project(source, outputs)


def _rows_mapped(
    source: Constant, types: tuple[SqlType, ...], change: Callable[[Row], Row]
) -> Constant:
    decode, encode = codec_for(source.types).decode, codec_for(types).encode
    return Constant(
        tuple((encode(change(decode(data))), diff) for data, diff in source.rows), types
    )


def _simplify_map(relation: Map, context: EvaluationContext) -> Relation:
    source, scalars = relation.input, relation.scalars
    if not scalars:
        return source
    if isinstance(source, Map):
        return _simplify_map(Map(source.input, source.scalars + scalars), context)
    if isinstance(source, Constant) and len(source.rows) <= MAX_FOLDED_ROWS:
        return _map_of_constant(relation, source, context)
    return relation


def _map_of_constant(relation: Map, source: Constant, context: EvaluationContext) -> Relation:
    """Fold a prefix of the scalars, which are those the later ones may refer to."""
    rest = relation.scalars
    while rest and _is_row_function(rest[0]):
        scalar = rest[0]
        types = (*source.types, scalar.type.base)
        try:
            added = compile_row((scalar,), context)
            mapped = _rows_mapped(source, types, lambda row, f=added: (*row, *f(row)))  # type: ignore[misc]
        except SqlError:
            break
        source = Constant(mapped.rows, (*source.types, scalar.type))
        rest = rest[1:]
    return Map(source, rest) if rest else source


def _is_row_function(scalar: Scalar) -> bool:
    """Whether `scalar` is known once its columns are."""
    return is_constant(rewrite_columns(scalar, lambda column: null_of(column.type)))


def _simplify_filter(relation: Filter, context: EvaluationContext) -> Relation:
    source = relation.input
    predicates = [part for p in relation.predicates for part in conjuncts(p)]
    if isinstance(source, Filter):
        return _simplify_filter(Filter(source.input, (*source.predicates, *predicates)), context)
    kept = []
    for predicate in dict.fromkeys(predicates):
        if isinstance(predicate, Literal):
            if predicate.value is not True:
                return _empty(column_types(source))
        else:
            kept.append(predicate)
    if not kept or _is_empty(source):
        return source
    if (
        isinstance(source, Constant)
        and len(source.rows) <= MAX_FOLDED_ROWS
        and all(map(_is_row_function, kept))
    ):
        decode, test = codec_for(source.types).decode, compile_predicate(tuple(kept), context)
        try:
            rows = tuple(entry for entry in source.rows if test(decode(entry[0])))
        except SqlError:
            return Filter(source, tuple(kept))
        return Constant(rows, source.types)
    return Filter(source, tuple(kept))


def _simplify_join(relation: Join) -> Relation:
    if any(map(_is_empty, relation.inputs)):
        return _empty(column_types(relation))
    inputs = tuple(part for part in relation.inputs if not _is_unit(part))
    if len(inputs) == len(relation.inputs):
        return relation
    if not inputs:
        return relation.inputs[0]
    if len(inputs) == 1 and not relation.equivalences:
        return inputs[0]
    return Join(inputs, relation.equivalences)


def _simplify_outer_join(relation: OuterJoin) -> Relation:
    left, right = relation.left, relation.right
    if relation.kind is JoinKind.FULL:
        return relation
    if _is_empty(left):
        return _empty(column_types(relation))
    if not _is_empty(right):
        return relation
    match relation.kind:
        case JoinKind.SEMI:
            return _empty(column_types(left))
        case JoinKind.ANTI:
            return left
        case _:
            return Map(left, tuple(null_of(column_type) for column_type in column_types(right)))


def _simplify_union(relation: Union) -> Relation:
    inputs: list[Relation] = []
    for part in relation.inputs:
        inputs.extend(part.inputs if isinstance(part, Union) else (part,))
    kept = tuple(part for part in inputs if not _is_empty(part))
    if not kept:
        return inputs[0]
    return kept[0] if len(kept) == 1 else Union(kept)


def _simplify_let(local_id: int, value: Relation, body: Relation) -> Relation:
    uses = _uses(body)[local_id]
    if uses == 0:
        return body
    if uses == 1 or isinstance(value, Get | LocalGet | Constant):
        return _with_local(body, local_id, value)
    return Let(local_id, value, body)


def _uses(relation: Relation) -> Counter[int]:
    if isinstance(relation, LocalGet):
        return Counter({relation.id: 1})
    found: Counter[int] = Counter()
    for child in children(relation):
        found += _uses(child)
    return found


def _with_local(relation: Relation, local_id: int, value: Relation) -> Relation:
    if isinstance(relation, LocalGet):
        return value if relation.id == local_id else relation
    new = tuple(_with_local(child, local_id, value) for child in children(relation))
    return with_children(relation, new)
