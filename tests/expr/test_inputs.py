"""Input functions against PostgreSQL: texts spelled in every way, right and wrong."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SqlError
from core.sql_types import SqlType
from tests.expr.evaluation import UTC_CONTEXT, read, value_outcome
from tests.expr.examples import drawing
from tests.expr.input_texts import input_texts
from tests.expr.postgres_reference import Outcome, PostgresReference, typed
from tests.expr.values import type_named

TYPES: Final = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "oid", "xid", "bytea", "uuid"),
    *("char", "name", "text", "json", "jsonb", "date", "time", "timestamp", "timestamptz"),
    *("interval", "_int4", "_text", "_numeric", "_timestamptz"),
)
# docs/differences.md, "Dates and times": texts that make no sense may be refused or read otherwise.
_DATE_TIME: Final = frozenset({"date", "time", "timestamp", "timestamptz", "interval"})
SHORT_EXAMPLES: Final = 8
LONG_EXAMPLES: Final = 250
MAX_BATCH: Final = 24


def _outcome(text: str, sql_type: SqlType) -> Outcome:
    try:
        return value_outcome(read(text, sql_type), sql_type, UTC_CONTEXT)
    except SqlError as error:
        return Outcome(sqlstate=error.sqlstate, message=error.message)


def _agree(sql_type: SqlType, ours: Outcome, theirs: Outcome) -> bool:
    if (sql_type.element or sql_type).name in _DATE_TIME:
        if ours.is_error or theirs.is_error:
            return True
    return ours.agrees_with(theirs)


def compare(reference: PostgresReference, name: str, examples: int, *, fresh: bool) -> None:
    """Compare what both sides read from texts for a type."""
    sql_type = type_named(name)

    @drawing(examples, fresh=fresh)
    @given(st.lists(input_texts(sql_type), min_size=1, max_size=MAX_BATCH))
    def run(texts: list[str]) -> None:
        outcomes = reference.evaluate([(typed(text, name), sql_type) for text in texts])
        differing = [
            (text, ours, theirs)
            for text, theirs in zip(texts, outcomes, strict=True)
            if not _agree(sql_type, ours := _outcome(text, sql_type), theirs)
            and not (fresh and ours.refuses_like(theirs))
        ]
        assert not differing

    run()


@pytest.mark.parametrize("name", TYPES)
def test_input_reads_as_postgres(reference: PostgresReference, name: str) -> None:
    compare(reference, name, SHORT_EXAMPLES, fresh=False)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TYPES)
def test_input_reads_as_postgres_on_many_texts(reference: PostgresReference, name: str) -> None:
    compare(reference, name, LONG_EXAMPLES, fresh=True)
