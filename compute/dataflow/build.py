"""From a relation to a dataflow that maintains it.

Nodes come after their inputs, and equal relations are built once. What several operators look up by
the same key is arranged once.
"""

from typing import Final

from compute.compiled import total_order_key
from compute.dataflow.build_inner_join import build_join
from compute.dataflow.build_joins import build_outer_join
from compute.dataflow.build_recursion import as_fixpoint, build_fixpoint
from compute.dataflow.chain import RowStage, Stage, linear_steps, row_function, stages
from compute.dataflow.graph import Dataflow, Edge
from compute.dataflow.imported import NO_IMPORTS, Imports
from compute.dataflow.iteration import Iteration
from compute.dataflow.linear import ConstantNode, FlatMapNode, NegateNode, RowsNode, UnionNode
from compute.dataflow.reduce import ReduceNode
from compute.dataflow.reduce_source import reduce_loops
from compute.dataflow.select_rows import CardinalityCheckNode, ThresholdNode, TopKNode
from compute.dataflow.temporal import TemporalFilterNode
from compute.dataflow.window import WindowNode
from compute.operators.keys import group_key, identity_key
from compute.windows import windowing
from core.errors import STATEMENT_TOO_COMPLEX, SqlError
from core.rows import codec_for
from core.sql_types import INT8
from expr.compile import compile_row
from expr.registry import bind, function_by_id
from expr.relation import (
    CardinalityCheck,
    Constant,
    Filter,
    Fixpoint,
    FlatMap,
    Get,
    Join,
    Let,
    LocalGet,
    Lookup,
    Map,
    Negate,
    OuterJoin,
    Project,
    Recursion,
    Reduce,
    Relation,
    Threshold,
    TopK,
    Union,
    Window,
    children,
    column_types,
)
from expr.scalar import EvaluationContext
from expr.temporal import check_maintainable

MAX_DEPTH: Final = 400


def build(
    relation: Relation, context: EvaluationContext, imports: Imports = NO_IMPORTS
) -> Dataflow:
    """The dataflow of `relation`, which may look up arrangements of `imports`. Raises SqlError
    (54001 for one nested too deeply, 0A000 for a use of `mz_now()` that cannot be maintained)."""
    check_maintainable(relation)
    builder = _Builder(context, imports, Dataflow())
    try:
        builder.dataflow.output = builder.build(relation, 0)
    except RecursionError as error:
        raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded") from error
    return builder.dataflow


class _Builder:
    """Builds one dataflow; knows the values bound around the node at hand."""

    def __init__(
        self,
        context: EvaluationContext,
        imports: Imports,
        dataflow: Dataflow,
        outside: "_Builder | None" = None,
    ) -> None:
        self.dataflow = dataflow
        self.context = context
        self.imports = imports
        self._outside = outside
        self._locals: dict[int, Edge] = {}
        self._varying: set[int] = set()  # of an iteration: the locals that depend on it
        self._built: dict[int, Edge] = {}
        self._shared: dict[Relation, Edge] = {}

    def build(self, relation: Relation, depth: int) -> Edge:
        """The edge of `relation`; equal relations have one."""
        if depth > MAX_DEPTH:
            raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        if self._outside is not None and not self._varies(relation):
            return self._outside.build_once(relation, depth)
        edge = self._shared.get(relation)
        if edge is None:
            edge = self._shared[relation] = self._built_anew(relation, depth)
        return edge

    def _built_anew(self, relation: Relation, depth: int) -> Edge:
        depth += 1
        add = self.dataflow.add
        match relation:
            case Constant():
                return self._constant(relation)
            case Get(id=id, types=types):
                return self.dataflow.source(id, types)
            case LocalGet(id=local_id):
                return self._locals[local_id]
            case Let(id=local_id, value=value, body=body):
                self.bind(local_id, self.build(value, depth))
                return self.build(body, depth)
            case Project() | Map() | Filter():
                return self._chain(relation, depth)
            case FlatMap(input=source):
                return self._flat_map(relation, self.build(source, depth))
            case Join():
                return build_join(self, relation, None, depth)
            case OuterJoin(left=left, right=right):
                sides = self.build(left, depth), self.build(right, depth)
                return build_outer_join(self.dataflow, relation, *sides, self.context)
            case Reduce(input=source):
                return self._reduce(relation, self.build(source, depth))
            case TopK(input=source):
                return self._top_k(relation, self.build(source, depth))
            case Window(input=source):
                return self._window(relation, self.build(source, depth))
            case Recursion():
                return self.build(as_fixpoint(relation), depth)
            case Fixpoint():
                return build_fixpoint(self, relation, depth)
            case Lookup():
                raise AssertionError("maintained relations look nothing up")
            case Union(inputs=inputs):
                edges = [self.build(part, depth) for part in inputs]
                return add(UnionNode(), edges, edges[0].types)
            case Negate(input=source):
                edge = self.build(source, depth)
                return add(NegateNode(), (edge,), edge.types)
            case Threshold(input=source):
                edge = self.build(source, depth)
                return add(ThresholdNode(identity_key(edge.types)), (edge,), edge.types)
            case CardinalityCheck(input=source, group_key=columns):
                edge = self.build(source, depth)
                key = group_key([(column, edge.types[column]) for column in columns])
                return add(CardinalityCheckNode(key), (edge,), edge.types)

    def bind(self, local_id: int, edge: Edge) -> None:
        """From here on `LocalGet(local_id)` is `edge`."""
        if self._outside is not None:
            if edge.dataflow is not self.dataflow:
                self._varying.discard(local_id)
                self._outside.bind(local_id, edge)
                return
            self._varying.add(local_id)
        if self._locals.get(local_id, edge) != edge:
            self._shared.clear()
        self._locals[local_id] = edge

    def within(self, iteration: Iteration) -> "_Builder":
        """A builder into `iteration`, which leaves outside what does not depend on it."""
        return _Builder(self.context, NO_IMPORTS, iteration, self)

    def build_once(self, relation: Relation, depth: int) -> Edge:
        """The same edge for every iteration that asks for this very relation."""
        edge = self._built.get(id(relation))
        if edge is None:
            edge = self._built[id(relation)] = self.build(relation, depth)
        return edge

    def _varies(self, relation: Relation) -> bool:
        """Whether the relation depends on the iteration that is being built."""
        if isinstance(relation, LocalGet):
            return relation.id in self._varying
        return any(map(self._varies, children(relation)))

    def _constant(self, relation: Constant) -> Edge:
        decode = codec_for(tuple(t.base for t in relation.types)).decode
        rows = [(decode(data), diff) for data, diff in relation.rows]
        return self.dataflow.add(ConstantNode(rows), (), relation.types)

    def _chain(self, relation: Relation, depth: int) -> Edge:
        """Project, Map and Filter nodes over anything else; a join makes their rows itself."""
        steps, source = linear_steps(relation)
        found = stages(steps, column_types(source))
        if isinstance(source, Join):
            finish = found[0] if found and isinstance(found[0], RowStage) else None
            found = found if finish is None else found[1:]
            edge = build_join(self, source, finish, depth)
        else:
            edge = self.build(source, depth)
        for stage in found:
            edge = self._stage(stage, edge)
        return edge

    def _stage(self, stage: Stage, edge: Edge) -> Edge:
        dataflow, types = self.dataflow, edge.types
        if isinstance(stage, RowStage):
            if stage.outputs is not None:
                types = tuple(scalar.type for scalar in stage.outputs)
            node = RowsNode(row_function(stage, self.context))
            return dataflow.add(node, (edge,), types)
        timed = TemporalFilterNode(
            tuple(condition.bound for condition in stage),
            compile_row([condition.scalar for condition in stage], self.context),
            identity_key(types),
            dataflow.clock,
        )
        return dataflow.add_timed(timed, (edge,), types)

    def _flat_map(self, relation: FlatMap, edge: Edge) -> Edge:
        args, returned = relation.args, relation.types
        function = function_by_id(relation.function)
        returns = returned[0] if len(returned) == 1 else function.returns
        node = FlatMapNode(
            bind(function, [scalar.type for scalar in args], returns, self.context),
            compile_row(args, self.context),
            function.strict,
            relation.ordinality,
        )
        types = edge.types + returned + ((INT8,) if relation.ordinality else ())
        return self.dataflow.add(node, (edge,), types)

    def _reduce(self, relation: Reduce, edge: Edge) -> Edge:
        node = ReduceNode(reduce_loops(relation, self.context))
        return self.dataflow.add(node, (edge,), column_types(relation))

    def _top_k(self, relation: TopK, edge: Edge) -> Edge:
        types = edge.types
        node = TopKNode(
            group_key([(column, types[column]) for column in relation.group_key]),
            total_order_key(relation.order_by, types),
            identity_key(types),
            relation.limit,
            relation.offset,
        )
        return self.dataflow.add(node, (edge,), types)

    def _window(self, relation: Window, edge: Edge) -> Edge:
        types = edge.types + tuple(function.type for function in relation.functions)
        node = WindowNode(
            windowing(relation, edge.types, self.context),
            identity_key(edge.types),
            identity_key(types),
        )
        return self.dataflow.add(node, (edge,), types)
