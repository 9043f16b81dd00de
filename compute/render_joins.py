"""From joins to operators."""

from dataclasses import replace
from typing import Final

from compute.compiled import all_equal, appending, match_key, row_key
from compute.estimates import join_estimate
from compute.execution import Operator
from compute.join_keys import InputKeys, join_keys
from compute.operators.join import Estimate, JoinInput, JoinOperator
from compute.operators.keys import group_key
from compute.operators.linear import ConstantOperator, FilterOperator, MapOperator
from compute.operators.narrowing import NarrowedJoin, Narrowing
from compute.operators.outer_join import (
    NullAwareAntiJoinOperator,
    OuterJoinOperator,
    SemiJoinOperator,
)
from compute.rendered import Rendered, consolidated
from expr.collection_columns import collection_columns
from expr.compile import compile_predicate, compile_row
from expr.relation import Join, JoinKind, OuterJoin, Relation
from expr.scalar import ColumnRef, EvaluationContext

ONE_ROW: Final = Estimate(1.0, 1.0)


def render_join(
    relation: Join, parts: tuple[Rendered, ...], context: EvaluationContext
) -> Rendered:
    """The inner join of `parts`, what its inputs are rendered to."""
    if not parts:
        return Rendered(ConstantOperator(((),), (1,)), (), lambda _: ONE_ROW)
    types = tuple(t for part in parts for t in part.types)
    keys = join_keys(relation, [len(part.types) for part in parts])
    inputs = tuple(
        _join_input(source, part, own, context)
        for source, part, own in zip(relation.inputs, parts, keys, strict=True)
    )
    is_negative = any(part.may_be_negative for part in parts)
    return Rendered(JoinOperator(inputs), types, join_estimate(inputs), is_negative)


def _join_input(
    relation: Relation, part: Rendered, keys: InputKeys, context: EvaluationContext
) -> JoinInput:
    width = len(part.types)
    operator = part.operator
    if keys.appended:
        operator = MapOperator(operator, appending(compile_row(keys.appended, context)))
    for places in keys.equal:
        operator = FilterOperator(operator, all_equal(places))
    total = width + len(keys.appended)
    collection = collection_columns(relation)
    return JoinInput(operator, part.estimate, width, total, keys.positions, collection)


def render_outer_join(
    relation: OuterJoin, left: Rendered, right: Rendered, context: EvaluationContext
) -> Rendered:
    """A join that is not inner, of what its sides are rendered to."""
    right = consolidated(right)
    if relation.kind is JoinKind.FULL:
        left = consolidated(left)
    operator = _outer_operator(relation, left, right, context)
    is_semi = relation.kind in (JoinKind.SEMI, JoinKind.ANTI)
    types = left.types if is_semi else left.types + right.types
    return Rendered(operator, types, left.estimate, left.may_be_negative)


def _outer_operator(
    relation: OuterJoin, left: Rendered, right: Rendered, context: EvaluationContext
) -> Operator:
    residual = None
    if relation.residual is not None:
        residual = compile_predicate((relation.residual,), context)
    lefts = tuple(pair[0] for pair in relation.keys)
    rights = tuple(pair[1] for pair in relation.keys)
    if relation.null_aware:
        return NullAwareAntiJoinOperator(
            left.operator,
            right.operator,
            row_key(lefts, group_key, context),
            row_key(rights, group_key, context),
            len(lefts),
            residual,
        )
    join: OuterJoinOperator | SemiJoinOperator
    if relation.kind in (JoinKind.SEMI, JoinKind.ANTI):
        join = SemiJoinOperator(
            relation.kind is JoinKind.SEMI,
            left.operator,
            right.operator,
            match_key(lefts, context),
            match_key(rights, context),
            residual,
        )
    else:
        join = OuterJoinOperator(
            relation.kind,
            left.operator,
            right.operator,
            match_key(lefts, context),
            match_key(rights, context),
            residual,
            len(left.types),
            len(right.types),
        )
    narrowing = _narrowing(relation, context)
    if narrowing is None:
        return join
    return NarrowedJoin(
        left.operator,
        right.operator,
        narrowing,
        lambda driving, looked_up: replace(join, left=driving, right=looked_up),
    )


def _narrowing(relation: OuterJoin, context: EvaluationContext) -> Narrowing | None:
    """How to look up the right side, if only its rows with keys of the left one matter."""
    collection = collection_columns(relation.right)
    if collection is None or relation.kind is JoinKind.FULL:
        return None
    lefts = tuple(pair[0] for pair in relation.keys)
    columns = tuple(
        collection.columns[key.index] if isinstance(key, ColumnRef) else None
        for _, key in relation.keys
    )
    types = tuple(scalar.type for scalar in lefts)
    return Narrowing(collection.id, columns, compile_row(lefts, context), types)
