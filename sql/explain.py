"""EXPLAIN: relations as indented text, columns as `#0`, in the manner of Materialize."""

from collections.abc import Iterable

from core.rows import codec_for
from core.sql_types import SqlType
from expr.relation import (
    Aggregate,
    CardinalityCheck,
    ColumnOrder,
    Constant,
    Filter,
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
from expr.scalar import (
    And,
    Call,
    Case,
    Coalesce,
    ColumnRef,
    EvaluationContext,
    Literal,
    Or,
    Parameter,
    Scalar,
)
from expr.text_format import text_output
from sql.catalog_view import CatalogView
from sql.plan import Query

_MAX_CONSTANT_ROWS = 20
_DEFAULTS = EvaluationContext()


def explain_query(query: Query, catalog: CatalogView) -> tuple[str, ...]:
    """The lines that show a query: its finishing, then its relation."""
    finishing = query.finishing
    parts = []
    if finishing.order_by:
        parts.append(f"order_by=[{_orders(finishing.order_by)}]")
    if finishing.limit is not None:
        parts.append(f"limit={finishing.limit}")
    if query.limit_expression is not None:
        parts.append(f"limit={scalar_text(query.limit_expression)}")
    if finishing.offset:
        parts.append(f"offset={finishing.offset}")
    if finishing.project is not None:
        parts.append(f"output=[{_columns(finishing.project)}]")
    body = explain_raw(query.relation, catalog)
    if not parts:
        return body
    return (f"Finish {' '.join(parts)}", *(f"  {line}" for line in body))


def explain_raw(relation: Relation, catalog: CatalogView) -> tuple[str, ...]:
    """The lines that show a relation."""
    lines: list[str] = []
    _write(relation, 0, lines, catalog)
    return tuple(lines)


def _write(node: Relation, depth: int, lines: list[str], catalog: CatalogView) -> None:
    lines.append("  " * depth + _head(node, catalog))
    if isinstance(node, Constant):
        for data, count in node.rows[:_MAX_CONSTANT_ROWS]:
            lines.append("  " * (depth + 1) + "- " + _row(data, count, node.types))
        if len(node.rows) > _MAX_CONSTANT_ROWS:
            lines.append("  " * (depth + 1) + f"… {len(node.rows)} rows in all")
    for part in children(node):
        _write(part, depth + 1, lines, catalog)


def _head(node: Relation, catalog: CatalogView) -> str:
    match node:
        case Constant(rows=rows):
            return "Constant" if rows else "Constant <empty>"
        case Get(id=id):
            return f"ReadStorage {_name(id, catalog)}"
        case Lookup(id=id, index=index, key=key):
            on = f"{_name(id, catalog)} {_name(index, catalog)}"
            return f"ReadIndex on={on}=[lookup value=({_scalars(key)})]"
        case LocalGet(id=id):
            return f"Get l{id}"
        case Let(id=id):
            return f"With l{id} (value, then body)"
        case Recursion(id=id, is_distinct=is_distinct):
            union = "Union" if is_distinct else "UnionAll"
            return f"Recursive{union} l{id} (base, then step)"
        case Project(outputs=outputs):
            return f"Project ({_columns(outputs)})"
        case Map(scalars=scalars):
            return f"Map ({_scalars(scalars)})"
        case Filter(predicates=predicates):
            return "Filter " + " AND ".join(_operand(p) for p in predicates)
        case FlatMap(function=function, args=args, ordinality=ordinality):
            suffix = " with_ordinality" if ordinality else ""
            return f"FlatMap {_call_name(function)}({_scalars(args)}){suffix}"
        case Join(equivalences=equivalences):
            if not equivalences:
                return "CrossJoin"
            classes = (" = ".join(map(scalar_text, members)) for members in equivalences)
            return f"Join on=({' AND '.join(classes)})"
        case OuterJoin():
            return _outer_head(node)
        case Reduce(group_key=keys, aggregates=aggregates):
            if not aggregates:
                return f"Distinct group_by=[{_scalars(keys)}]"
            shown = ", ".join(map(_aggregate, aggregates))
            return f"Reduce group_by=[{_scalars(keys)}] aggregates=[{shown}]"
        case TopK(group_key=key, order_by=orders, limit=limit, offset=offset):
            return (
                f"TopK group_by=[{_columns(key)}] order_by=[{_orders(orders)}]"
                + ("" if limit is None else f" limit={limit}")
                + (f" offset={offset}" if offset else "")
            )
        case Window(partition_by=partition_by, functions=functions):
            calls = ", ".join(f"{_call_name(f.function)}({_scalars(f.args)})" for f in functions)
            return f"Window partition_by=[{_scalars(partition_by)}] functions=[{calls}]"
        case Union():
            return "Union"
        case Negate():
            return "Negate"
        case Threshold():
            return "Threshold"
        case CardinalityCheck(group_key=key):
            return f"CardinalityCheck group_by=[{_columns(key)}]"


def _outer_head(node: OuterJoin) -> str:
    pairs = " AND ".join(f"{scalar_text(a)} = right.{scalar_text(b)}" for a, b in node.keys)
    residual = "" if node.residual is None else f" residual={scalar_text(node.residual)}"
    null_aware = " null_aware" if node.null_aware else ""
    return f"{node.kind.value.title()}Join on=({pairs}){residual}{null_aware}"


def _name(id: str, catalog: CatalogView) -> str:
    from core.ids import GlobalId

    try:
        name = catalog.item(GlobalId(id)).name
    except KeyError:
        return id
    return ".".join(part for part in (name.database, name.schema, name.item) if part)


def _row(data: bytes, count: int, types: tuple[SqlType, ...]) -> str:
    values = codec_for(tuple(t.base for t in types)).decode(data)
    shown = ", ".join(_value(v, t) for v, t in zip(values, types, strict=True))
    return f"({shown})" + (f" x {count}" if count != 1 else "")


def _value(value: object, sql_type: SqlType) -> str:
    if value is None:
        return "null"
    text = text_output(sql_type, _DEFAULTS)(value)
    return text if sql_type.info.category in "NB" else f'"{text}"'


def _columns(outputs: Iterable[int]) -> str:
    return ", ".join(f"#{index}" for index in outputs)


def _orders(orders: tuple[ColumnOrder, ...]) -> str:
    return ", ".join(
        f"#{o.column} {'desc' if o.descending else 'asc'} "
        f"nulls_{'last' if o.nulls_last else 'first'}"
        for o in orders
    )


def _scalars(scalars: Iterable[Scalar]) -> str:
    return ", ".join(map(scalar_text, scalars))


def _aggregate(aggregate: Aggregate) -> str:
    distinct = "distinct " if aggregate.distinct else ""
    args = _scalars(aggregate.args) if aggregate.args else "*"
    order = ""
    if aggregate.order_by:
        order = (
            " order_by=["
            + ", ".join(
                f"{scalar_text(o.scalar)} {'desc' if o.descending else 'asc'}"
                for o in aggregate.order_by
            )
            + "]"
        )
    condition = "" if aggregate.filter is None else f" filter={scalar_text(aggregate.filter)}"
    return f"{_call_name(aggregate.function)}({distinct}{args}){order}{condition}"


def _call_name(function: str) -> str:
    return function.partition("(")[0]


def scalar_text(scalar: Scalar) -> str:
    """A scalar as EXPLAIN shows it."""
    match scalar:
        case ColumnRef(index=index):
            return f"#{index}"
        case Literal(type=sql_type):
            return _value(scalar.value, sql_type)
        case Parameter(index=index):
            return f"${index}"
        case Call():
            return _call(scalar)
        case And(args=args):
            return " AND ".join(map(_operand, args))
        case Or(args=args):
            return " OR ".join(map(_operand, args))
        case Coalesce(args=args):
            return f"coalesce({_scalars(args)})"
        case Case(branches=branches, otherwise=otherwise):
            shown = " ".join(
                f"when {scalar_text(test)} then {scalar_text(result)}" for test, result in branches
            )
            return f"case {shown} else {scalar_text(otherwise)} end"


def _operand(scalar: Scalar) -> str:
    text = scalar_text(scalar)
    is_operation = isinstance(scalar, (And, Or)) or (
        isinstance(scalar, Call) and not scalar.function[0].isalpha()
    )
    return f"({text})" if is_operation else text


def _call(call: Call) -> str:
    name = _call_name(call.function)
    if name == "cast":
        return f"{_operand(call.args[0])}::{call.type.info.sql_name}"
    if name == "is_null":
        return f"{_operand(call.args[0])} IS NULL"
    if name and not name[0].isalpha():
        if len(call.args) == 1:
            return f"{name}{_operand(call.args[0])}"
        return f"{_operand(call.args[0])} {name} {_operand(call.args[1])}"
    return f"{name}({_scalars(call.args)})"
