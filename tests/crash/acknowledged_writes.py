"""Writers that remember what they were promised, for crash tests.

Every connection inserts groups of numbered rows: one row alone, several in one statement, or
several statements in one transaction. A group is written whole or not at all, and once it was
acknowledged it stays. Numbers are never used twice, so a lost, a doubled and a half group can all
be told.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from tests.crash.progress import RECOVERY_TIMEOUT_S, Progress

TABLE: Final = "numbered"
STATEMENT_TIMEOUT_S: Final = 60.0
CONNECT_PAUSE_S: Final = 0.02
ROWS_PER_GROUP: Final = (1, 1, 1, 5)
TRANSACTION_RATE: Final = 0.3
# The internal error is what asyncpg raises on a connection whose end it has not noticed yet.
LOST: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
)

Connection = asyncpg.Connection
Group = tuple[int, ...]


@dataclass(slots=True)
class WriteLog:
    """What the writers tried and what they were told."""

    attempted: list[Group] = field(default_factory=list)
    acknowledged: list[Group] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    _next_number: int = 1

    def attempt(self, size: int) -> Group:
        """A group of new numbers."""
        group = tuple(range(self._next_number, self._next_number + size))
        self._next_number += size
        self.attempted.append(group)
        return group

    def acknowledge(self, group: Group) -> None:
        self.acknowledged.append(group)
        self.progress.advance()

    def disagreements(self, promised: Iterable[Group], rows: Counter[int]) -> list[str]:
        """How `rows` break the promises; `promised` was acknowledged before they were read."""
        problems = [f"row {number} is there {n} times" for number, n in rows.items() if n != 1]
        problems += [
            f"group {group} was acknowledged and is lost"
            for group in promised
            if not rows.keys() & group
        ]
        for group in self.attempted:
            if 0 < len(rows.keys() & group) < len(group):
                problems.append(f"group {group} is there by half")
        if max(rows, default=0) >= self._next_number:
            problems.append(f"nobody wrote row {max(rows)}")
        return problems


async def connect(dsn: Callable[[], str]) -> "Connection[asyncpg.Record]":
    """A connection, as soon as there can be one; the server may be restarting, or moving."""
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while True:
            try:
                return await asyncpg.connect(dsn())
            except LOST:
                await asyncio.sleep(CONNECT_PAUSE_S)  # it is down: there is nothing to wait on


async def write_until_lost(dsn: Callable[[], str], log: WriteLog, rng: random.Random) -> None:
    """One connection's work: insert groups for ever.

    Raises one of LOST when an insert fails, TimeoutError when it hangs or the server stays away."""
    connection = await connect(dsn)
    try:
        while True:
            group = log.attempt(rng.choice(ROWS_PER_GROUP))
            async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                await _insert(connection, group, rng.random() < TRANSACTION_RATE)
            log.acknowledge(group)
    finally:
        connection.terminate()


async def write_for_ever(dsn: Callable[[], str], log: WriteLog, rng: random.Random) -> None:
    """The same through every loss, each time on a new connection. Raises TimeoutError."""
    while True:
        with contextlib.suppress(*LOST):
            await write_until_lost(dsn, log, rng)


async def read_rows(dsn: Callable[[], str]) -> Counter[int]:
    """Every row and how often it is there; repeated until a read succeeds."""
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while True:
            connection = await connect(dsn)
            try:
                records = await connection.fetch(f"SELECT n FROM {TABLE}")
                return Counter(record["n"] for record in records)
            except LOST:
                continue
            finally:
                connection.terminate()


async def _insert(
    connection: "Connection[asyncpg.Record]", group: Group, in_transaction: bool
) -> None:
    if in_transaction:
        await connection.execute("BEGIN")
        for number in group:
            await connection.execute(f"INSERT INTO {TABLE} VALUES ({number})")
        await connection.execute("COMMIT")
    else:
        values = ", ".join(f"({number})" for number in group)
        await connection.execute(f"INSERT INTO {TABLE} VALUES {values}")
