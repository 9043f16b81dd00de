"""Joins that are not inner as dataflow nodes: rows with or without a partner."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import add

from compute.columns import rewritten
from compute.dataflow.arrangement import Arrangement
from compute.dataflow.build_inner_join import appended, finishing, places_key
from compute.dataflow.chain import RowStage
from compute.dataflow.graph import Dataflow, Edge, Node
from compute.dataflow.join import JoinNode, Lookup, Path
from compute.dataflow.linear import ShapeNode, UnionNode
from compute.dataflow.match import MatchByKeyNode, MatchByRowNode, NotInNode
from compute.join_keys import Place
from compute.operators.keys import group_key, identity_key
from compute.operators.linear import projection
from core.rows import Row
from expr.compile import compile_predicate
from expr.relation import JoinKind, OuterJoin
from expr.scalar import ColumnRef, EvaluationContext, Scalar

Predicate = Callable[[Row], bool]


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
        self._context = context
        self._condition: Scalar | None = None
        self._residual: Predicate | None = None
        if relation.residual is not None:
            moved_by = len(self._left.types) - len(left.types)
            place = partial(_moved_right, first=len(left.types), by=moved_by)
            self._condition = rewritten(relation.residual, place)
            self._residual = compile_predicate((self._condition,), context)

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
        left_key, right_key = places_key(self._left_places), places_key(self._right_places)
        types = left.types + right.types
        width, right_width = len(left.types), len(right.types)
        wanted = (*range(self._widths[0]), *range(width, width + self._widths[1]))
        outputs = tuple(ColumnRef(index, types[index]) for index in wanted)
        conditions = () if self._condition is None else (self._condition,)
        finish = partial(
            finishing,
            width=len(types),
            types=types,
            finish=RowStage(conditions, outputs),
            context=self._context,
        )
        exchanged = (*range(right_width, right_width + width), *range(right_width))
        to_right = Lookup(self._arranged_right(), left_key, sees_staged=False)
        to_left = Lookup(self._arranged_left(), right_key, sees_staged=True)
        paths = (
            Path((to_right,), finish(range(len(types)))),
            Path((to_left,), finish(exchanged)),
        )
        kept = tuple(types[index] for index in wanted)
        return self._dataflow.add(JoinNode(paths), (left, right), kept)

    def _padded_left(self) -> Edge:
        edge = self._left_columns(self._matched(keeps_matched=False))
        nulls = (None,) * self._widths[1]
        types = edge.types + self._right.types[: self._widths[1]]
        return self._dataflow.add(ShapeNode(None, lambda row: row + nulls), (edge,), types)

    def _padded_right(self) -> Edge:
        right, width = self._right, self._widths[1]
        edge = self._unmatched_right()
        nulls = (None,) * self._widths[0]
        types = self._left.types[: self._widths[0]] + right.types[:width]
        return self._dataflow.add(ShapeNode(None, lambda row: nulls + row[:width]), (edge,), types)

    def _matched(self, *, keeps_matched: bool) -> Edge:
        left, right = self._left, self._right
        node: Node
        if self._residual is None:
            right_key = places_key(self._right_places)
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
            left_key = places_key(self._left_places)
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
        return self._dataflow.add(ShapeNode(None, projection(outputs)), (edge,), types)


def _arranged(edge: Edge, places: tuple[Place, ...]) -> Arrangement:
    """`edge` by the columns at `places`."""
    identity = identity_key(edge.types)
    return edge.dataflow.arrange(edge, places, places_key(places), identity, skips_null=True)


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
