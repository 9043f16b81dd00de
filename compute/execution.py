"""What one execution of a query carries: its time, its inputs, its memory, its chunks.

An operator's `run` is a generator of chunks. Every `next()` does a bounded amount of work (about
one chunk of input), so whoever drives the generator can stop between any two steps: a step without
output yields `NO_ROWS`. A rendered operator tree holds no state of an execution and may be run by
many at once; dropping the generator is all it takes to cancel one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from sys import getsizeof
from typing import Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from core.errors import OUT_OF_MEMORY, SqlError
from core.ids import GlobalId, Timestamp
from core.rows import Row
from core.sql_types import SqlType
from expr.parameters import CURRENT

CHUNK_ROWS: Final = 1024
CHARGE_SAMPLE: Final = 8
LARGE_BYTES: Final = 8 * 1024 * 1024
DISMANTLED_AT_ONCE: Final = 2048

Item = TypeVar("Item")
Container = TypeVar("Container", list[Any], dict[Any, Any], set[Any])


class Chunk(NamedTuple):
    """Rows with their multiplicities; `diffs` None means that each occurs once."""

    rows: list[Row]
    diffs: list[int] | None


NO_ROWS: Final = Chunk([], None)
Chunks = Iterator[Chunk]


class Operator(Protocol):
    """A rendered relation: it can be run at any time, on any number of executions at once."""

    def run(self, execution: "Execution") -> Chunks:
        """The relation's rows, in chunks. Raises SqlError while iterated."""
        ...


class TableReader(Protocol):
    """A collection's contents at the execution's time."""

    @property
    def row_count(self) -> int:
        """How many rows a scan will give, for choosing join orders."""
        ...

    def scan(self, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        """The rows in chunks of at most CHUNK_ROWS; only `columns` of them if given."""
        ...


@runtime_checkable
class IndexReader(TableReader, Protocol):
    """A collection's contents at the execution's time, as an index holds them."""

    @property
    def key_count(self) -> int:
        """How many keys have rows, for choosing join orders."""
        ...

    @property
    def key_columns(self) -> tuple[int, ...] | None:
        """The columns that are the key; None if it is not of columns alone."""
        ...

    def lookup(self, key: Row) -> Iterable[tuple[Row, int]]:
        """The rows whose index key is SQL-equal to `key`, which has a datum for each part of it,
        and their multiplicities; none when a datum is null."""
        ...


class MemoryBudget:
    """Counts what the operators of one query keep, and stops the query that keeps too much.

    The size of rows is estimated from samples: it bounds memory, it does not measure it. Freeing
    gigabytes of small objects takes seconds, so what grows large is handed to `keep`, and when the
    query is over `dismantle` frees it in steps.
    """

    __slots__ = ("_kept", "limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._kept: list[list[Any] | dict[Any, Any] | set[Any]] = []

    @property
    def is_large(self) -> bool:
        """Whether what is kept should be freed in steps."""
        return self.used_bytes > LARGE_BYTES

    def keep(self, container: Container) -> Container:
        """Remember a container that may become large, to be emptied by `dismantle`."""
        self._kept.append(container)
        return container

    def dismantle(self) -> Iterator[None]:
        """Empty what was kept, in bounded steps. The operators must have ended."""
        while self._kept:
            container = self._kept.pop()
            while container:
                if isinstance(container, list):
                    is_nested = isinstance(container[-1], list | Chunk)
                    del container[-1 if is_nested else -DISMANTLED_AT_ONCE :]
                else:
                    take = container.popitem if isinstance(container, dict) else container.pop
                    for _ in range(min(len(container), DISMANTLED_AT_ONCE)):
                        take()
                yield

    def charge(self, size_bytes: int) -> int:
        """Count `size_bytes`; returns them. Raises SqlError 53200 when more is kept than the query
        may."""
        self.used_bytes += size_bytes
        if self.used_bytes > self.limit_bytes:
            raise SqlError(
                OUT_OF_MEMORY,
                "out of memory",
                detail=f"The query needs more than its limit of {self.limit_bytes} bytes.",
                hint="Make the query read or keep less.",
            )
        return size_bytes

    def charge_rows(self, rows: Sequence[Row], overhead_bytes: int = 16) -> int:
        """Charge for keeping `rows`, each with `overhead_bytes` on top."""
        if not rows:
            return 0
        sample = rows[:: len(rows) // CHARGE_SAMPLE + 1]
        size = sum(map(_row_size, sample)) // len(sample)
        return self.charge((size + overhead_bytes) * len(rows))

    def release(self, size_bytes: int) -> None:
        self.used_bytes -= size_bytes


class Execution:
    """One run of a rendered query. If it has parameters, `enter` comes before each of its steps."""

    __slots__ = ("as_of", "budget", "locals", "parameters", "tables")

    def __init__(
        self,
        as_of: Timestamp,
        tables: Mapping[GlobalId, TableReader],
        budget: MemoryBudget,
        parameters: Row = (),
    ) -> None:
        self.as_of = as_of
        self.tables = tables
        self.budget = budget
        self.parameters = parameters
        self.locals: dict[int, list[Chunk]] = {}

    def with_reader(self, id: GlobalId, reader: TableReader) -> "Execution":
        """The same execution, in which collection `id` is read from `reader`."""
        tables = {**self.tables, id: reader}
        other = Execution(self.as_of, tables, self.budget, self.parameters)
        other.locals = self.locals
        return other

    def enter(self) -> None:
        """What is evaluated next belongs to this execution."""
        CURRENT.values = self.parameters

    def steps(self, iterator: Iterator[Item]) -> Iterator[Item]:
        """The iterator's items, each step of it in this execution."""
        while True:
            self.enter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item

    def index(self, id: GlobalId) -> IndexReader:
        """The index that lookups name by `id`."""
        reader = self.tables[id]
        assert isinstance(reader, IndexReader)
        return reader


def row_chunks(rows: list[Row]) -> Chunks:
    """`rows` in chunks."""
    if len(rows) <= CHUNK_ROWS:
        if rows:
            yield Chunk(rows, None)
        return
    for start in range(0, len(rows), CHUNK_ROWS):
        yield Chunk(rows[start : start + CHUNK_ROWS], None)


def weighted_chunks(rows: list[Row], diffs: list[int]) -> Chunks:
    """`rows` with `diffs` in chunks."""
    for start in range(0, len(rows), CHUNK_ROWS):
        stop = start + CHUNK_ROWS
        part = diffs[start:stop]
        yield Chunk(rows[start:stop], None if part.count(1) == len(part) else part)


def repeated(chunk: Chunk) -> list[Row]:
    """The chunk's rows, each as often as it occurs. For chunks without negative diffs."""
    if chunk.diffs is None:
        return chunk.rows
    return [row for row, diff in zip(chunk.rows, chunk.diffs, strict=True) for _ in range(diff)]


def evaluate_all(operator: Operator, execution: Execution) -> list[tuple[Row, int]]:
    """Every row with its multiplicity, unconsolidated: for small inputs and tests."""
    result: list[tuple[Row, int]] = []
    for rows, diffs in operator.run(execution):
        result.extend(zip(rows, diffs if diffs is not None else [1] * len(rows), strict=True))
    return result


Types = tuple[SqlType, ...]


def _row_size(row: Row) -> int:
    return getsizeof(row) + sum(map(getsizeof, row))
