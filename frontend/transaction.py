"""The state of a session's transaction, without I/O.

A transaction reads at one time and writes at one later time. Its reads choose their time at the
first of them and hold it; its writes are staged batches that become visible together at COMMIT, on
the condition that nothing it read has changed in between. So it is serializable at its commit
time, with no locks; what it cannot do is to read what it wrote itself. DDL in a block is applied to
a preview of the catalog, which later statements of the block are planned on, and committed with the
writes.

Statuses: IDLE; IMPLICIT, from the first statement of a Query (or after a Sync) to its end;
EXPLICIT, in a block; FAILED, a block that waits for its ROLLBACK.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from catalog.durable import RAW_CATALOG_ID
from catalog.operations import Operation
from catalog.state import Catalog
from controllers.read_holds import ReadHold
from coordinator.committer import TableWrite
from core import errors
from core.errors import SqlError
from core.ids import GlobalId, Timestamp
from frontend.settings import SettingsSnapshot

MAX_SAVEPOINTS = 10_000
MAX_STAGED_WRITES = 100_000
MAX_STAGED_OPERATIONS = 10_000


DiscardWrites = Callable[[tuple[TableWrite, ...]], None]


class TransactionStatus(Enum):
    """Where a session is; see the module docstring."""

    IDLE = "idle"
    IMPLICIT = "implicit"
    EXPLICIT = "explicit"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Savepoint:
    """A name and what ROLLBACK TO goes back to."""

    name: str
    write_count: int
    operation_count: int
    catalog: Catalog | None  # the preview then
    settings: SettingsSnapshot


@dataclass(slots=True)
class Transaction:
    """One session's current transaction; emptied by `clear` rather than made anew."""

    status: TransactionStatus = TransactionStatus.IDLE
    is_read_only: bool = False
    isolation_level: str = "strict serializable"
    started_at: int = 0  # wall clock, microseconds since the Unix epoch
    as_of: Timestamp | None = None
    hold: ReadHold | None = None
    reads: set[GlobalId] = field(default_factory=set)
    writes: list[TableWrite] = field(default_factory=list)
    planned_revision: int = 0
    operations: list[Operation] = field(default_factory=list)
    base_catalog: Catalog | None = None  # what the operations' preview started from
    preview: Catalog | None = None
    is_subscribing: bool = False
    has_run: bool = False  # a query ran: the isolation level is settled
    savepoints: list[Savepoint] = field(default_factory=list)
    discard: DiscardWrites = lambda writes: None  # told of staged writes that are given up

    @property
    def wire_status(self) -> str:
        """The status byte of ReadyForQuery."""
        match self.status:
            case TransactionStatus.EXPLICIT:
                return "T"
            case TransactionStatus.FAILED:
                return "E"
            case _:
                return "I"

    @property
    def is_block(self) -> bool:
        """Whether a BEGIN is open."""
        return self.status in (TransactionStatus.EXPLICIT, TransactionStatus.FAILED)

    def start(self, status: TransactionStatus, now: int, isolation: str, read_only: bool) -> None:
        """From IDLE to IMPLICIT or EXPLICIT."""
        self.status = status
        self.started_at = now
        self.isolation_level = isolation
        self.is_read_only = read_only

    def clear(self) -> None:
        """Back to IDLE; releases the hold."""
        self.status = TransactionStatus.IDLE
        if self.hold is not None:
            self.hold.release()
            self.hold = None
        self.as_of = None
        self.is_subscribing = False
        self.has_run = False
        self.is_read_only = False
        if self.reads:
            self.reads.clear()
        if self.writes:
            self._give_up_writes(0)
        if self.operations:
            self.operations.clear()
        self.base_catalog = self.preview = None
        if self.savepoints:
            self.savepoints.clear()

    # Rules ---------------------------------------------------------------------------------------

    def check_writable(self, command: str) -> None:
        """25006 in a read-only transaction."""
        if self.is_read_only:
            raise SqlError(
                errors.READ_ONLY_SQL_TRANSACTION,
                f"cannot execute {command} in a read-only transaction",
            )
        if self.is_subscribing:
            raise subscribe_only()

    def check_readable(self, ids: frozenset[GlobalId]) -> None:
        """25000 when a statement would have to see what this transaction wrote, or when it reads
        beside a subscription."""
        if self.is_subscribing:
            raise subscribe_only()
        if self.has_written(ids):
            raise SqlError(
                "25000",
                "transaction in write-only mode",
                detail="A transaction cannot read a table that it has written.",
                hint="COMMIT the writes first, then read.",
            )

    def start_subscribing(self) -> None:
        """A subscription begins. 25000 unless it is all that the transaction does."""
        if self.is_subscribing or self.as_of is not None or self.writes or self.operations:
            raise subscribe_only()
        self.is_subscribing = self.has_run = True

    def check_no_staged_reads(self, ids: frozenset[GlobalId], statement: str) -> None:
        """25001 when a read-then-write statement would have to see what was written before it."""
        if self.has_written(ids):
            raise SqlError(
                errors.ACTIVE_SQL_TRANSACTION,
                f"{statement[:1000]} cannot be run inside a transaction block",
                detail="It reads a table that the transaction has written.",
                hint="COMMIT the writes first.",
            )

    def has_written(self, ids: frozenset[GlobalId]) -> bool:
        """Whether one of these collections was written, or made, by this transaction."""
        if self.writes and any(write.id in ids for write in self.writes):
            return True
        if self.base_catalog is None:
            return False
        known = self.base_catalog.collections
        return RAW_CATALOG_ID in ids or any(read not in known for read in ids)

    def check_outside_block(self, statement: str) -> None:
        """25001 for what cannot be part of a transaction with other statements."""
        if self.status is TransactionStatus.EXPLICIT or self.writes or self.as_of is not None:
            raise SqlError(
                errors.ACTIVE_SQL_TRANSACTION,
                f"{statement[:1000]} cannot be run inside a transaction block",
            )

    def add_write(self, write: TableWrite, planned_revision: int) -> None:
        """Stage a write. 54000 when there are too many."""
        if len(self.writes) >= MAX_STAGED_WRITES:
            raise SqlError(
                errors.PROGRAM_LIMIT_EXCEEDED,
                f"a transaction can have at most {MAX_STAGED_WRITES} writes",
            )
        if not self.writes or planned_revision < self.planned_revision:
            self.planned_revision = planned_revision
        self.writes.append(write)

    def take_writes(self) -> tuple[TableWrite, ...]:
        """The staged writes, for the committer: from here on they are not ours to give up."""
        writes = tuple(self.writes)
        self.writes.clear()
        return writes

    def _give_up_writes(self, first: int) -> None:
        self.discard(tuple(self.writes[first:]))
        del self.writes[first:]

    def add_operations(
        self, operations: tuple[Operation, ...], before: Catalog, after: Catalog
    ) -> None:
        """Stage DDL that makes `after` of `before`. 54000 when there is too much."""
        if len(self.operations) + len(operations) > MAX_STAGED_OPERATIONS:
            raise SqlError(
                errors.PROGRAM_LIMIT_EXCEEDED,
                f"a transaction can have at most {MAX_STAGED_OPERATIONS} changes of the schema",
            )
        if self.base_catalog is None:
            self.base_catalog = before
        self.operations.extend(operations)
        self.preview = after

    # Savepoints ----------------------------------------------------------------------------------

    def save(self, name: str, settings: SettingsSnapshot) -> None:
        """SAVEPOINT."""
        if len(self.savepoints) >= MAX_SAVEPOINTS:
            raise SqlError(
                errors.PROGRAM_LIMIT_EXCEEDED,
                f"a transaction can have at most {MAX_SAVEPOINTS} savepoints",
            )
        self.savepoints.append(
            Savepoint(name, len(self.writes), len(self.operations), self.preview, settings)
        )

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT: forgets it and every later one. 3B001."""
        del self.savepoints[self._find_savepoint(name) :]

    def roll_back_to(self, name: str) -> SettingsSnapshot:
        """ROLLBACK TO: undoes what came after it, which stays; also mends a failed block. 3B001."""
        index = self._find_savepoint(name)
        savepoint = self.savepoints[index]
        del self.savepoints[index + 1 :]
        self._give_up_writes(savepoint.write_count)
        del self.operations[savepoint.operation_count :]
        self.preview = savepoint.catalog
        self.status = TransactionStatus.EXPLICIT
        return savepoint.settings

    def _find_savepoint(self, name: str) -> int:
        for index in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[index].name == name:
                return index
        raise SqlError("3B001", f'savepoint "{name}" does not exist')


def subscribe_only() -> SqlError:
    """What a transaction is told that subscribes and does something else."""
    return SqlError("25000", "SUBSCRIBE in transactions must be the only read statement")
