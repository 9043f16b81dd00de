"""Every registered function against PostgreSQL, on made values: text, bytes, type and SQLSTATE.

Each function is compared on every one of its signatures or stands in `tests.expr.exclusions` with a
reason. The short form runs the same values every time; the long form runs new ones.
"""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given

from expr.registry import Function, FunctionKind, all_functions
from expr.scalar import EvaluationContext
from tests.expr.comparison import Texts, batches, call_sql, mismatches, result_type
from tests.expr.evaluation import UTC_CONTEXT, evaluator
from tests.expr.examples import drawing
from tests.expr.exclusions import (
    ABSENT,
    DIFFERENCES,
    NOT_COMPARED,
    Difference,
    is_deliberate,
    reason_not_compared,
)
from tests.expr.postgres_reference import PostgresReference
from tests.expr.signatures import Signature, functions_by_name, signatures

_COMPARED_KINDS: Final = (
    FunctionKind.SCALAR,
    FunctionKind.OPERATOR,
    FunctionKind.CAST,
    FunctionKind.TABLE,
)
FUNCTIONS: Final = functions_by_name(*_COMPARED_KINDS)
COMPARED: Final = {
    name: compared
    for name, group in FUNCTIONS.items()
    if (compared := [f for f in group if reason_not_compared(f) is None])
}
SHORT_EXAMPLES: Final = 2
SHORT_SIGNATURES: Final = 4  # of a polymorphic function
LONG_EXAMPLES: Final = 12
MIN_LONG_CASES: Final = 100_000
ZONES: Final = ("America/New_York", "Asia/Kathmandu")
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "differences.md"


def compare(
    reference: PostgresReference,
    signature: Signature,
    examples: int,
    context: EvaluationContext = UTC_CONTEXT,
    *,
    fresh: bool = False,
) -> int:
    """Compare a signature on `examples` batches; the number of calls compared."""
    compared = 0

    @drawing(examples, fresh=fresh)
    @given(batches(signature))
    def run(batch: list[Texts]) -> None:
        nonlocal compared
        compared += len(batch)
        found = mismatches(reference, signature, batch, context)
        unexpected = [
            m
            for m in found
            if not is_deliberate(m.signature.function, m.texts, m.ours, m.theirs)
            and not (fresh and m.ours.refuses_like(m.theirs))
        ]
        assert not unexpected, "\n".join(map(str, unexpected))

    run()
    return compared


@pytest.mark.parametrize("name", COMPARED)
def test_function_answers_as_postgres(reference: PostgresReference, name: str) -> None:
    for function in COMPARED[name]:
        for signature in signatures(function.id)[:SHORT_SIGNATURES]:
            compare(reference, signature, SHORT_EXAMPLES)


def _depends_on_zone(function: Function) -> bool:
    return "timestamptz" in function.id or function.needs_context


@pytest.mark.parametrize("zone", ZONES)
def test_function_answers_as_postgres_in_other_zones(
    reference: PostgresReference, zone: str
) -> None:
    reference.set("TimeZone", zone)
    try:
        for group in COMPARED.values():
            for function in filter(_depends_on_zone, group):
                for signature in signatures(function.id)[:1]:
                    context = EvaluationContext(time_zone=zone)
                    compare(reference, signature, SHORT_EXAMPLES, context)
    finally:
        reference.set("TimeZone", "UTC")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_functions_answer_as_postgres_on_many_values(
    reference: PostgresReference, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = 0
    for group in COMPARED.values():
        for function in group:
            for signature in signatures(function.id):
                compared += compare(reference, signature, LONG_EXAMPLES, fresh=True)
    with capsys.disabled():
        print(f"\n{compared} calls compared with PostgreSQL")
    assert compared >= MIN_LONG_CASES


def test_every_function_is_compared_or_excluded() -> None:
    uncovered = [
        function.id
        for function in all_functions()
        if function.kind in _COMPARED_KINDS
        and reason_not_compared(function) is None
        and not signatures(function.id)
    ]
    assert uncovered == []


def test_exclusions_name_functions_that_exist() -> None:
    registered = {function.id for function in all_functions()}
    assert set(NOT_COMPARED) <= registered


def test_excluded_as_absent_are_absent_from_postgres(reference: PostgresReference) -> None:
    present = []
    for function_id, reason in NOT_COMPARED.items():
        if reason != ABSENT:
            continue
        signature = signatures(function_id)[0]
        call = call_sql(signature, (None,) * len(signature.args))
        (outcome,) = reference.evaluate([(call, result_type(signature))])
        if outcome.sqlstate not in ("42883", "42601"):
            present.append(function_id)
    assert present == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d.example[0])
def test_deliberate_difference_is_still_there(
    reference: PostgresReference, difference: Difference
) -> None:
    function_id, texts = difference.example
    signature = signatures(function_id)[0]
    (theirs,) = reference.evaluate([(call_sql(signature, texts), signature.returns)])
    ours = evaluator(signature)(texts)
    assert not ours.agrees_with(theirs)
    assert difference.covers(signature.function, texts, ours, theirs)
    assert f"**{difference.heading}" in DOCUMENT.read_text()
