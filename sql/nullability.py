"""Which columns of a relation may hold nulls, as far as it can be told cheaply."""

from collections.abc import Mapping, Sequence

from core.rows import codec_for
from expr.registry import function_by_id
from expr.relation import (
    CardinalityCheck,
    Constant,
    Filter,
    Fixpoint,
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
    Recursion,
    Reduce,
    Relation,
    Threshold,
    TopK,
    Union,
    Window,
    column_types,
)
from expr.scalar import And, Call, Case, Coalesce, ColumnRef, Literal, Or, Scalar

_NEVER_NULL = frozenset(
    {
        "is_null(any)",
        "is_not_null(any)",
        "is_true(bool)",
        "is_not_true(bool)",
        "is_false(bool)",
        "is_not_false(bool)",
        "is_distinct_from(anycompatible,anycompatible)",
        "is_not_distinct_from(anycompatible,anycompatible)",
        "array_of(anycompatible)",
        "row_of(any)",
    }
)
_STRICT_TOTAL = ("+(", "-(", "*(", "=(", "<>(", "<(", "<=(", ">(", ">=(", "not(")


def nullable_columns(
    relation: Relation, collections: Mapping[str, Sequence[bool]]
) -> tuple[bool, ...]:
    """For each column whether it may be null; `collections` tells of stored ones."""
    return _columns(relation, collections, {})


def _columns(
    relation: Relation,
    collections: Mapping[str, Sequence[bool]],
    local: dict[int, tuple[bool, ...]],
) -> tuple[bool, ...]:
    match relation:
        case Constant(rows=rows, types=types):
            if len(rows) > 64:
                return (True,) * len(types)
            decode = codec_for(tuple(t.base for t in types)).decode
            values = [decode(data) for data, _ in rows]
            return tuple(any(row[i] is None for row in values) for i in range(len(types)))
        case Get(id=id, types=types):
            return tuple(collections.get(id, (True,) * len(types)))
        case LocalGet(id=id, types=types):
            return local.get(id, (True,) * len(types))
        case Let(id=id, value=value, body=body):
            inner = {**local, id: _columns(value, collections, local)}
            return _columns(body, collections, inner)
        case Recursion():
            return (True,) * len(column_types(relation))
        case Fixpoint(body=body):
            return _columns(body, collections, local)
        case Project(input=source, outputs=outputs):
            below = _columns(source, collections, local)
            return tuple(below[index] for index in outputs)
        case Map(input=source, scalars=scalars):
            result = list(_columns(source, collections, local))
            for scalar in scalars:
                result.append(is_nullable(scalar, result))
            return tuple(result)
        case Filter(input=source, predicates=predicates):
            found = list(_columns(source, collections, local))
            for predicate in predicates:
                for index in rejected_nulls(predicate):
                    found[index] = False
            return tuple(found)
        case Join(inputs=inputs, equivalences=equivalences):
            joined = [n for part in inputs for n in _columns(part, collections, local)]
            for equivalence in equivalences:
                for scalar in equivalence:
                    if isinstance(scalar, ColumnRef):
                        joined[scalar.index] = False
            return tuple(joined)
        case OuterJoin(kind=kind, left=left, right=right):
            lefts = _columns(left, collections, local)
            if kind in (JoinKind.SEMI, JoinKind.ANTI):
                return lefts
            rights = (True,) * len(column_types(right))
            return (lefts if kind is JoinKind.LEFT else (True,) * len(lefts)) + rights
        case Reduce(input=source, group_key=keys, aggregates=aggregates):
            below = _columns(source, collections, local)
            return (
                *(is_nullable(key, below) for key in keys),
                *(not a.function.startswith("count(") for a in aggregates),
            )
        case Union(inputs=inputs):
            parts = [_columns(part, collections, local) for part in inputs]
            return tuple(any(flags) for flags in zip(*parts, strict=True))
        case FlatMap(input=source) | Lookup(input=source) | Window(input=source):
            below = _columns(source, collections, local)
            return below + (True,) * (len(column_types(relation)) - len(below))
        case (
            TopK(input=source)
            | Negate(input=source)
            | Threshold(input=source)
            | CardinalityCheck(input=source)
        ):
            return _columns(source, collections, local)


def is_nullable(scalar: Scalar, columns: Sequence[bool]) -> bool:
    """Whether `scalar` may be null on rows whose columns may be null as told."""
    match scalar:
        case ColumnRef(index=index):
            return columns[index]
        case Literal():
            return scalar.is_null
        case Call(function=function, args=args):
            if function in _NEVER_NULL:
                return False
            if function.startswith(_STRICT_TOTAL):
                return any(is_nullable(arg, columns) for arg in args)
            return True
        case And(args=args) | Or(args=args):
            return any(is_nullable(arg, columns) for arg in args)
        case Coalesce(args=args):
            return all(is_nullable(arg, columns) for arg in args)
        case Case(branches=branches, otherwise=otherwise):
            return is_nullable(otherwise, columns) or any(
                is_nullable(result, columns) for _, result in branches
            )
        case _:
            return True


def rejected_nulls(predicate: Scalar) -> set[int]:
    """Columns that are certainly not null in rows for which `predicate` is true."""
    match predicate:
        case And(args=args):
            return set().union(*(rejected_nulls(arg) for arg in args))
        case Or(args=args):
            sets = [rejected_nulls(arg) for arg in args]
            return set.intersection(*sets)
        case Call(function="not(bool)", args=(Call(function="is_null(any)", args=(arg,)),)):
            return null_propagating(arg)
        case Call(function="is_not_null(any)" | "is_true(bool)", args=(arg,)):
            return null_propagating(arg)
        case _:
            return null_propagating(predicate)


def null_propagating(scalar: Scalar) -> set[int]:
    """Columns whose being null makes `scalar` null."""
    match scalar:
        case ColumnRef(index=index):
            return {index}
        case Call(function=function, args=args) if _is_strict(function):
            return set().union(*(null_propagating(arg) for arg in args)) if args else set()
        case _:
            return set()


def _is_strict(function: str) -> bool:
    try:
        return function_by_id(function).strict
    except KeyError:
        return False
