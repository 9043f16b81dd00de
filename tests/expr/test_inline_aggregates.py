"""Aggregates that are written out in loops do what their `add` does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import expr.library  # noqa: F401
from core.sql_types import FLOAT8, INT4, INT8, SqlType
from expr.aggregates import AggregateFunction, aggregate_function
from expr.registry import FunctionKind, all_functions
from expr.scalar import EvaluationContext

ARGUMENT_TYPES = (INT4, INT8, SqlType(21))


def written_out() -> list[tuple[str, AggregateFunction]]:
    """The aggregates, by id, that have a source of their own."""
    found = []
    for function in all_functions():
        if function.kind is FunctionKind.AGGREGATE and len(function.args) <= 1:
            args = tuple(t if t in ARGUMENT_TYPES else INT8 for t in function.args)
            try:
                bound = aggregate_function(function.id, args, function.returns, EvaluationContext())
            except KeyError:
                continue  # not for integers
            if bound.inline_add is not None:
                found.append((function.id, bound))
    return found


WRITTEN_OUT = dict(written_out())


def test_a_source_does_not_stand_for_another_add() -> None:
    args = (FLOAT8, FLOAT8)
    counted = aggregate_function("regr_count(float8,float8)", args, INT8, EvaluationContext())
    assert counted.inline_add is None


def test_sums_counts_and_averages_of_integers_are_written_out() -> None:
    names = {function_id.partition("(")[0] for function_id in WRITTEN_OUT}
    assert {"count", "sum", "avg"} <= names


@pytest.mark.parametrize("function_id", WRITTEN_OUT)
@given(
    changes=st.lists(
        st.tuples(st.none() | st.integers(-(2**15), 2**15 - 1), st.integers(-3, 3)), max_size=8
    )
)
def test_the_source_does_what_add_does(
    function_id: str, changes: list[tuple[int | None, int]]
) -> None:
    function = WRITTEN_OUT[function_id]
    assert function.inline_add is not None
    source = function.inline_add.format(state="g[0]", value="v", diff="d")
    expected, group = function.start(), [function.start()]
    for value, diff in changes:
        expected = function.add(expected, (value,), diff)
        names: dict[str, Any] = {"g": group, "v": value, "d": diff}
        exec(source, names)  # noqa: S102
    assert group[0] == expected
