"""Relations as indented text, in the manner of Materialize."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final, NamedTuple

from core.ids import GlobalId
from core.rows import codec_for
from core.sql_types import SqlType
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
)
from expr.scalar import ColumnRef
from sql.catalog_view import CatalogView
from sql.optimizer.lookups import joined_sides
from sql.scalar_text import (
    aggregate_text,
    call_name,
    columns_text,
    operand_text,
    orders_text,
    scalar_text,
    scalars_text,
    value_text,
)

_MAX_CONSTANT_ROWS: Final = 20
_UNIT_ROWS: Final = ((b"\x90", 1),)

LOOKUP: Final = "lookup"
FULL_SCAN: Final = "*** full scan ***"
JOINED: Final = "differential join"  # a query scans after all if the other side is not small

Note = Callable[[int], str]


class PlanNode(NamedTuple):
    """A node as it is shown; `number` is its place among all nodes, each before its inputs. What an
    input says may be part of the head, so that the input is not shown."""

    number: int
    head: str
    details: tuple[str, ...]
    inputs: tuple["PlanNode", ...]
    used: tuple[GlobalId, str] | None = None  # an index that is read, and how


def item_name(id: GlobalId, catalog: CatalogView) -> str:
    """The full name of an item."""
    try:
        name = catalog.item(id).name
    except KeyError:
        return id
    return ".".join(part for part in (name.database, name.schema, name.item) if part)


def plan_tree(
    relation: Relation, catalog: CatalogView, indexes: Iterable[tuple[GlobalId, GlobalId]] = ()
) -> PlanNode:
    """The nodes of a relation; `indexes` are pairs (collection, index) of those that are read from
    one."""
    return _Writer(catalog, dict(indexes)).node(relation)


def tree_lines(tree: PlanNode, depth: int = 0, note: Note | None = None) -> Iterator[str]:
    """The tree as lines, each node's with what `note` has to say of its number."""
    said = "" if note is None else note(tree.number)
    yield "  " * depth + tree.head + said
    for detail in tree.details:
        yield "  " * (depth + 1) + detail
    for part in tree.inputs:
        yield from tree_lines(part, depth + 1, note)


class _Writer:
    """Numbers the nodes of one relation."""

    def __init__(self, catalog: CatalogView, indexes: dict[GlobalId, GlobalId]) -> None:
        self._catalog = catalog
        self._indexes = indexes
        self._numbers = count()

    def node(self, relation: Relation, *, is_joined: bool = False) -> PlanNode:
        """`is_joined`: a join may look up what the relation is made of."""
        number = next(self._numbers)
        inputs = self._inputs(relation, is_joined)
        match relation:
            case Constant():
                head = "Constant" if relation.rows else "Constant <empty>"
                return PlanNode(number, head, _rows(relation), ())
            case Get(id=id) if id in self._indexes:
                index = self._indexes[id]
                how = JOINED if is_joined else FULL_SCAN
                head = self._read_index(id, index, how)
                return PlanNode(number, head, (), (), (index, how))
            case Get(id=id):
                return PlanNode(number, f"ReadStorage {item_name(id, self._catalog)}", (), ())
            case Lookup(id=id, index=index):
                values, is_whole = _looked_up(relation)
                head = self._read_index(id, index, values)
                return PlanNode(number, head, (), () if is_whole else inputs, (index, LOOKUP))
            case _:
                return PlanNode(number, _head(relation), (), inputs)

    def _inputs(self, relation: Relation, is_joined: bool) -> tuple[PlanNode, ...]:
        passes = is_joined and isinstance(relation, Project | Map | Filter)
        joined = {
            place for place, id, columns in joined_sides(relation) if self._has_key(id, columns)
        }
        return tuple(
            self.node(part, is_joined=passes or place in joined)
            for place, part in enumerate(children(relation))
        )

    def _has_key(self, id: GlobalId, columns: frozenset[int]) -> bool:
        """Whether the key of the collection's index is of these columns."""
        index = self._indexes.get(id)
        key = () if index is None else self._catalog.item(index).index_key
        return bool(key) and all(isinstance(k, int) and k - 1 in columns for k in key)

    def _read_index(self, id: GlobalId, index: GlobalId, how: str) -> str:
        name = self._catalog.item(index).name.item
        return f"ReadIndex on={item_name(id, self._catalog)} {name}=[{how}]"


def _looked_up(lookup: Lookup) -> tuple[str, bool]:
    """What is looked up, and whether that says all of the lookup's input."""
    key = lookup.key
    if isinstance(lookup.input, Constant):
        if lookup.input.rows == _UNIT_ROWS:
            return f"lookup value=({scalars_text(key)})", True
        if key == tuple(ColumnRef(i, t) for i, t in enumerate(lookup.input.types)):
            rows = [row.removeprefix("- ") for row in _rows(lookup.input)]
            return f"lookup values=[{'; '.join(rows)}]", True
    return f"lookup value=({scalars_text(key)})", False


def _rows(relation: Constant) -> tuple[str, ...]:
    shown = tuple(
        "- " + _row(data, copies, relation.types)
        for data, copies in relation.rows[:_MAX_CONSTANT_ROWS]
    )
    if len(relation.rows) > _MAX_CONSTANT_ROWS:
        return (*shown, f"… {len(relation.rows)} rows in all")
    return shown


def _head(node: Relation) -> str:
    match node:
        case LocalGet(id=id):
            return f"Get l{id}"
        case Let(id=id):
            return f"With l{id} (value, then body)"
        case Recursion(id=id, is_distinct=is_distinct):
            union = "Union" if is_distinct else "UnionAll"
            return f"Recursive{union} l{id} (base, then step)"
        case Fixpoint(ids=ids, limit=limit, returns_at_limit=returns):
            names = ", ".join(f"l{id}" for id in ids)
            action = ", return_at_limit" if returns else ""
            bound = "" if limit is None else f" [recursion_limit={limit}{action}]"
            return f"WithMutuallyRecursive{bound} {names} (values, then body)"
        case Project(outputs=outputs):
            return f"Project ({columns_text(outputs)})"
        case Map(scalars=scalars):
            return f"Map ({scalars_text(scalars)})"
        case Filter(predicates=predicates):
            return "Filter " + " AND ".join(operand_text(p) for p in predicates)
        case FlatMap(function=function, args=args, ordinality=ordinality):
            suffix = " with_ordinality" if ordinality else ""
            return f"FlatMap {call_name(function)}({scalars_text(args)}){suffix}"
        case Join(equivalences=equivalences):
            if not equivalences:
                return "CrossJoin"
            classes = (" = ".join(map(scalar_text, members)) for members in equivalences)
            return f"Join on=({' AND '.join(classes)})"
        case OuterJoin():
            return _outer_head(node)
        case Reduce(group_key=keys, aggregates=aggregates):
            if not aggregates:
                return f"Distinct group_by=[{scalars_text(keys)}]"
            shown = ", ".join(map(aggregate_text, aggregates))
            return f"Reduce group_by=[{scalars_text(keys)}] aggregates=[{shown}]"
        case TopK(group_key=key, order_by=orders, limit=limit, offset=offset):
            return (
                f"TopK group_by=[{columns_text(key)}] order_by=[{orders_text(orders)}]"
                + ("" if limit is None else f" limit={limit}")
                + (f" offset={offset}" if offset else "")
            )
        case Window(partition_by=partition_by, functions=functions):
            calls = ", ".join(f"{call_name(f.function)}({scalars_text(f.args)})" for f in functions)
            return f"Window partition_by=[{scalars_text(partition_by)}] functions=[{calls}]"
        case Union():
            return "Union"
        case Negate():
            return "Negate"
        case Threshold():
            return "Threshold"
        case CardinalityCheck(group_key=key):
            return f"CardinalityCheck group_by=[{columns_text(key)}]"
        case Constant() | Get() | Lookup():
            raise AssertionError("shown with names")


def _outer_head(node: OuterJoin) -> str:
    pairs = " AND ".join(f"{scalar_text(a)} = right.{scalar_text(b)}" for a, b in node.keys)
    residual = "" if node.residual is None else f" residual={scalar_text(node.residual)}"
    null_aware = " null_aware" if node.null_aware else ""
    return f"{node.kind.value.title()}Join on=({pairs}){residual}{null_aware}"


def _row(data: bytes, copies: int, types: tuple[SqlType, ...]) -> str:
    values = codec_for(tuple(t.base for t in types)).decode(data)
    shown = ", ".join(value_text(v, t) for v, t in zip(values, types, strict=True))
    return f"({shown})" + (f" x {copies}" if copies != 1 else "")
