"""Which operator two types mean, and what it gives, compared with a real PostgreSQL.

Every pair of types meets every operator, and every type every cast: what resolves must resolve to
the same type, what does not must fail with the same SQLSTATE.
"""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from core.errors import SqlError
from tests.system_catalog.world import World

VALUES = (
    "2::int2",
    "2",
    "2::int8",
    "2::float4",
    "2::float8",
    "2.5",
    "'2'::text",
    "'2'::varchar(3)",
    "'2'::char(3)",
    "'2'",
    "NULL",
    "true",
    "date '2020-01-02'",
    "time '01:02'",
    "timestamp '2020-01-02'",
    "timestamptz '2020-01-02 00:00+00'",
    "interval '1 day'",
    """'{"a":1}'::jsonb""",
    "array[1,2]",
    "array['a']",
    "'\\x01'::bytea",
    "'00000000-0000-0000-0000-000000000001'::uuid",
    "3::oid",
    "'pg_class'::regclass",
    "'x'::name",
)
OPERATORS = ("+", "-", "*", "/", "%", "||", "=", "<", "->", "~", "&")
TARGETS = (
    *("int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar(2)", "char(2)"),
    *("bool", "date", "time", "timestamp", "timestamptz", "interval", "jsonb", "int4[]", "text[]"),
    *("bytea", "uuid", "oid", "regclass", "name"),
)
# Later versions than the one that is followed cast these.
NEWER = {("'\\x01'::bytea", target) for target in ("int2", "int4", "int8")}
NOT_RESOLVED = {"42883", "42725", "42804", "42846", "42601"}


@pytest.fixture(scope="module")
def world() -> World:
    return asyncio.run(World.create())


@pytest.fixture(scope="module")
def postgres(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def expected_type(postgres: psycopg.Connection, expression: str) -> str | None:
    """The type's name or the SQLSTATE; None when the expression only fails for its value."""
    try:
        row = postgres.execute(f"SELECT pg_typeof({expression})::text".encode()).fetchone()
    except psycopg.Error as error:
        return error.sqlstate if error.sqlstate in NOT_RESOLVED else None
    assert row is not None
    return str(row[0])


def planned_type(world: World, expression: str) -> str:
    try:
        desc = world.plan(f"SELECT {expression}").result_desc
    except SqlError as error:
        return error.sqlstate
    assert desc is not None
    (column,) = desc.columns
    return column.type.base.info.sql_name


def check(world: World, postgres: psycopg.Connection, expressions: list[str]) -> None:
    different = {}
    for expression in expressions:
        expected = expected_type(postgres, expression)
        got = planned_type(world, expression)
        if expected is not None and got != expected:
            different[expression] = f"{got}, not {expected}"
    assert not different


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(world: World, postgres: psycopg.Connection, operator: str) -> None:
    check(world, postgres, [f"{left} {operator} {right}" for left in VALUES for right in VALUES])


@pytest.mark.parametrize("target", TARGETS)
def test_casts(world: World, postgres: psycopg.Connection, target: str) -> None:
    values = [value for value in VALUES if (value, target) not in NEWER]
    check(world, postgres, [f"CAST({value} AS {target})" for value in values])
