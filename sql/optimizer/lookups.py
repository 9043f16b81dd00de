"""Predicates that fix the whole key of an index become lookups in it.

The last step of optimization, a physical one: of a collection that has an index, only the rows are
read whose key the query names. `key = constant`, `key IN (…)`, `key = ANY (array)` and their
conjunctions over all parts of a key do; what they say is then said by the lookup, and every other
predicate stays a filter above it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from math import prod
from typing import Final, NamedTuple

from core.ids import GlobalId
from core.rows import codec_for
from core.sql_types import SqlType
from expr.collection_columns import collection_columns
from expr.ordering import equality_key
from expr.relation import (
    Constant,
    Filter,
    FlatMap,
    Get,
    Join,
    JoinKind,
    Lookup,
    Map,
    OuterJoin,
    Project,
    Reduce,
    Relation,
    Union,
    children,
    column_types,
    with_children,
)
from expr.scalar import Call, ColumnRef, Literal, Or, Scalar, literal
from sql import intrinsics
from sql.equality import equality_pair, without_relabeling
from sql.optimizer.simplify import UNIT
from sql.optimizer.volatility import is_volatile
from sql.scope import is_constant, map_columns, shift_columns

_ANY: Final = "any:"
_UNNEST: Final = "unnest(anyarray)"


class KeyedIndex(NamedTuple):
    """An index and its key, over the columns of the collection it is on."""

    id: GlobalId
    key: tuple[Scalar, ...]


Indexes = Mapping[GlobalId, Sequence[KeyedIndex]]
_Step = Filter | Project


class _Binding(NamedTuple):
    """What a predicate fixes: one of `rows` of constants for the key's `parts`, or, of a single
    part, the elements of `array`."""

    predicate: Scalar
    parts: tuple[int, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    array: Scalar | None = None


def use_indexes(relation: Relation, indexes: Indexes) -> Relation:
    """`relation` with lookups in `indexes` wherever a whole key is fixed."""
    if not indexes:
        return relation
    steps: list[_Step] = []
    source = relation
    while isinstance(source, Filter | Project):
        steps.append(source)
        source = source.input
    if isinstance(source, Get) and source.id in indexes:
        return _with_lookup(steps, source, indexes[source.id]) or relation
    inputs = tuple(use_indexes(part, indexes) for part in children(relation))
    return with_children(relation, inputs)


def used_indexes(relation: Relation, indexes: Indexes) -> tuple[tuple[GlobalId, GlobalId], ...]:
    """(collection, index) of what `relation` reads of `indexes`: as a whole, or by lookups alone.

    What is read as a whole is read from the index whose key a join has, so that the join may look
    rows up instead, else from the oldest one.
    """
    whole: dict[GlobalId, GlobalId] = {}
    joined: dict[GlobalId, GlobalId] = {}
    looked_up: dict[GlobalId, GlobalId] = {}
    stack = [relation]
    while stack:
        node = stack.pop()
        match node:
            case Get(id=id) if indexes.get(id):
                whole[id] = indexes[id][0].id
            case Lookup(id=id, index=index):
                looked_up[id] = index
            case _:
                for _, id, columns in joined_sides(node):
                    for keyed in indexes.get(id, ()):
                        if all(isinstance(k, ColumnRef) and k.index in columns for k in keyed.key):
                            joined.setdefault(id, keyed.id)
        stack.extend(children(node))
    return tuple((looked_up | whole | joined).items())


def joined_sides(node: Relation) -> Iterator[tuple[int, GlobalId, frozenset[int]]]:
    """The inputs of a join that may be looked up when it runs, if an index has a key for it: the
    input's place, the collection that it is made of row by row, and the columns of the collection
    that are keys of the join."""
    match node:
        case Join(inputs=inputs, equivalences=equivalences):
            sides = enumerate(inputs)
            keys = [scalar for equivalence in equivalences for scalar in equivalence]
        case OuterJoin(kind=kind, left=left, right=right, keys=pairs, null_aware=False) if (
            kind is not JoinKind.FULL
        ):
            sides = enumerate((left, right))
            next(sides)
            keys = [shift_columns(key, len(column_types(left))) for _, key in pairs]
        case _:
            return
    start = 0 if isinstance(node, Join) else len(column_types(node.left))
    for place, part in sides:
        collection = collection_columns(part)
        width = len(column_types(part))
        if collection is not None:
            own = (k.index - start for k in keys if isinstance(k, ColumnRef))
            found = (collection.columns[index] for index in own if 0 <= index < width)
            columns = frozenset(column for column in found if column is not None)
            if columns:
                yield place, collection.id, columns
        start += width


def _with_lookup(
    steps: Sequence[_Step], source: Get, indexes: Sequence[KeyedIndex]
) -> Relation | None:
    predicates, outputs = _flattened(steps, len(source.types))
    best: tuple[KeyedIndex, list[_Binding]] | None = None
    for index in sorted(indexes, key=lambda index: -len(index.key)):
        bindings = _bindings(predicates, index.key)
        if bindings is not None and (best is None or _size(bindings) < _size(best[1])):
            best = index, bindings
    if best is None:
        return None
    found, width = _lookup(source, *best)
    used = {id(binding.predicate) for binding in best[1]}
    kept = tuple(shift_columns(test, width) for test in predicates if id(test) not in used)
    result: Relation = Filter(found, kept) if kept else found
    outputs = tuple(width + column for column in outputs)
    if outputs == tuple(range(len(column_types(found)))):
        return result
    return Project(result, outputs)


def _flattened(steps: Sequence[_Step], width: int) -> tuple[list[Scalar], tuple[int, ...]]:
    """The predicates of the steps and what comes out of them, over the columns of the collection,
    which has `width`."""
    places = tuple(range(width))
    predicates: list[Scalar] = []
    for step in reversed(steps):
        if isinstance(step, Project):
            places = tuple(places[index] for index in step.outputs)
            continue
        moved = partial(_moved, places=places)
        predicates += [map_columns(test, moved) for test in step.predicates]
    return predicates, places


def _moved(ref: ColumnRef, places: tuple[int, ...]) -> Scalar:
    return ColumnRef(places[ref.index], ref.type)


# What predicates fix


def _bindings(predicates: Sequence[Scalar], key: tuple[Scalar, ...]) -> list[_Binding] | None:
    """Bindings that together fix every part of the key once; None if there are none."""
    found = [b for test in predicates if (b := _binding(test, key)) is not None]
    found.sort(key=lambda b: (b.array is not None, len(b.rows)))
    chosen: list[_Binding] = []
    fixed: set[int] = set()
    for binding in found:
        if fixed.isdisjoint(binding.parts):
            chosen.append(binding)
            fixed.update(binding.parts)
    return chosen if key and len(fixed) == len(key) else None


def _size(bindings: list[_Binding]) -> int:
    return prod(len(binding.rows) or 1 for binding in bindings)


def _binding(test: Scalar, key: tuple[Scalar, ...]) -> _Binding | None:
    if is_volatile(test):
        return None
    if isinstance(test, Call) and test.function.startswith(_ANY):
        return _any_binding(test, key)
    rows = [_equalities(part, key) for part in (test.args if isinstance(test, Or) else (test,))]
    first = rows[0]
    if first is None:
        return None
    parts = tuple(sorted(first))
    fixed: list[tuple[Scalar, ...]] = []
    for row in rows:
        if row is None or tuple(sorted(row)) != parts:
            return None
        fixed.append(tuple(row[part] for part in parts))
        if any(a.type.oid != b.type.oid for a, b in zip(fixed[0], fixed[-1], strict=True)):
            return None
    return _Binding(test, parts, tuple(fixed))


def _equalities(test: Scalar, key: tuple[Scalar, ...]) -> dict[int, Scalar] | None:
    """The constants of the parts that a conjunction of `part = constant` fixes, each once."""
    fixed: dict[int, Scalar] = {}
    for equality in intrinsics.conjuncts(test):
        pair = equality_pair(equality)
        for subject, constant in (pair, pair[::-1]) if pair is not None else ():
            part = _part(subject, key)
            if part is not None and part not in fixed and is_constant(constant):
                fixed[part] = constant
                break
        else:
            return None
    return fixed


def _any_binding(test: Call, key: tuple[Scalar, ...]) -> _Binding | None:
    """`part = ANY (array)`, where elements and part are held alike."""
    subject, array = test.args
    element = array.type.element
    part = _part(subject, key)
    if part is None or element is None or not is_constant(array):
        return None
    sample = ColumnRef(0, element.base)
    pair = equality_pair(Call(test.function.removeprefix(_ANY), (subject, sample), test.type))
    if pair != (subject, sample):
        return None
    if isinstance(array, Literal) and not array.is_null and array.value.elements:
        elements = tuple((literal(each, element.base),) for each in array.value.elements)
        return _Binding(test, (part,), elements)
    return _Binding(test, (part,), (), array)


def _part(subject: Scalar, key: tuple[Scalar, ...]) -> int | None:
    plain = without_relabeling(subject)
    return next((i for i, part in enumerate(key) if without_relabeling(part) == plain), None)


# From bindings to lookups


def _lookup(source: Get, index: KeyedIndex, bindings: list[_Binding]) -> tuple[Lookup, int]:
    """The rows of `source` that the bindings allow, behind so many other columns."""
    key: list[Scalar] = list(index.key)
    lists: list[Relation] = []
    columns = count()
    for binding in bindings:
        if len(binding.rows) == 1:
            for part, constant in zip(binding.parts, binding.rows[0], strict=True):
                key[part] = constant
            continue
        rows = _distinct_rows(binding)
        lists.append(rows)
        for part, sql_type in zip(binding.parts, column_types(rows), strict=True):
            key[part] = ColumnRef(next(columns), sql_type)
    width = next(columns)
    source_rows = UNIT if not lists else lists[0] if len(lists) == 1 else Join(tuple(lists), ())
    return Lookup(source_rows, source.id, index.id, source.types, tuple(key)), width


def _distinct_rows(binding: _Binding) -> Relation:
    """The constants of a binding, none of them twice."""
    rows: Relation
    if binding.array is not None:
        element = binding.array.type.element
        assert element is not None
        rows = FlatMap(UNIT, _UNNEST, (binding.array,), (element.base,))
    else:
        literals = _literals(binding.rows)
        if literals is not None:
            return literals
        rows = Union(tuple(Map(UNIT, row) for row in binding.rows))
    columns = tuple(ColumnRef(i, t) for i, t in enumerate(column_types(rows)))
    return Reduce(rows, columns, ())


def _literals(rows: Sequence[tuple[Scalar, ...]]) -> Constant | None:
    """Distinct rows of literals as a constant."""
    types: tuple[SqlType, ...] = tuple(scalar.type.base for scalar in rows[0])
    names = [equality_key(t) or (lambda datum: datum) for t in types]
    encode = codec_for(types).encode
    kept: dict[tuple[object, ...], bytes] = {}
    for row in rows:
        values = [scalar.value for scalar in row if isinstance(scalar, Literal)]
        if len(values) < len(types):
            return None
        if None not in values:
            name = tuple(key(value) for key, value in zip(names, values, strict=True))
            kept.setdefault(name, encode(tuple(values)))
    return Constant(tuple((data, 1) for data in kept.values()), types)
