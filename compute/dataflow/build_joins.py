"""Joins as dataflow nodes: paths through arrangements, and rows with or without a partner."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import add

from compute.columns import rewritten
from compute.compiled import all_equal, appending
from compute.dataflow.arrangement import Arrangement
from compute.dataflow.graph import Dataflow, Edge, Node
from compute.dataflow.join import JoinNode, Lookup, Path
from compute.dataflow.linear import ConstantNode, RowsNode, UnionNode
from compute.dataflow.match import MatchByKeyNode, MatchByRowNode, NotInNode
from compute.join_keys import InputKeys, Place, join_keys
from compute.operators.keys import group_key, identity_key, join_key
from compute.operators.linear import projection
from core.rows import Row
from expr.compile import compile_predicate, compile_row
from expr.relation import Join, JoinKind, OuterJoin
from expr.scalar import ColumnRef, EvaluationContext, Scalar

Predicate = Callable[[Row], bool]


def appended(edge: Edge, scalars: tuple[Scalar, ...], context: EvaluationContext) -> Edge:
    """The edge with scalars appended to its rows."""
    types = edge.types + tuple(scalar.type for scalar in scalars)

    def make() -> RowsNode:
        return RowsNode(None, appending(compile_row(scalars, context)))

    return edge.dataflow.derive(edge, ("append", scalars), make, types)


# Inner joins --------------------------------------------------------------------------------------


def build_join(
    dataflow: Dataflow, relation: Join, edges: Sequence[Edge], context: EvaluationContext
) -> Edge:
    """The inner join of `edges`."""
    types = tuple(t for edge in edges for t in edge.types)
    if not edges:
        return dataflow.add(ConstantNode([((), 1)]), (), types)
    keys = join_keys(relation, [len(edge.types) for edge in edges])
    sides = [_side(edge, key, context) for edge, key in zip(edges, keys, strict=True)]
    widths = [len(edge.types) for edge in edges]
    paths = tuple(_path(sides, keys, widths, first) for first in range(len(sides)))
    return dataflow.add(JoinNode(paths), [dataflow.changes_of(side) for side in sides], types)


def _side(edge: Edge, keys: InputKeys, context: EvaluationContext) -> Edge:
    if keys.appended:
        edge = appended(edge, keys.appended, context)
    for places in keys.equal:
        make = partial(RowsNode, all_equal(places), None)
        edge = edge.dataflow.derive(edge, ("equal", places), make, edge.types)
    return edge


def _path(
    sides: Sequence[Edge],
    keys: Sequence[InputKeys],
    widths: Sequence[int],
    first: int,
) -> Path:
    """The lookups that a change of input `first` makes: each time the input that shares the most
    equivalences with those already joined."""
    bound: dict[int, Place] = dict(keys[first].positions)
    order, starts, total = [first], {first: 0}, len(sides[first].types)
    lookups: list[Lookup] = []
    left = [index for index in range(len(sides)) if index != first]
    while left:
        chosen = max(left, key=lambda i: (len(_shared(keys[i], bound)), -i))
        left.remove(chosen)
        shared = _shared(keys[chosen], bound)
        own = dict(keys[chosen].positions)
        arrangement = _arranged(sides[chosen], tuple(own[number] for number in shared))
        key = _places_key(tuple(bound[number] for number in shared))
        lookups.append(Lookup(arrangement, key, sees_staged=chosen < first))
        for number, (position, sql_type) in own.items():
            bound.setdefault(number, (total + position, sql_type))
        starts[chosen] = total
        total += len(sides[chosen].types)
        order.append(chosen)
    outputs = tuple(
        starts[index] + column for index, width in enumerate(widths) for column in range(width)
    )
    is_identity = outputs == tuple(range(total))
    return Path(tuple(lookups), None if is_identity else projection(outputs))


def _shared(keys: InputKeys, bound: dict[int, Place]) -> list[int]:
    return [number for number, _ in keys.positions if number in bound]


def _places_key(places: tuple[Place, ...]) -> Callable[[Row], object]:
    return join_key(places) if places else group_key(())


def _arranged(edge: Edge, places: tuple[Place, ...]) -> Arrangement:
    """`edge` by the columns at `places`, in the dataflow that it belongs to."""
    identity = identity_key(edge.types)
    return edge.dataflow.arrange(edge, places, _places_key(places), identity, skips_null=True)


# Joins that are not inner -------------------------------------------------------------------------


def build_outer_join(
    dataflow: Dataflow, relation: OuterJoin, left: Edge, right: Edge, context: EvaluationContext
) -> Edge:
    """LEFT, FULL, SEMI or ANTI join of two edges."""
    return _OuterJoinBuilder(dataflow, relation, left, right, context).build()


class _OuterJoinBuilder:
    """Key scalars that are not columns are appended to both sides first, and cut off at the end."""

    def __init__(
        self,
        dataflow: Dataflow,
        relation: OuterJoin,
        left: Edge,
        right: Edge,
        context: EvaluationContext,
    ) -> None:
        self._dataflow = dataflow
        self._relation = relation
        self._widths = len(left.types), len(right.types)
        self._left, self._left_places = _keyed(
            dataflow, left, [pair[0] for pair in relation.keys], context
        )
        self._right, self._right_places = _keyed(
            dataflow, right, [pair[1] for pair in relation.keys], context
        )
        self._residual: Predicate | None = None
        if relation.residual is not None:
            moved_by = len(self._left.types) - len(left.types)
            place = partial(_moved_right, first=len(left.types), by=moved_by)
            residual = rewritten(relation.residual, place)
            self._residual = compile_predicate((residual,), context)

    def build(self) -> Edge:
        match self._relation.kind:
            case JoinKind.SEMI:
                return self._left_columns(self._matched(keeps_matched=True))
            case JoinKind.ANTI if self._relation.null_aware:
                return self._left_columns(self._not_in())
            case JoinKind.ANTI:
                return self._left_columns(self._matched(keeps_matched=False))
            case JoinKind.LEFT | JoinKind.FULL as kind:
                parts = [self._inner(), self._padded_left()]
                if kind is JoinKind.FULL:
                    parts.append(self._padded_right())
                return self._dataflow.add(UnionNode(), parts, parts[0].types)

    def _inner(self) -> Edge:
        left, right = self._left, self._right
        left_key, right_key = _places_key(self._left_places), _places_key(self._right_places)
        swap = _swapped(len(right.types))
        paths = (
            Path((Lookup(self._arranged_right(), left_key, sees_staged=False),), None),
            Path((Lookup(self._arranged_left(), right_key, sees_staged=True),), swap),
        )
        types = left.types + right.types
        edge = self._dataflow.add(JoinNode(paths), (left, right), types)
        if self._residual is not None:
            edge = self._dataflow.add(RowsNode(self._residual, None), (edge,), types)
        left_width, right_width = self._widths
        start = len(left.types)
        return self._projected(edge, (*range(left_width), *range(start, start + right_width)))

    def _padded_left(self) -> Edge:
        edge = self._left_columns(self._matched(keeps_matched=False))
        nulls = (None,) * self._widths[1]
        types = edge.types + self._right.types[: self._widths[1]]
        return self._dataflow.add(RowsNode(None, lambda row: row + nulls), (edge,), types)

    def _padded_right(self) -> Edge:
        right, width = self._right, self._widths[1]
        edge = self._unmatched_right()
        nulls = (None,) * self._widths[0]
        types = self._left.types[: self._widths[0]] + right.types[:width]
        return self._dataflow.add(RowsNode(None, lambda row: nulls + row[:width]), (edge,), types)

    def _matched(self, *, keeps_matched: bool) -> Edge:
        left, right = self._left, self._right
        node: Node
        if self._residual is None:
            right_key = _places_key(self._right_places)
            node = MatchByKeyNode(self._arranged_left(), right_key, keeps_matched)
        else:
            node = MatchByRowNode(
                self._arranged_left(),
                self._arranged_right(),
                self._residual,
                add,
                identity_key(left.types),
                keeps_matched,
            )
        return self._dataflow.add(node, (left, right), left.types)

    def _unmatched_right(self) -> Edge:
        left, right = self._left, self._right
        node: Node
        if self._residual is None:
            left_key = _places_key(self._left_places)
            node = MatchByKeyNode(self._arranged_right(), left_key, keeps_matched=False)
        else:
            node = MatchByRowNode(
                self._arranged_right(),
                self._arranged_left(),
                self._residual,
                lambda row, other: other + row,
                identity_key(right.types),
                keeps_matched=False,
            )
        return self._dataflow.add(node, (right, left), right.types)

    def _not_in(self) -> Edge:
        left, right = self._left, self._right
        node: Node
        if self._residual is None and len(self._left_places) == 1:
            key = group_key(self._left_places)
            arrangement = self._dataflow.arrange(
                left,
                ("nullable", self._left_places),
                key,
                identity_key(left.types),
                skips_null=False,
            )
            node = NotInNode(arrangement, group_key(self._right_places))
        else:
            node = MatchByRowNode(
                _arranged(left, ()),
                _arranged(right, ()),
                self._is_not_false(),
                add,
                identity_key(left.types),
                keeps_matched=False,
            )
        return self._dataflow.add(node, (left, right), left.types)

    def _is_not_false(self) -> Predicate:
        """Whether NOT IN's comparison of a left with a right row is true or null."""
        width, residual = len(self._left.types), self._residual
        pairs = [
            (group_key((own,)), group_key(((width + other[0], other[1]),)))
            for own, other in zip(self._left_places, self._right_places, strict=True)
        ]

        def test(row: Row) -> bool:
            for own, other in pairs:
                a, b = own(row), other(row)
                if a is not None and b is not None and a != b:
                    return False
            return residual is None or residual(row)

        return test

    def _arranged_left(self) -> Arrangement:
        return _arranged(self._left, self._left_places)

    def _arranged_right(self) -> Arrangement:
        return _arranged(self._right, self._right_places)

    def _left_columns(self, edge: Edge) -> Edge:
        return self._projected(edge, tuple(range(self._widths[0])))

    def _projected(self, edge: Edge, outputs: tuple[int, ...]) -> Edge:
        if len(outputs) == len(edge.types):
            return edge
        types = tuple(edge.types[column] for column in outputs)
        return self._dataflow.add(RowsNode(None, projection(outputs)), (edge,), types)


def _keyed(
    dataflow: Dataflow, edge: Edge, scalars: Sequence[Scalar], context: EvaluationContext
) -> tuple[Edge, tuple[Place, ...]]:
    """The edge with those scalars appended that are not columns, in `dataflow`, and where each
    scalar stands."""
    computed = tuple(scalar for scalar in scalars if not isinstance(scalar, ColumnRef))
    width = len(edge.types)
    places: list[Place] = []
    for scalar in scalars:
        if isinstance(scalar, ColumnRef):
            places.append((scalar.index, scalar.type))
        else:
            places.append((width, scalar.type))
            width += 1
    if computed:
        edge = appended(edge, computed, context)
    return dataflow.local(edge), tuple(places)


def _moved_right(column: int, first: int, by: int) -> int:
    return column + by if column >= first else column


def _swapped(width: int) -> Callable[[Row], Row]:
    """Puts what follows the first `width` columns before them."""
    return lambda row: row[width:] + row[:width]
