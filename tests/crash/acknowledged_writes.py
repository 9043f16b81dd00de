"""A writer that remembers what it was promised, for crash tests.

Every connection inserts numbered rows, some alone and some in groups (one statement or one
transaction), and notes for each group whether it was acknowledged, refused, or neither.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

RECONNECT_DEADLINE_S: Final = 60.0
STATEMENT_DEADLINE_S: Final = 30.0
LOST: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)


@dataclass(slots=True)
class WriteLog:
    """Groups of row numbers by what the client was told. A group is written whole or not at all."""

    acknowledged: list[tuple[int, ...]] = field(default_factory=list)
    unknown: list[tuple[int, ...]] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))


async def connect(dsn: Callable[[], str]) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection to a server that may be restarting; raises when it stays away."""
    deadline = time.monotonic() + RECONNECT_DEADLINE_S
    while True:
        try:
            async with asyncio.timeout(STATEMENT_DEADLINE_S):
                return await asyncpg.connect(dsn())
        except LOST:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def write_until(
    stop: asyncio.Event, dsn: Callable[[], str], log: WriteLog, rng: random.Random
) -> None:
    """One connection's work: insert groups until `stop`, reconnecting whenever it is cut off."""
    connection = await connect(dsn)
    while not stop.is_set():
        group = tuple(next(log.numbers) for _ in range(rng.choice((1, 1, 1, 5))))
        try:
            async with asyncio.timeout(STATEMENT_DEADLINE_S):
                await _insert(connection, group, in_transaction=rng.random() < 0.3)
            log.acknowledged.append(group)
        except LOST:
            log.unknown.append(group)
            connection.terminate()
            connection = await connect(dsn)
    connection.terminate()


def disagreements(log: WriteLog, rows: Counter[int]) -> list[str]:
    """How the table's rows break the promises; empty when they are kept."""
    problems = [f"row {number} is there {n} times" for number, n in rows.items() if n != 1]
    problems += [
        f"acknowledged row {number} is lost"
        for group in log.acknowledged
        for number in group
        if number not in rows
    ]
    for group in log.unknown:
        present = sum(number in rows for number in group)
        if present not in (0, len(group)):
            problems.append(f"group {group} is there by half")
    known = {number for group in (*log.acknowledged, *log.unknown) for number in group}
    problems += [f"nobody wrote row {number}" for number in rows if number not in known]
    return problems


async def _insert(
    connection: "asyncpg.Connection[asyncpg.Record]",
    group: tuple[int, ...],
    *,
    in_transaction: bool,
) -> None:
    if in_transaction:
        await connection.execute("BEGIN")
        for number in group:
            await connection.execute(f"INSERT INTO numbered VALUES ({number})")
        await connection.execute("COMMIT")
    else:
        values = ", ".join(f"({number})" for number in group)
        await connection.execute(f"INSERT INTO numbered VALUES {values}")
