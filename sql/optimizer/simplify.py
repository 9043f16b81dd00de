"""Nodes that do nothing, nodes that one node can replace, empty relations, Lets of a single use."""

from core.rows import codec_for
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
    Lookup,
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
    with_children,
)
from expr.scalar import ColumnRef, Literal, Scalar
from sql import intrinsics
from sql.optimizer.disjunctions import factored
from sql.scope import columns_in, map_columns

UNIT = Constant(((b"\x90", 1),), ())
_MAX_CONSTANT_ROWS = 10_000


def simplify(relation: Relation) -> Relation:
    """The relation with every node simplified, inputs first."""
    inputs = children(relation)
    if inputs:
        new = tuple(map(simplify, inputs))
        if any(a is not b for a, b in zip(new, inputs, strict=True)):
            relation = with_children(relation, new)
    return _node(relation)


def empty(relation: Relation) -> Constant:
    """The empty relation with the columns of `relation`."""
    return Constant((), column_types(relation))


def is_empty(relation: Relation) -> bool:
    """Whether the relation is known to have no rows."""
    return isinstance(relation, Constant) and not relation.rows


def _node(relation: Relation) -> Relation:
    match relation:
        case Project():
            return _project(relation)
        case Map():
            return _map(relation)
        case Filter():
            return _filter(relation)
        case Join():
            return _join(relation)
        case OuterJoin():
            return _outer_join(relation)
        case Union():
            return _union(relation)
        case Reduce(input=Union()) if _is_distinct(relation):
            return _distinct_union(relation)
        case Negate(input=Negate(input=source)):
            return source
        case (
            Reduce(input=source)
            | TopK(input=source)
            | FlatMap(input=source)
            | Lookup(input=source)
            | Window(input=source)
            | Negate(input=source)
            | Threshold(input=source)
            | CardinalityCheck(input=source)
        ) if is_empty(source):
            return empty(relation)
    return relation


def _project(node: Project) -> Relation:
    source, outputs = node.input, node.outputs
    if isinstance(source, Project):
        return _project(Project(source.input, tuple(source.outputs[i] for i in outputs)))
    width = len(column_types(source))
    if outputs == tuple(range(width)):
        return source
    if isinstance(source, Constant) and len(source.rows) <= _MAX_CONSTANT_ROWS:
        return project_constant(source, outputs)
    if isinstance(source, Map):
        return _project_of_map(node, source)
    return node


def _project_of_map(node: Project, source: Map) -> Relation:
    """Drop scalars that only repeat a column."""
    width = len(column_types(source.input))
    repeats = {
        width + index: scalar.index
        for index, scalar in enumerate(source.scalars)
        if isinstance(scalar, ColumnRef)
    }
    if not repeats:
        return node
    outputs = tuple(_root(repeats, index) for index in node.outputs)
    used = {index for index in outputs if index >= width}
    for scalar in source.scalars:
        if not isinstance(scalar, ColumnRef):
            columns_in(scalar, used)
    if used & repeats.keys():
        return node
    kept = [i for i in range(len(source.scalars)) if width + i not in repeats]
    places = {width + old: width + new for new, old in enumerate(kept)}
    scalars = tuple(
        map_columns(
            source.scalars[i], lambda ref: ColumnRef(places.get(ref.index, ref.index), ref.type)
        )
        for i in kept
    )
    inner: Relation = Map(source.input, scalars) if scalars else source.input
    return _project(Project(inner, tuple(places.get(index, index) for index in outputs)))


def _root(repeats: dict[int, int], index: int) -> int:
    while index in repeats:
        index = repeats[index]
    return index


def project_constant(node: Constant, outputs: tuple[int, ...]) -> Constant:
    """The constant relation of the columns at `outputs`."""
    decode = codec_for(tuple(t.base for t in node.types)).decode
    types = tuple(node.types[index] for index in outputs)
    encode = codec_for(tuple(t.base for t in types)).encode
    rows = []
    for data, count in node.rows:
        row = decode(data)
        rows.append((encode(tuple(row[index] for index in outputs)), count))
    return Constant(tuple(rows), types)


def _map(node: Map) -> Relation:
    source = node.input
    if not node.scalars:
        return source
    if is_empty(source):
        return empty(node)
    if isinstance(source, Map):
        return _map(Map(source.input, source.scalars + node.scalars))
    if isinstance(source, Constant) and all(isinstance(s, Literal) for s in node.scalars):
        if len(source.rows) <= _MAX_CONSTANT_ROWS:
            return _map_constant(source, node.scalars)
    return node


def _map_constant(source: Constant, scalars: tuple[Scalar, ...]) -> Constant:
    decode = codec_for(tuple(t.base for t in source.types)).decode
    types = (*source.types, *(s.type for s in scalars))
    encode = codec_for(tuple(t.base for t in types)).encode
    extra = tuple(s.value for s in scalars if isinstance(s, Literal))
    rows = tuple((encode((*decode(data), *extra)), count) for data, count in source.rows)
    return Constant(rows, types)


def _filter(node: Filter) -> Relation:
    source = node.input
    if is_empty(source):
        return source
    predicates: list[Scalar] = []
    parts = source.predicates if isinstance(source, Filter) else ()
    for predicate in (*parts, *node.predicates):
        for part in factored(predicate):
            if isinstance(part, Literal):
                if part.is_null or part == intrinsics.FALSE:
                    return empty(node)
                continue
            if part not in predicates:
                predicates.append(part)
    if isinstance(source, Filter):
        source = source.input
    if not predicates:
        return source
    return Filter(source, tuple(predicates))


def _join(node: Join) -> Relation:
    if any(map(is_empty, node.inputs)):
        return empty(node)
    inputs = tuple(part for part in node.inputs if part != UNIT)
    if not inputs:
        return UNIT
    if len(inputs) == 1 and not node.equivalences:
        return inputs[0]
    return Join(inputs, node.equivalences) if len(inputs) < len(node.inputs) else node


def _outer_join(node: OuterJoin) -> Relation:
    left, right = node.left, node.right
    match node.kind:
        case JoinKind.LEFT:
            if is_empty(left):
                return empty(node)
            if is_empty(right):
                nulls = tuple(intrinsics.null_of(t) for t in column_types(right))
                return Map(left, nulls) if nulls else left
        case JoinKind.SEMI:
            if is_empty(left) or is_empty(right):
                return empty(node)
        case JoinKind.ANTI:
            if is_empty(left) or is_empty(right):
                return left
    return node


def _is_distinct(node: Relation) -> bool:
    """Whether the node only drops repeated rows."""
    return (
        isinstance(node, Reduce)
        and not node.aggregates
        and len(node.group_key) == len(column_types(node.input))
        and all(
            isinstance(key, ColumnRef) and key.index == index
            for index, key in enumerate(node.group_key)
        )
    )


def _distinct_union(node: Reduce) -> Relation:
    """Of distinct relations' union only the union's own rows need be made distinct."""
    parts = tuple(
        part.input if isinstance(part, Reduce) and _is_distinct(part) else part
        for part in children(node.input)
    )
    return Reduce(_union(Union(parts)), node.group_key, ())


def _union(node: Union) -> Relation:
    inputs: list[Relation] = []
    for part in node.inputs:
        if isinstance(part, Union):
            inputs.extend(part.inputs)
        elif not is_empty(part):
            inputs.append(part)
    if not inputs:
        return empty(node)
    if len(inputs) == 1:
        return inputs[0]
    if all(isinstance(part, Constant) for part in inputs):
        rows = tuple(row for part in inputs if isinstance(part, Constant) for row in part.rows)
        if len(rows) <= _MAX_CONSTANT_ROWS:
            return Constant(rows, column_types(node))
    return Union(tuple(inputs))


# Let


def inline_lets(relation: Relation) -> Relation:
    """The relation without Lets whose value is used once at most, or costs nothing."""
    inputs = children(relation)
    if inputs:
        new = tuple(map(inline_lets, inputs))
        if any(a is not b for a, b in zip(new, inputs, strict=True)):
            relation = with_children(relation, new)
    if not isinstance(relation, Let):
        return relation
    uses = count_uses(relation.body, relation.id)
    if uses == 0:
        return relation.body
    if uses == 1 or _is_trivial(relation.value):
        return replace_local(relation.body, relation.id, relation.value)
    return relation


def _is_trivial(relation: Relation) -> bool:
    match relation:
        case LocalGet() | Get():
            return True
        case Constant(rows=rows):
            return len(rows) <= 1
    return False


def count_uses(relation: Relation, local_id: int) -> int:
    """How often `LocalGet(local_id)` occurs."""
    if isinstance(relation, LocalGet):
        return int(relation.id == local_id)
    return sum(count_uses(part, local_id) for part in children(relation))


def replace_local(relation: Relation, local_id: int, value: Relation) -> Relation:
    """`relation` with `value` in place of `LocalGet(local_id)`."""
    if isinstance(relation, LocalGet):
        return value if relation.id == local_id else relation
    inputs = children(relation)
    if not inputs:
        return relation
    new = tuple(replace_local(part, local_id, value) for part in inputs)
    if all(a is b for a, b in zip(new, inputs, strict=True)):
        return relation
    return with_children(relation, new)
