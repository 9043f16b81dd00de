"""The workload whose history is recorded: list-append and its kin over several tables.

Clients are asyncpg connections that reconnect after every fault. Each client does one of:

- *add*: one INSERT, or one transaction of INSERTs into several tables (write-only);
- *append*: `UPDATE … SET elements = elements || …` of a row, whose RETURNING shows what was read;
- *exclude*: `INSERT … SELECT … WHERE NOT EXISTS (…)` into one table if a group of another one is
  empty; two of these in opposite directions are a write skew;
- *read*: all groups of the current generation, in one statement or in one transaction;
- *use* and *drop*: INSERT into a table that another client drops meanwhile.

With views, every table has a materialized view and an indexed view of all its rows, and each read
takes any of the three: they must be indistinguishable, within one transaction too.

Keys belong to a generation that moves on as values are written, so that no key grows long. After
the faults have stopped every key is read once more: lost writes show then.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from tests.consistency.history import Append, Outcome, Read, Transaction, Use

SET_TABLES: Final = ("adds_0", "adds_1", "adds_2")
LIST_TABLES: Final = ("lists_0", "lists_1")
KEYS_PER_GENERATION: Final = 2
WRITES_PER_GENERATION: Final = 60
STATEMENT_DEADLINE_S: Final = 20.0
RECONNECT_DEADLINE_S: Final = 60.0
# Errors that say that nothing happened: conflicts, dropped tables, refusals while starting.
DETERMINATE_SQLSTATES: Final = frozenset(
    {"40001", "40P01", "42P01", "42P07", "55000", "57P03", "53300", "25006"}
)
LOST_CONNECTION: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
)
SCHEMA: Final = (
    *(f"CREATE TABLE {t} (key int NOT NULL, value int NOT NULL)" for t in SET_TABLES),
    *(f"CREATE TABLE {t} (key int NOT NULL, elements text NOT NULL)" for t in LIST_TABLES),
)
VIEWS: Final = tuple(
    statement
    for table in (*SET_TABLES, *LIST_TABLES)
    for statement in (
        f"CREATE MATERIALIZED VIEW {table}_kept AS SELECT * FROM {table}",
        f"CREATE VIEW {table}_seen AS SELECT * FROM {table}",
        f"CREATE INDEX {table}_by_key ON {table}_seen (key)",
    )
)
READ_FROM: Final = ("", "_kept", "_seen")
Faults = Callable[[asyncio.Event], Coroutine[None, None, None]]


@dataclass(slots=True)
class _Attempt:
    """What a client fills in while its transaction runs."""

    appends: tuple[Append, ...] = ()
    reads: tuple[Read, ...] = ()
    uses: tuple[Use, ...] = ()
    timestamp: int | None = None
    happened: bool = True  # false: nothing was written, and nothing was read that binds


@dataclass(slots=True)
class Workload:
    """Shared state of the clients. `dsn` is called for each connection: the server may move."""

    dsn: Callable[[], str]
    seed: int
    has_views: bool = False
    history: list[Transaction] = field(default_factory=list)
    values: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    drop_numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    written: int = 0
    drop_table: str | None = None

    @property
    def generation(self) -> int:
        return self.written // WRITES_PER_GENERATION

    def keys(self) -> range:
        first = self.generation * KEYS_PER_GENERATION
        return range(first, first + KEYS_PER_GENERATION)

    def record(self, id: int, started_ns: int, outcome: Outcome, attempt: _Attempt) -> None:
        if outcome is not Outcome.FAILED:
            self.written += len(attempt.appends)
        reads = attempt.reads if outcome is Outcome.COMMITTED else ()
        self.history.append(
            Transaction(
                id,
                started_ns,
                time.monotonic_ns(),
                outcome,
                attempt.appends,
                reads,
                attempt.uses,
                attempt.timestamp if outcome is Outcome.COMMITTED else None,
            )
        )


async def prepare(dsn: str, *, with_views: bool = False) -> None:
    """Create the workload's tables, empty, and the views on them."""
    connection = await asyncpg.connect(dsn)
    try:
        for table in (*SET_TABLES, *LIST_TABLES):
            await connection.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
        for statement in (*SCHEMA, *(VIEWS if with_views else ())):
            await connection.execute(statement)
    finally:
        await connection.close()


async def run(workload: Workload, clients: int, seconds: float, faults: Faults) -> None:
    """Run `clients` clients for `seconds` with `faults` going on, then read every key."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            client = _Client(workload, random.Random(f"{workload.seed}/{number}"), stop)
            group.create_task(client.run(is_dropper=number == 0), name=f"client-{number}")
        group.create_task(faults(stop), name="faults")
        await asyncio.sleep(seconds)
        stop.set()
    final = _Client(workload, random.Random(workload.seed), stop)
    await final.read_everything()


class _Client:
    def __init__(self, workload: Workload, rng: random.Random, stop: asyncio.Event) -> None:
        self._workload = workload
        self._random = rng
        self._stop = stop
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._error: Exception | None = None

    async def run(self, *, is_dropper: bool) -> None:
        kinds = [self._add, self._add, self._append, self._append, self._exclude]
        kinds += [self._read, self._read, self._read, self._use, self._use]
        if is_dropper:
            kinds = [self._create_and_drop]
        while not self._stop.is_set():
            await self._attempt(self._random.choice(kinds))
        await self._disconnect()

    async def read_everything(self) -> None:
        """One read of all keys of all generations; tried until it succeeds."""
        keys = range((self._workload.generation + 1) * KEYS_PER_GENERATION)
        deadline = time.monotonic() + RECONNECT_DEADLINE_S
        outcome = None
        while outcome is not Outcome.COMMITTED:
            assert time.monotonic() < deadline, f"the last read fails: {self._error!r}"
            outcome = await self._attempt(lambda c, a: self._read_in_transaction(c, a, keys))
        await self._disconnect()

    async def _attempt(
        self, act: Callable[["asyncpg.Connection[asyncpg.Record]", _Attempt], Awaitable[None]]
    ) -> Outcome:
        connection = await self._connect()
        attempt = _Attempt()
        id, started_ns = next(self._workload.ids), time.monotonic_ns()
        try:
            async with asyncio.timeout(STATEMENT_DEADLINE_S):
                await act(connection, attempt)
            outcome = Outcome.COMMITTED
        except asyncpg.PostgresError as error:
            self._error, outcome = error, Outcome.INDETERMINATE
            if error.sqlstate in DETERMINATE_SQLSTATES:
                outcome = Outcome.FAILED
            await self._disconnect()
        except LOST_CONNECTION as error:
            self._error, outcome = error, Outcome.INDETERMINATE
            await self._disconnect()
        if attempt.happened and (attempt.appends or attempt.reads or attempt.uses):
            self._workload.record(id, started_ns, outcome, attempt)
        return outcome

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        deadline = time.monotonic() + RECONNECT_DEADLINE_S
        while self._connection is None:
            try:
                async with asyncio.timeout(STATEMENT_DEADLINE_S):
                    self._connection = await asyncpg.connect(self._workload.dsn())
            except (asyncpg.PostgresError, *LOST_CONNECTION):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _add(
        self, connection: "asyncpg.Connection[asyncpg.Record]", attempt: _Attempt
    ) -> None:
        key = self._random.choice(self._workload.keys())
        tables = self._random.sample(SET_TABLES, self._random.choice((1, 1, 2, 3)))
        rows = [(table, next(self._workload.values)) for table in tables]
        attempt.appends = tuple(Append(f"{table}/{key}", value) for table, value in rows)
        if len(rows) == 1:
            await connection.execute(f"INSERT INTO {tables[0]} VALUES ({key}, {rows[0][1]})")
        else:
            await connection.execute("BEGIN")
            for table, value in rows:
                await connection.execute(f"INSERT INTO {table} VALUES ({key}, {value})")
            await connection.execute("COMMIT")
        attempt.timestamp = await _last_commit(connection)

    async def _append(
        self, connection: "asyncpg.Connection[asyncpg.Record]", attempt: _Attempt
    ) -> None:
        key = self._random.choice(self._workload.keys())
        table, value = self._random.choice(LIST_TABLES), next(self._workload.values)
        attempt.appends = (Append(f"{table}/{key}", value),)
        rows = await connection.fetch(
            f"UPDATE {table} SET elements = elements || ',{value}' WHERE key = {key} "
            "RETURNING elements"
        )
        if not rows:
            rows = await connection.fetch(
                f"INSERT INTO {table} SELECT {key}, '{value}' WHERE NOT EXISTS "
                f"(SELECT FROM {table} WHERE key = {key}) RETURNING elements"
            )
        if not rows:
            attempt.happened = False
            return
        before = _elements(row["elements"] for row in rows)[:-1]
        attempt.reads = (Read(f"{table}/{key}", before, is_ordered=True),)
        attempt.timestamp = await _last_commit(connection)

    async def _exclude(
        self, connection: "asyncpg.Connection[asyncpg.Record]", attempt: _Attempt
    ) -> None:
        # Keys below zero, one pair of groups for each generation: only these writes touch them.
        key, value = -1 - self._workload.written // 10, next(self._workload.values)
        target, other = self._random.sample(SET_TABLES[:2], 2)
        attempt.appends = (Append(f"{target}/{key}", value),)
        status = await connection.execute(
            f"INSERT INTO {target} SELECT {key}, {value} WHERE NOT EXISTS "
            f"(SELECT FROM {other} WHERE key = {key})"
        )
        if status == "INSERT 0 0":
            attempt.happened = False
            return
        attempt.reads = (Read(f"{other}/{key}", (), is_ordered=False),)
        attempt.timestamp = await _last_commit(connection)

    async def _read(
        self, connection: "asyncpg.Connection[asyncpg.Record]", attempt: _Attempt
    ) -> None:
        keys = self._workload.keys()
        if self._random.random() < 0.5:
            await self._read_in_transaction(connection, attempt, keys)
        else:
            query = " UNION ALL ".join(
                [_set_query(table, self._source(table), keys) for table in SET_TABLES]
                + [_list_query(table, self._source(table), keys) for table in LIST_TABLES]
            )
            rows = await connection.fetch(query)
            attempt.timestamp = int(rows[0]["at"])
            attempt.reads = _reads(rows, keys)

    async def _read_in_transaction(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        attempt: _Attempt,
        keys: Iterable[int],
    ) -> None:
        keys = list(keys)
        rows: list[asyncpg.Record] = []
        await connection.execute("BEGIN READ ONLY")
        for table in SET_TABLES:
            rows += await connection.fetch(_set_query(table, self._source(table), keys))
        for table in LIST_TABLES:
            rows += await connection.fetch(_list_query(table, self._source(table), keys))
        await connection.execute("COMMIT")
        timestamps = {int(row["at"]) for row in rows}
        assert len(timestamps) == 1, f"one transaction read at several times: {timestamps}"
        attempt.timestamp = timestamps.pop()
        attempt.reads = _reads(rows, keys)

    def _source(self, table: str) -> str:
        """Where to read a table: itself or one of its views."""
        return table + (self._random.choice(READ_FROM) if self._workload.has_views else "")

    async def _use(
        self, connection: "asyncpg.Connection[asyncpg.Record]", attempt: _Attempt
    ) -> None:
        table = self._workload.drop_table
        if table is None:
            attempt.happened = False
            return
        await connection.execute(f"INSERT INTO {table} VALUES (1)")
        attempt.uses = (Use(table, is_drop=False),)
        attempt.timestamp = await _last_commit(connection)

    async def _create_and_drop(
        self, connection: "asyncpg.Connection[asyncpg.Record]", attempt: _Attempt
    ) -> None:
        table = f"dropped_{next(self._workload.drop_numbers)}"
        await connection.execute(f"CREATE TABLE {table} (a int)")
        self._workload.drop_table = table
        await asyncio.sleep(self._random.uniform(0.01, 0.05))
        await connection.execute(f"DROP TABLE {table}")
        attempt.uses = (Use(table, is_drop=True),)
        attempt.timestamp = await _last_commit(connection)


async def _last_commit(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    return int(await connection.fetchval("SHOW last_commit_timestamp"))


def _set_query(table: str, source: str, keys: Iterable[int]) -> str:
    """The group rows, and one more row (key null) that tells the time of the read."""
    listed = ", ".join(map(str, keys))
    return (
        f"SELECT '{table}' AS name, key, value::text AS data, mz_now()::text AS at "
        f"FROM {source} WHERE key IN ({listed}) "
        f"UNION ALL SELECT '{table}', NULL, NULL, mz_now()::text"
    )


def _list_query(table: str, source: str, keys: Iterable[int]) -> str:
    listed = ", ".join(map(str, keys))
    return (
        f"SELECT '{table}' AS name, key, elements AS data, mz_now()::text AS at "
        f"FROM {source} WHERE key IN ({listed}) "
        f"UNION ALL SELECT '{table}', NULL, NULL, mz_now()::text"
    )


def _elements(texts: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(part) for text in texts for part in text.split(","))


def _reads(rows: Iterable[asyncpg.Record], keys: Iterable[int]) -> tuple[Read, ...]:
    groups: dict[tuple[str, int], list[str]] = {
        (table, key): [] for key in keys for table in (*SET_TABLES, *LIST_TABLES)
    }
    for row in rows:
        if row["key"] is not None:
            groups[row["name"], row["key"]].append(row["data"])
    return tuple(
        Read(f"{table}/{key}", _elements(data), is_ordered=table in LIST_TABLES)
        for (table, key), data in groups.items()
    )
