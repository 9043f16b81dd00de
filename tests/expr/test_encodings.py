"""The names and numbers of encodings against PostgreSQL."""

from core.encodings import encoding_name, encoding_names, encoding_number
from tests.expr.postgres_reference import PostgresReference

NO_NAMES = ("", "default", "utf", "utf88", "windows", "latin", "iso8859", "\u212aoi8")


def test_names_have_the_numbers_of_postgres(reference: PostgresReference) -> None:
    names = encoding_names()
    spelled = [name.replace("_", "-").title() for name in names]
    for name in (*names, *spelled, *NO_NAMES):
        [(theirs,)] = reference.query(f"SELECT pg_char_to_encoding('{name}')")
        number = encoding_number(name)
        assert (-1 if number is None else number) == theirs, name


def test_numbers_have_the_names_of_postgres(reference: PostgresReference) -> None:
    numbers = range(-1, 64)
    shown = [(encoding_name(number) or "",) for number in numbers]
    listed = ",".join(f"({number})" for number in numbers)
    assert (
        reference.query(f"SELECT pg_encoding_to_char(n) FROM (VALUES {listed}) AS v (n)") == shown
    )
