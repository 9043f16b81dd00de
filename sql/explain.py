"""EXPLAIN: queries and what is maintained as text or JSON, in the manner of Materialize."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from core.ids import GlobalId
from expr.relation import (
    Constant,
    Filter,
    Get,
    Lookup,
    Map,
    Project,
    Relation,
)
from expr.scalar import Scalar
from sql.catalog_view import CatalogView
from sql.plan import Query
from sql.relation_text import PlanNode, item_name, plan_tree, tree_lines
from sql.scalar_text import columns_text, orders_text, scalar_text, scalars_text

Pairs = Sequence[tuple[GlobalId, GlobalId]]
JsonObject = dict[str, object]


class RunFigures(NamedTuple):
    """What a node, or a query, did when it was run."""

    rows: int
    elapsed_us: int
    most_bytes: int


WHOLE_QUERY: Final = -1
Run = Mapping[int, RunFigures]  # by the numbers of nodes (`sql.relation_text`); or WHOLE_QUERY


def explain_query(
    query: Query, catalog: CatalogView, cluster: str, run: Run | None = None
) -> tuple[str, ...]:
    """The lines that show a query: its relation, the indexes it uses, where it runs, and what came
    of a run."""
    relation = query.relation

    def note(number: int) -> str:
        figures = None if run is None else run.get(number)
        return "" if figures is None else f"  ({_actual(figures)})"

    path = " (fast path)" if _is_fast(relation, query.indexes) else ""
    finish = _finish(query)
    tree = plan_tree(relation, catalog, query.indexes)
    return (
        f"Explained Query{path}:",
        *(() if finish is None else (f"  {finish}",)),
        *tree_lines(tree, 1 if finish is None else 2, note),
        *_footer(tree, catalog, cluster),
        *(() if run is None else _whole(run)),
    )


def explain_query_json(
    query: Query, catalog: CatalogView, cluster: str, run: Run | None = None
) -> str:
    """The same as JSON."""
    tree = plan_tree(query.relation, catalog, query.indexes)
    shown: JsonObject = {
        "plan": _node_json(tree, run or {}),
        "finishing": _finish(query),
        "is_fast_path": _is_fast(query.relation, query.indexes),
        "used_indexes": list(_used(tree, catalog)),
        "target_cluster": cluster,
    }
    if run is not None:
        shown["actual"] = run[WHOLE_QUERY]._asdict()
    return _json(shown)


def explain_relation(relation: Relation, catalog: CatalogView) -> tuple[str, ...]:
    """The lines that show a relation by itself."""
    return tuple(tree_lines(plan_tree(relation, catalog)))


def explain_relation_json(relation: Relation, catalog: CatalogView) -> str:
    """The same as JSON."""
    return _json({"plan": _node_json(plan_tree(relation, catalog), {})})


@dataclass(frozen=True, slots=True)
class MaintainedText:
    """A relation that is, or would be, computed under a name; `cluster` None: nowhere. Rows of an
    index are kept by `key`, and are those of `on`."""

    name: str
    relation: Relation
    indexes: Pairs
    cluster: str | None
    on: str | None = None
    key: tuple[Scalar, ...] = ()

    def arranged(self, on: str, key: tuple[Scalar, ...]) -> "MaintainedText":
        """The same as the rows of an index on `on`."""
        return replace(self, on=on, key=key)


def explain_maintained(text: MaintainedText, catalog: CatalogView) -> tuple[str, ...]:
    """The lines that show what computes a view, or keeps an index."""
    lines = []
    name = text.name
    if text.on is not None:
        lines += [f"{name}:", f"  ArrangeBy keys=[[{scalars_text(text.key)}]]"]
        lines += [f"    ReadGlobalFromSameDataflow {text.on}", ""]
        name = text.on
    lines.append(f"{name}:")
    tree = plan_tree(text.relation, catalog, text.indexes)
    lines += tree_lines(tree, 1)
    lines += _footer(tree, catalog, text.cluster)
    return tuple(lines)


def _footer(tree: PlanNode, catalog: CatalogView, cluster: str | None) -> Iterator[str]:
    used = _used(tree, catalog)
    if used:
        yield ""
        yield "Used Indexes:"
        for name, how in used.items():
            yield f"  - {name} ({', '.join(how)})"
    if cluster is not None:
        yield ""
        yield f"Target cluster: {cluster}"


def _used(tree: PlanNode, catalog: CatalogView) -> dict[str, list[str]]:
    """How each index is used, by name."""
    found: dict[GlobalId, set[str]] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        if node.used is not None:
            index, how = node.used
            found.setdefault(index, set()).add(how)
        stack.extend(node.inputs)
    return {item_name(id, catalog): sorted(how) for id, how in sorted(found.items())}


def _is_fast(relation: Relation, indexes: Pairs) -> bool:
    """Whether rows come from an index, or are constant, with nothing done that keeps any."""
    while isinstance(relation, Project | Map | Filter):
        relation = relation.input
    match relation:
        case Constant():
            return True
        case Get(id=id):
            return id in dict(indexes)
        case Lookup(input=Constant()):
            return True
        case _:
            return False


def _finish(query: Query) -> str | None:
    finishing = query.finishing
    parts = []
    if finishing.order_by:
        parts.append(f"order_by=[{orders_text(finishing.order_by)}]")
    if finishing.limit is not None:
        parts.append(f"limit={finishing.limit}")
    if query.limit_expression is not None:
        parts.append(f"limit={scalar_text(query.limit_expression)}")
    if finishing.offset:
        parts.append(f"offset={finishing.offset}")
    if query.offset_expression is not None:
        parts.append(f"offset={scalar_text(query.offset_expression)}")
    if finishing.project is not None:
        parts.append(f"output=[{columns_text(finishing.project)}]")
    return f"Finish {' '.join(parts)}" if parts else None


def _actual(figures: RunFigures) -> str:
    return (
        f"actual time={figures.elapsed_us / 1000:.3f} ms rows={figures.rows}"
        f" memory={_kilobytes(figures.most_bytes)}"
    )


def _whole(run: Run) -> tuple[str, ...]:
    whole = run[WHOLE_QUERY]
    return (
        "",
        f"Rows: {whole.rows}",
        f"Peak Memory: {_kilobytes(whole.most_bytes)}",
        f"Execution Time: {whole.elapsed_us / 1000:.3f} ms",
    )


def _kilobytes(size_bytes: int) -> str:
    return f"{(size_bytes + 1023) // 1024} kB"


def _node_json(node: PlanNode, run: Run) -> JsonObject:
    shown: JsonObject = {"operator": node.head}
    if node.number in run:
        shown["actual"] = run[node.number]._asdict()
    if node.details:
        shown["details"] = list(node.details)
    if node.inputs:
        shown["inputs"] = [_node_json(part, run) for part in node.inputs]
    return shown


def _json(value: JsonObject) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
