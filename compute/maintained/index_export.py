"""Indexes: a dataflow's output kept arranged by a key, to be read at recent times.

Those who read it are peeks and, through its feed, other dataflows. Both read it at their own times,
while it goes on changing: it keeps the history that they hold.

Rows are found by SQL equality of their key; nulls are kept, and equal each other as group keys. A
row whose key cannot be computed is an error in data of the whole index.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Final

from compute.compiled import row_key
from compute.dataflow.arrangement import Arrangement
from compute.dataflow.updates import ErrorUpdates, Update, Updates
from compute.dataflow_messages import DataflowDescription, IndexExport
from compute.execution import CHUNK_ROWS
from compute.maintained.error_history import ErrorHistory
from compute.maintained.export import Upper
from compute.operators.keys import group_key, identity_key
from compute.operators.linear import projection
from compute.scheduler import Scheduler
from core.errors import SqlError
from core.ids import Timestamp
from core.rows import Row
from core.sql_types import SqlType
from expr.relation import column_types
from expr.scalar import ColumnRef
from persist.snapshot import SinceError

NO_TIME: Final = Timestamp(0)
MAX_HISTORY_BYTES: Final = 256 * 1024 * 1024  # more is not kept for reads of
LEAST_HISTORY_US: Final = 60_000_000  # so long ago

ChangeListener = Callable[[Timestamp, Updates, ErrorUpdates], None]


class IndexArrangement:
    """The `Export` of an index."""

    def __init__(self, description: DataflowDescription, scheduler: Scheduler) -> None:
        export = description.export
        assert isinstance(export, IndexExport)
        self.on = export.on
        self.relation = description.relation
        self.types = column_types(description.relation)
        self.key_columns = _key_columns(export)
        self.is_closed = False
        self.users = 0  # dataflows that follow it
        self.readers: set[IndexAt] = set()
        self._scheduler = scheduler
        self.retain_us = description.retain_history_us
        key = row_key(export.key, group_key, description.context)
        self.arrangement = Arrangement(key, identity_key(self.types), skips_null=False)
        self.arrangement.keep_history(description.as_of)
        self._key_of = group_key([(n, scalar.type) for n, scalar in enumerate(export.key)])
        self.errors = ErrorHistory()
        self.dataflow: Upper | None = None
        self._as_of = description.as_of
        self._listeners: list[ChangeListener] = []

    @property
    def since(self) -> Timestamp:
        return self.arrangement.since

    @property
    def upper(self) -> Timestamp:
        return NO_TIME if self.dataflow is None else self.dataflow.upper

    @property
    def is_hydrated(self) -> bool:
        return self.dataflow is not None and self.dataflow.upper > self._as_of

    # As an export

    def start(self, as_of: Timestamp, dataflow: Upper) -> None:
        self.dataflow = dataflow

    def changes(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        if updates:
            try:
                self.arrangement.stage(updates)
            except SqlError:
                self.arrangement.unstage()
                updates, failed = self._with_keys(updates)
                errors = errors + failed
                self.arrangement.stage(updates)
            self.arrangement.commit(ts)
        if errors:
            self.errors.add(ts, errors)
        for listener in self._listeners:
            listener(ts, updates, errors)

    def frontier(self, upper: Timestamp) -> None:
        """Reads ask the dataflow itself."""

    async def room(self) -> None:
        """There is always room."""

    @property
    def durable_upper(self) -> Timestamp:
        return NO_TIME

    @property
    def is_fragmented(self) -> bool:
        return False

    @property
    def row_count(self) -> int:
        return self.arrangement.row_count

    @property
    def size_bytes(self) -> int:
        return self.arrangement.size_bytes

    def bounded(self, since: Timestamp) -> Timestamp:
        """`since`, or a later time if too much history would be kept for reads of long ago: those
        are given up."""
        if self.arrangement.history_bytes <= MAX_HISTORY_BYTES:
            return since
        since = max(since, Timestamp(self.upper - LEAST_HISTORY_US - self.retain_us))
        for reader in tuple(self.readers):
            if reader.as_of < since:
                reader.give_up()
        return since

    def allow_compaction(self, since: Timestamp) -> None:
        since = min(since, Timestamp(self.upper - 1 - self.retain_us))
        if since > self.since:
            self._scheduler.work_off(self.arrangement.compact(since))
            self.errors.compact(self.since)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.dataflow = None
            self._free_if_unused()

    # For its readers

    def add_listener(self, listener: ChangeListener) -> None:
        """Call `listener` with every change from now on."""
        self._listeners.append(listener)

    def remove_listener(self, listener: ChangeListener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def hold(self, ts: Timestamp) -> None:
        """Keep the contents at `ts` until `release`, even if the index is dropped."""
        self.arrangement.hold(ts)

    def release(self, ts: Timestamp) -> None:
        self.arrangement.release(ts)
        self._free_if_unused()

    def get_at(self, key: Row, ts: Timestamp) -> Iterable[Update]:
        """The rows whose key is SQL-equal to `key` at a held time; none if part of it is null."""
        if None in key:
            return ()
        # Copied, since the caller may pause while the key's rows change.
        return tuple(self.arrangement.get_at(self._key_of(key), ts))

    def _free_if_unused(self) -> None:
        if self.is_closed and not self.arrangement.is_held:
            self._scheduler.work_off(self.arrangement.dismantle())

    def _with_keys(self, updates: Updates) -> tuple[Updates, ErrorUpdates]:
        """The updates whose key can be computed, and the errors of the others."""
        key_of = self.arrangement.key
        good: Updates = []
        errors: ErrorUpdates = []
        for row, diff in updates:
            try:
                key_of(row)
            except SqlError as error:
                errors.append((error, diff))
            else:
                good.append((row, diff))
        return good, errors


class IndexAt:
    """An index at a peek's time, as operators see it; held until `release`. Raises SinceError once
    it was given up."""

    __slots__ = ("_index", "_is_held", "as_of")

    def __init__(self, index: IndexArrangement, as_of: Timestamp) -> None:
        index.hold(as_of)
        index.readers.add(self)
        self.as_of = as_of
        self._index = index
        self._is_held = True

    @property
    def row_count(self) -> int:
        return self._index.row_count

    @property
    def key_count(self) -> int:
        return self._index.arrangement.key_count

    @property
    def key_columns(self) -> tuple[int, ...] | None:
        key = self._index.key_columns
        return None if key is None else tuple(column for column, _ in key)

    def scan(self, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        whole = columns is None or columns == tuple(range(len(self._index.types)))
        project = None if whole or columns is None else projection(columns)
        for rows, weights in self._index.arrangement.scan_at(self.as_of):
            self._check()
            if project is not None:
                rows = list(map(project, rows))
            if weights is None:
                yield rows
                continue
            copies = chain.from_iterable(map(repeat, rows, weights))
            while chunk := list(islice(copies, CHUNK_ROWS)):
                yield chunk

    def lookup(self, key: Row) -> Iterable[Update]:
        self._check()
        return self._index.get_at(key, self.as_of)

    def give_up(self) -> None:
        """The index keeps nothing for this any more."""
        if self._is_held:
            self._is_held = False
            self._index.readers.discard(self)
            self._index.release(self.as_of)

    def release(self) -> None:
        self.give_up()

    def _check(self) -> None:
        if not self._is_held:
            raise SinceError(self.as_of, self._index.since)


def _key_columns(export: IndexExport) -> tuple[tuple[int, SqlType], ...] | None:
    """The key's columns with their types; None if it is not of columns alone."""
    places = [(s.index, s.type) for s in export.key if isinstance(s, ColumnRef)]
    return tuple(places) if len(places) == len(export.key) else None
