"""Inner joins as dataflow nodes: for each input a path of lookups through the others.

An input that another dataflow of the replica has arranged by the keys that the paths need is looked
up there, with the projection and the filters that the join wants of it applied to what is found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

from compute.columns import rewritten
from compute.compiled import all_equal
from compute.dataflow.chain import RowFunction, RowStage, linear_steps, row_function, stages
from compute.dataflow.graph import Dataflow, Edge
from compute.dataflow.imported import ArrangementReader, Importable, Imports
from compute.dataflow.join import JoinNode, Lookup, Path
from compute.dataflow.linear import ConstantNode, RowsNode, ShapeNode
from compute.join_keys import InputKeys, Place, join_keys
from compute.operators.keys import group_key, identity_key, join_key
from core.rows import Row
from core.sql_types import SqlType
from expr.relation import Join, Relation, column_types
from expr.scalar import (
    And,
    Call,
    Case,
    Coalesce,
    ColumnRef,
    EvaluationContext,
    Literal,
    Or,
    Scalar,
    children,
)

# Calls that never fail: comparisons, and casts to a type that has all values of the other.
_SAFE_CALLS: Final = (
    *("=(", "<>(", "<(", "<=(", ">(", ">=(", "is_null(", "is_not_null(", "not("),
    *("cast(int2,int4)", "cast(int2,int8)", "cast(int4,int8)", "cast(varchar,text)"),
    *(
        f"cast({name},{wide})"
        for name in ("int2", "int4", "int8")
        for wide in ("numeric", "float8")
    ),
)


class JoinContext(Protocol):
    """What building a join needs of the builder around it."""

    @property
    def dataflow(self) -> Dataflow: ...

    @property
    def context(self) -> EvaluationContext: ...

    @property
    def imports(self) -> Imports: ...

    def build(self, relation: Relation, depth: int) -> Edge: ...


class PlannedLookup(NamedTuple):
    """A lookup of input `side` by the columns `own` with what stands at `bound`."""

    side: int
    own: tuple[Place, ...]
    bound: tuple[Place, ...]


class PlannedPath(NamedTuple):
    """What a change of input `first` does, and where it puts the join's columns in rows of `width`
    columns."""

    first: int
    lookups: tuple[PlannedLookup, ...]
    outputs: tuple[int, ...]
    width: int


@dataclass(slots=True)
class _Side:
    """An input as the paths see it: the edge of its changes; how to look it up."""

    edge: Edge
    find: Callable[[PlannedLookup], tuple[ArrangementReader, Callable[[Row], object]]]
    stage: RowFunction | None = None  # of what is found


def appended(edge: Edge, scalars: tuple[Scalar, ...], context: EvaluationContext) -> Edge:
    """The edge with scalars appended to its rows."""
    columns = tuple(ColumnRef(index, t) for index, t in enumerate(edge.types))
    types = edge.types + tuple(scalar.type for scalar in scalars)

    def make() -> RowsNode:
        return RowsNode(row_function(RowStage((), columns + scalars), context))

    return edge.dataflow.derive(edge, ("append", scalars), make, types)


def build_join(builder: JoinContext, relation: Join, finish: RowStage | None, depth: int) -> Edge:
    """The inner join, with `finish` applied to its rows."""
    types = column_types(relation)
    finish = RowStage() if finish is None else finish
    finished = types if finish.outputs is None else tuple(s.type for s in finish.outputs)
    if not relation.inputs:
        edge = builder.dataflow.add(ConstantNode([((), 1)]), (), types)
        node = RowsNode(row_function(finish, builder.context))
        return builder.dataflow.add(node, (edge,), finished)
    widths = [len(column_types(part)) for part in relation.inputs]
    keys = join_keys(relation, widths)
    totals = [width + len(key.appended) for width, key in zip(widths, keys, strict=True)]
    planned = [_planned(keys, widths, totals, first) for first in range(len(widths))]
    sides = _Sides(builder, relation, keys, planned).build(depth)
    paths = tuple(_path(path, sides, types, finish, builder.context) for path in planned)
    edges = [builder.dataflow.changes_of(side.edge) for side in sides]
    return builder.dataflow.add(JoinNode(paths), edges, finished)


# Paths


def _planned(
    keys: Sequence[InputKeys], widths: Sequence[int], totals: Sequence[int], first: int
) -> PlannedPath:
    """The path of input `first`: next comes the input that shares the most equivalences with those
    already joined."""
    bound: dict[int, Place] = dict(keys[first].positions)
    starts, total = {first: 0}, totals[first]
    lookups: list[PlannedLookup] = []
    left = [index for index in range(len(keys)) if index != first]
    while left:
        chosen = max(left, key=lambda i: (len(_shared(keys[i], bound)), -i))
        left.remove(chosen)
        shared = _shared(keys[chosen], bound)
        own = dict(keys[chosen].positions)
        lookups.append(
            PlannedLookup(
                chosen,
                tuple(own[number] for number in shared),
                tuple(bound[number] for number in shared),
            )
        )
        for number, (position, sql_type) in own.items():
            bound.setdefault(number, (total + position, sql_type))
        starts[chosen] = total
        total += totals[chosen]
    outputs = [starts[i] + column for i, width in enumerate(widths) for column in range(width)]
    return PlannedPath(first, tuple(lookups), tuple(outputs), total)


def _shared(keys: InputKeys, bound: dict[int, Place]) -> list[int]:
    return [number for number, _ in keys.positions if number in bound]


def _path(
    planned: PlannedPath,
    sides: Sequence[_Side],
    types: tuple[SqlType, ...],
    finish: RowStage,
    context: EvaluationContext,
) -> Path:
    lookups = []
    for lookup in planned.lookups:
        side = sides[lookup.side]
        arrangement, key = side.find(lookup)
        lookups.append(Lookup(arrangement, key, lookup.side < planned.first, side.stage))
    return Path(tuple(lookups), finishing(planned.outputs, planned.width, types, finish, context))


def finishing(
    places: Sequence[int],
    width: int,
    types: Sequence[SqlType],
    finish: RowStage,
    context: EvaluationContext,
) -> RowFunction | None:
    """`finish` of columns of `types` that stand at `places` in the rows of `width` columns that it
    gets; None: those rows are what is wanted."""
    scalars = finish.outputs
    if scalars is None:
        scalars = tuple(ColumnRef(index, t) for index, t in enumerate(types))
        if not finish.predicates and list(places) == list(range(width)):
            return None
    predicates = tuple(rewritten(scalar, places.__getitem__) for scalar in finish.predicates)
    outputs = tuple(rewritten(scalar, places.__getitem__) for scalar in scalars)
    return row_function(RowStage(predicates, outputs), context)


def places_key(places: tuple[Place, ...]) -> Callable[[Row], object]:
    """The join key of these columns; none: all rows have the same."""
    return join_key(places) if places else group_key(())


# Inputs


class _Sides:
    """Builds the inputs of one join."""

    def __init__(
        self,
        builder: JoinContext,
        relation: Join,
        keys: Sequence[InputKeys],
        planned: Sequence[PlannedPath],
    ) -> None:
        self._builder = builder
        self._relation = relation
        self._keys = keys
        self._lookups = [lookup for path in planned for lookup in path.lookups]

    def build(self, depth: int) -> list[_Side]:
        found = [self._importable(index) for index in range(len(self._keys))]
        are_all_imported = all(importables is not None for importables in found)
        sides = []
        for index, importables in enumerate(found):
            if importables is None:
                sides.append(self._own(index, depth))
            else:
                feeds_snapshot = are_all_imported and index == 0
                sides.append(self._imported(index, importables, feeds_snapshot))
        return sides

    def _own(self, index: int, depth: int) -> _Side:
        """An input arranged in this dataflow, or in the one around it that it belongs to."""
        edge = self._builder.build(self._relation.inputs[index], depth)
        keys = self._keys[index]
        if keys.appended:
            edge = appended(edge, keys.appended, self._builder.context)
        for places in keys.equal:
            make = partial(ShapeNode, all_equal(places), None)
            edge = edge.dataflow.derive(edge, ("equal", places), make, edge.types)
        return _Side(edge, partial(_find_own, edge))

    def _importable(self, index: int) -> dict[frozenset[int], Importable] | None:
        """What input `index` is looked up in by each of its keys; None if one is missing."""
        keys, part = self._keys[index], self._relation.inputs[index]
        if keys.appended or keys.equal:
            return None
        steps, base = linear_steps(part)
        stage = _single_stage(stages(steps, column_types(base)))
        if stage is None or not _never_fails(stage):
            return None
        found: dict[frozenset[int], Importable] = {}
        for lookup in self._lookups:
            if lookup.side != index:
                continue
            columns = _base_columns(lookup.own, stage)
            importable = None
            if columns is not None:
                importable = self._builder.imports.find(base, frozenset(columns))
            if importable is None:
                return None
            found[frozenset(columns or ())] = importable
        return found or None

    def _imported(
        self, index: int, importables: dict[frozenset[int], Importable], feeds_snapshot: bool
    ) -> _Side:
        dataflow, context = self._builder.dataflow, self._builder.context
        steps, base = linear_steps(self._relation.inputs[index])
        base_types = column_types(base)
        stage = _single_stage(stages(steps, base_types))
        assert stage is not None
        readers: dict[frozenset[int], ArrangementReader] = {}
        edges: list[Edge] = []
        for columns, importable in importables.items():
            feeds = feeds_snapshot and not edges
            edge, readers[columns] = dataflow.import_arrangement(
                importable, base_types, feeds_snapshot=feeds
            )
            edges.append(edge)
        function = None
        edge = edges[0]
        if stage != RowStage():
            function = row_function(stage, context)
            types = column_types(self._relation.inputs[index])
            edge = dataflow.add(RowsNode(function), (edge,), types)

        def find(lookup: PlannedLookup) -> tuple[ArrangementReader, Callable[[Row], object]]:
            columns = _base_columns(lookup.own, stage)
            assert columns is not None
            bound = dict(zip(columns, lookup.bound, strict=True))
            places = importables[frozenset(columns)].places
            key = places_key(tuple(bound[column] for column, _ in places))
            return readers[frozenset(columns)], key

        return _Side(edge, find, function)


def _find_own(
    edge: Edge, lookup: PlannedLookup
) -> tuple[ArrangementReader, Callable[[Row], object]]:
    """`edge` arranged in the dataflow that it belongs to."""
    key = places_key(lookup.own)
    identity = identity_key(edge.types)
    arrangement = edge.dataflow.arrange(edge, lookup.own, key, identity, skips_null=True)
    return arrangement, places_key(lookup.bound)


def _single_stage(found: Sequence[object]) -> RowStage | None:
    match found:
        case []:
            return RowStage()
        case [RowStage() as stage]:
            return stage
    return None


def _base_columns(own: tuple[Place, ...], stage: RowStage) -> list[int] | None:
    """The columns below `stage` that stand at these places, in their order; None if they are not
    different columns."""
    columns = []
    for position, _ in own:
        if stage.outputs is None:
            columns.append(position)
        else:
            scalar = stage.outputs[position]
            if not isinstance(scalar, ColumnRef):
                return None
            columns.append(scalar.index)
    return columns if columns and len(set(columns)) == len(columns) else None


def _never_fails(stage: RowStage) -> bool:
    """Whether the stage has no error to report: nobody sees all rows of what is imported."""
    return all(map(_is_safe, (*stage.predicates, *(stage.outputs or ()))))


def _is_safe(scalar: Scalar) -> bool:
    match scalar:
        case ColumnRef() | Literal():
            return True
        case And() | Or() | Case() | Coalesce():
            return all(map(_is_safe, children(scalar)))
        case Call(function=function):
            return function.startswith(_SAFE_CALLS) and all(map(_is_safe, children(scalar)))
    return False
