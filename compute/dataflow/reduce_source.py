"""The loops of a GROUP BY, written out for its keys and aggregates.

A group is a list: the multiplicity of its rows (or, where equal keys may look different, its
`VariedKeyRows`), the row last emitted or None, the error last emitted or None, then for each
aggregate its state, or an accumulator where an aggregate needs one.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from compute.compiled import aggregate_call, row_key
from compute.dataflow.accumulators import Collected, DistinctTotal, VariedKeyRows
from compute.dataflow.updates import Errors, Updates
from compute.operators.accumulators import AggregateCall
from compute.operators.keys import group_key, identity_key, is_exact, same_row
from core.errors import SqlError
from core.rows import Datum
from core.sql_types import SqlType
from expr.compile import compile_row
from expr.relation import Aggregate, Reduce
from expr.scalar import ColumnRef, EvaluationContext, Scalar

Group = list[Any]
Groups = dict[Datum, Group]
FIRST_STATE: Final = 3
CACHE_SIZE: Final = 256


class ReduceLoops(NamedTuple):
    """`take` folds updates into groups and notes which it touched; `refresh` gives what replaces
    the rows last emitted of some of these."""

    take: Callable[[Updates, Groups, Groups, Errors], None]
    refresh: Callable[[Iterable[tuple[Datum, Group]], Groups, Errors], Updates]


def reduce_loops(relation: Reduce, context: EvaluationContext) -> ReduceLoops:
    """The loops of `relation`; they have no state, so equal ones are compiled once."""
    return _compiled(relation.group_key, relation.aggregates, context)


@lru_cache(maxsize=CACHE_SIZE)
def _compiled(
    keys: tuple[Scalar, ...], aggregates: tuple[Aggregate, ...], context: EvaluationContext
) -> ReduceLoops:
    source = _Source(keys, aggregates, context)
    return ReduceLoops(source.take(), source.refresh())


class _Source:
    """Writes the loops; what they use has names in `_names`."""

    def __init__(
        self,
        keys: tuple[Scalar, ...],
        aggregates: tuple[Aggregate, ...],
        context: EvaluationContext,
    ) -> None:
        self._keys = keys
        self._key_types = tuple(scalar.type for scalar in keys)
        self._is_exact = all(map(is_exact, self._key_types))
        types = self._key_types + tuple(a.type for a in aggregates)
        self._identity = identity_key(types)
        self._names: dict[str, Any] = {
            "SqlError": SqlError,
            "key": row_key(keys, group_key, context),
            "key_values": compile_row(keys, context),
            "VariedKeyRows": VariedKeyRows,
            "canonical": identity_key(self._key_types),
            "identity": self._identity,
        }
        self._aggregates = [
            _AggregateSource(number, aggregate, context, self._names)
            for number, aggregate in enumerate(aggregates)
        ]

    def take(self) -> Callable[[Updates, Groups, Groups, Errors], None]:
        arguments = [line for a in self._aggregates for line in a.arguments]
        additions = [line for a in self._aggregates for line in a.additions]
        starts = "".join(f", {a.start}" for a in self._aggregates)
        return self._function(
            "take(updates, groups, touched, errors)",
            "find = groups.get",
            "for r, d in updates:",
            "    try:",
            f"        k = {self._key()}",
            *([] if self._is_exact else ["        v = key_values(r)"]),
            *(f"        {line}" for line in arguments),
            "    except SqlError as error:",
            "        errors.add(error, d)",
            "        continue",
            "    g = find(k)",
            "    if g is None:",
            f"        g = groups[k] = [{self._no_rows()}, None, None{starts}]",
            "    touched[k] = g",
            "    g[0] += d" if self._is_exact else "    g[0].add(v, d)",
            *(f"    {line}" for line in additions),
        )

    def refresh(self) -> Callable[[Iterable[tuple[Datum, Group]], Groups, Errors], Updates]:
        results = "".join(f"{a.result}, " for a in self._aggregates)
        same = "old == new" if self._identity is same_row else "identity(old) == identity(new)"
        return self._function(
            "refresh(items, groups, errors)",
            "out = []",
            "for k, g in items:",
            "    old = g[1]",
            "    if g[2] is not None:",
            "        errors.add(g[2], -1)",
            "        g[2] = None",
            "    if g[0]:",
            "        try:",
            f"            new = ({self._head()}{results})",
            "        except SqlError as error:",
            "            new, g[2] = None, error",
            "            errors.add(error, 1)",
            "    else:",
            "        new = None",
            "        del groups[k]",
            f"    if old is not None and new is not None and {same}:",
            "        continue",
            "    if old is not None:",
            "        out.append((old, -1))",
            "    if new is not None:",
            "        out.append((new, 1))",
            "    g[1] = new",
            "return out",
        )

    def _key(self) -> str:
        return _columns(self._keys, self._key_types) if self._is_exact else "key(r)"

    def _no_rows(self) -> str:
        return "0" if self._is_exact else "VariedKeyRows(canonical)"

    def _head(self) -> str:
        """The key's values in a row, from the key where they are the same."""
        if not self._is_exact:
            return "*g[0].values, "
        return "k, " if len(self._keys) == 1 else "*k, "

    def _function(self, signature: str, *lines: str) -> Callable[..., Any]:
        # The source holds positions and generated names only, never anything from a statement.
        body = "\n".join(f"    {line}" for line in lines)
        exec(compile(f"def {signature}:\n{body}", "<reduce>", "exec"), self._names)  # noqa: S102
        function: Callable[..., Any] = self._names[signature.partition("(")[0]]
        return function


def _columns(scalars: tuple[Scalar, ...], types: tuple[SqlType, ...]) -> str:
    """The source of a group key that consists of columns; else of a call that gives it."""
    if not all(isinstance(scalar, ColumnRef) for scalar in scalars):
        return "key(r)"
    places = [f"r[{scalar.index}]" for scalar in scalars if isinstance(scalar, ColumnRef)]
    return places[0] if len(places) == 1 else f"({''.join(place + ', ' for place in places)})"


class _AggregateSource:
    """One aggregate's part of the loops: the lines that compute its `arguments` and fold them in,
    the expressions for its first state and its result."""

    def __init__(
        self,
        number: int,
        aggregate: Aggregate,
        context: EvaluationContext,
        names: dict[str, Any],
    ) -> None:
        call = aggregate_call(aggregate, context)
        self._number = number
        self._names = names
        state = f"g[{FIRST_STATE + number}]"
        accumulator = _accumulator(call)
        inline = call.function.inline_add
        if accumulator is not None:
            self.start = f"{self._name('make', accumulator)}({self._name('call', call)})"
            self.result = f"{state}.finish()"
            addition = f"{state}.add({{}}, d)"
        else:
            self.start = f"{self._name('start', call.function.start)}()"
            self.result = f"{self._name('finish', call.function.finish)}({state})"
            addition = f"{state} = {self._name('add', call.function.add)}({state}, {{}}, d)"
        take = call.arguments if call.sort_values is None else call.sort_values
        value = f"{self._name('arguments', take)}(r)"
        if accumulator is None and inline is not None:
            value = _first_argument(aggregate, value)
            addition = inline.format(state=state, value="{}", diff="d")
        self._write(call, value, addition)

    def _write(self, call: AggregateCall, value: str, addition: str) -> None:
        argument = f"a{self._number}"
        if call.filter is None:
            self.arguments = [f"{argument} = {value}"]
            self.additions = [addition.replace("{}", argument)]
            return
        test = f"t{self._number}"
        self.arguments = [
            f"{test} = {self._name('filter', call.filter)}(r)",
            f"{argument} = {value} if {test} else None",
        ]
        self.additions = [f"if {test}:", f"    {addition.replace('{}', argument)}"]

    def _name(self, word: str, value: object) -> str:
        name = f"{word}{self._number}"
        self._names[name] = value
        return name


def _first_argument(aggregate: Aggregate, otherwise: str) -> str:
    """The source of the first argument's value; of anything if there is none."""
    match aggregate.args:
        case ():
            return "None"
        case (ColumnRef(index=index), *_):
            return f"r[{index}]"
        case _:
            return f"{otherwise}[0]"


def _accumulator(call: AggregateCall) -> type[Collected] | type[DistinctTotal] | None:
    if call.sort_key is not None:
        return Collected
    return DistinctTotal if call.distinct_key is not None else None
