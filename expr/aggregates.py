"""What an aggregate is to the engine that runs it.

An aggregate is a function of the multiset of its argument rows, never of their order: two replicas,
or hydration and retraction, agree to the bit. Float sums are therefore exact and rounded once.

Protocol of use, for one group: `state = start()`, then `state = add(state, args, diff)` for each
row, in any order, then `finish(state)`, which does not consume the state. `diff` is any signed
multiplicity; intermediate totals may be negative. Rows with a null argument are skipped by the
aggregate itself where SQL says so, so the engine passes every row. For insert-only input held as
columns, `bulk(columns)` gives the same result faster.

When `is_ordered`, the result depends on an order (array_agg, string_agg): the engine consolidates
the group's rows, sorts them by the call's ORDER BY and then by the argument row, and passes them in
that order with positive diffs. DISTINCT and FILTER are the engine's work, before the aggregate.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from core.rows import Datum
from core.sql_types import SqlType
from expr.registry import bind, function_by_id
from expr.scalar import EvaluationContext

State = Any  # owned by the aggregate; the engine only hands it back


class AggregateFunction(Protocol):
    """One aggregate bound to its argument types."""

    @property
    def is_ordered(self) -> bool: ...

    @property
    def inline_add(self) -> str | None:
        """A Python statement that does what `add` does to the state in the place `{state}`, given
        the first argument's `{value}` and `{diff}`; None if there is none shorter than a call."""

    def start(self) -> State:
        """The state of the empty multiset."""

    def add(self, state: State, args: tuple[Datum, ...], diff: int) -> State:
        """The state after `diff` more occurrences of `args`; may change `state` in place."""

    def finish(self, state: State) -> Datum:
        """The aggregate's value. Raises SqlError (overflow)."""

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> Datum:
        """The value for rows given as one sequence per argument, each occurring once.

        `count(*)`, which has no arguments, takes one column of any values.
        """

    def extend(self, state: State, columns: Sequence[Sequence[Datum]]) -> State:
        """The state after more rows, given as for `bulk`: like `add` for each with diff 1, but such
        a state never takes a retraction."""


def aggregate_function(
    function_id: str, args: Sequence[SqlType], returns: SqlType, context: EvaluationContext
) -> AggregateFunction:
    """The aggregate of that registry id for arguments of these types."""
    bound: Any = bind(function_by_id(function_id), args, returns, context)
    aggregate: AggregateFunction = bound
    return aggregate


class BaseAggregate:
    """The parts of `AggregateFunction` that most aggregates share."""

    is_ordered = False
    inline_add: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        """The source that stands for `add` does not stand for another one."""
        if "add" in cls.__dict__ and "inline_add" not in cls.__dict__:
            cls.inline_add = None

    def start(self) -> State:
        raise NotImplementedError

    def add(self, state: State, args: tuple[Datum, ...], diff: int) -> State:
        raise NotImplementedError

    def finish(self, state: State) -> Datum:
        raise NotImplementedError

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> Datum:
        state = self.start()
        add = self.add
        for args in zip(*columns, strict=True):
            state = add(state, args, 1)
        return self.finish(state)

    def extend(self, state: State, columns: Sequence[Sequence[Datum]]) -> State:
        add = self.add
        for args in zip(*columns, strict=True):
            state = add(state, args, 1)
        return state
