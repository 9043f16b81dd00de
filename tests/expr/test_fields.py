"""Every field of infinite and of other dates and times, compared with PostgreSQL."""

import pytest

from tests.expr.comparison import Texts, mismatches
from tests.expr.postgres_reference import PostgresReference
from tests.expr.signatures import signatures

FIELDS = (
    *("microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter"),
    *("year", "decade", "century", "millennium", "epoch", "julian", "dow", "isodow", "doy"),
    *("isoyear", "timezone", "timezone_hour", "timezone_minute", "nonsense"),
)
INFINITE = ("infinity", "-infinity")
VALUES = {
    "timestamp": (*INFINITE, "2024-02-29 12:34:56.7"),
    "timestamptz": (*INFINITE, "2024-02-29 12:34:56.7+01"),
    "date": (*INFINITE, "2024-02-29"),
    "interval": (*INFINITE, "1 year -400 days 12:34:56.7"),
}
FUNCTIONS = [
    *(f"{name}(text,{type_name})" for name in ("extract", "date_part") for type_name in VALUES),
    *(f"date_trunc(text,{type_name})" for type_name in VALUES if type_name != "date"),
]


@pytest.mark.parametrize("function_id", FUNCTIONS)
def test_fields_answer_as_postgres(reference: PostgresReference, function_id: str) -> None:
    (signature,) = signatures(function_id)
    values = VALUES[signature.args[1].name]
    calls: list[Texts] = [(field, value) for field in FIELDS for value in values]
    found = mismatches(reference, signature, calls)
    assert not found, "\n".join(map(str, found))
