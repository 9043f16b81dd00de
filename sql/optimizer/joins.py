"""Flat inner joins: splicing nested ones together and turning predicates into equivalences.

An inner join under another one, also behind projections, maps and filters, becomes part of it, so
that a replica sees all inputs at once and may join them in the order it likes. Every predicate that
equates scalars of two inputs becomes part of an equivalence: nothing is quadratic where an equality
exists. What equals a constant in one member of an equivalence does so in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from expr.relation import Filter, Join, Map, Project, Relation, column_types
from expr.scalar import Call, ColumnRef, Literal, Parameter, Scalar
from sql.equality import equality_pair
from sql.intrinsics import conjuncts
from sql.optimizer.columns import columns_of, expand_map, inline, is_volatile, shift


@dataclass(slots=True)
class FlatJoin:
    """Inputs of an inner join, what holds over their concatenated columns, and the columns that
    the original relation shows, as scalars over the concatenation."""

    inputs: list[Relation]
    equivalences: list[tuple[Scalar, ...]]
    predicates: list[Scalar]
    outputs: list[Scalar]

    @property
    def arities(self) -> list[int]:
        return [len(column_types(part)) for part in self.inputs]


def flatten(relation: Relation) -> FlatJoin:
    """`relation` as a flat join; of one input where it is no join."""
    match relation:
        case Join(inputs=inputs, equivalences=equivalences):
            return _flatten_join(inputs, equivalences)
        case Filter(input=source, predicates=predicates) if _holds_join(source):
            flat = flatten(source)
            flat.predicates += (inline(predicate, flat.outputs) for predicate in predicates)
            return flat
        case Project(input=source, outputs=outputs) if _holds_join(source):
            flat = flatten(source)
            flat.outputs = [flat.outputs[index] for index in outputs]
            return flat
        case Map(input=source, scalars=scalars) if _holds_join(source) and not any(
            map(is_volatile, scalars)
        ):
            flat = flatten(source)
            types = column_types(source)
            expanded = expand_map(types, scalars)[len(types) :]
            flat.outputs = flat.outputs + [inline(scalar, flat.outputs) for scalar in expanded]
            return flat
    types = column_types(relation)
    return FlatJoin([relation], [], [], [ColumnRef(i, t) for i, t in enumerate(types)])


def _holds_join(relation: Relation) -> bool:
    match relation:
        case Join():
            return True
        case Filter(input=source) | Project(input=source) | Map(input=source):
            return _holds_join(source)
        case _:
            return False


def _flatten_join(
    inputs: Sequence[Relation], equivalences: Sequence[tuple[Scalar, ...]]
) -> FlatJoin:
    whole = FlatJoin([], [], [], [])
    offset = 0
    for part in inputs:
        flat = flatten(part)
        whole.inputs += flat.inputs
        whole.equivalences += (tuple(shift(s, offset) for s in c) for c in flat.equivalences)
        whole.predicates += (shift(predicate, offset) for predicate in flat.predicates)
        whole.outputs += (shift(output, offset) for output in flat.outputs)
        offset += sum(flat.arities)
    for equivalence in equivalences:
        first, *others = (inline(scalar, whole.outputs) for scalar in equivalence)
        whole.equivalences.append((first, *others))
    return whole


def input_of(scalar: Scalar, starts: Sequence[int]) -> int | None:
    """The one input whose columns `scalar` reads; None if it reads none or several.

    `starts` holds the first column of each input and the number of all columns."""
    read = columns_of(scalar)
    if not read:
        return None
    low, high = min(read), max(read)
    for number in range(len(starts) - 1):
        if starts[number] <= low < starts[number + 1]:
            return number if high < starts[number + 1] else None
    return None


def starts_of(arities: Sequence[int]) -> list[int]:
    """The first column of each input, and the number of all columns."""
    starts = [0]
    for arity in arities:
        starts.append(starts[-1] + arity)
    return starts


def take_equalities(flat: FlatJoin) -> None:
    """Move predicates that equate two inputs into the equivalences, and merge what overlaps."""
    starts = starts_of(flat.arities)
    classes = list(flat.equivalences)
    rest: list[Scalar] = []
    for predicate in flat.predicates:
        for part in conjuncts(predicate):
            pair = equality_pair(part)
            if pair is not None and not any(map(is_volatile, pair)):
                sides = input_of(pair[0], starts), input_of(pair[1], starts)
                if None not in sides and sides[0] != sides[1]:
                    classes.append(pair)
                    continue
            rest.append(part)
    flat.equivalences = _merge(classes)
    flat.predicates = rest + _implied_constants(flat.equivalences, rest)


def _merge(classes: Sequence[tuple[Scalar, ...]]) -> list[tuple[Scalar, ...]]:
    """Classes that share a scalar become one."""
    merged: list[list[Scalar]] = []
    for equivalence in classes:
        members = list(equivalence)
        separate = []
        for other in merged:
            if any(member in other for member in members):
                members += (scalar for scalar in other if scalar not in members)
            else:
                separate.append(other)
        merged = [*separate, members]
    return [tuple(members) for members in merged]


def _implied_constants(
    equivalences: Sequence[tuple[Scalar, ...]], predicates: Sequence[Scalar]
) -> list[Scalar]:
    """`b = 5` for each b equivalent to an a of which `a = 5` is required."""
    implied: list[Scalar] = []
    for predicate in predicates:
        if not (isinstance(predicate, Call) and len(predicate.args) == 2):
            continue
        if equality_pair(predicate) is None:
            continue
        left, right = predicate.args
        if isinstance(left, Literal | Parameter):
            left, right = right, left
        if not isinstance(right, Literal | Parameter):
            continue
        for members in equivalences:
            if left in members:
                implied += (
                    Call(predicate.function, (member, right), predicate.type)
                    for member in members
                    if member != left and member.type == left.type
                )
    return [predicate for predicate in implied if predicate not in predicates]


def rebuild(flat: FlatJoin) -> Relation:
    """The relation that `flat` stands for."""
    joined: Relation = flat.inputs[0]
    if len(flat.inputs) > 1:
        joined = Join(tuple(flat.inputs), tuple(flat.equivalences))
    if flat.predicates:
        joined = Filter(joined, tuple(flat.predicates))
    return show(joined, flat.outputs, sum(flat.arities))


def show(relation: Relation, outputs: Sequence[Scalar], arity: int) -> Relation:
    """A relation of `arity` columns with `outputs` as its columns."""
    computed = [scalar for scalar in outputs if not isinstance(scalar, ColumnRef)]
    if computed:
        relation = Map(relation, tuple(computed))
    positions = iter(range(arity, arity + len(computed)))
    order = tuple(
        scalar.index if isinstance(scalar, ColumnRef) else next(positions) for scalar in outputs
    )
    if order == tuple(range(arity + len(computed))):
        return relation
    return Project(relation, order)
