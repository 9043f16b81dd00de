"""What a subscriber sees of the changes at one time: rows, in an order that all replicas agree on.

Changes come consolidated: each row once, under its canonical encoding. Plainly they are given in
the order of `order_by`, then of the encodings. By envelope they are given in the order of the key;
what stands for a key follows from the changes of its rows at this time alone, so that nothing has
to be remembered between times. Every step is bounded, as large as a change may be.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby, islice
from typing import Any, Final, NamedTuple

import msgspec

from compute.dataflow.updates import Update
from compute.dataflow_messages import SubscribeEnvelope, SubscribeExport
from compute.encode import result_encoder
from compute.execution import CHUNK_ROWS
from compute.maintained.row_changes import Change, RowChanges
from compute.operators.keys import group_key
from compute.output_format import OutputFormat, OutputKind
from compute.result import PIECE_BYTES
from compute.sorting import SlicedSorter
from core.ids import Timestamp
from core.rows import Datum, Row
from core.sql_types import INT8, MZ_TIMESTAMP, SqlType
from expr.ordering import row_sort_key
from expr.relation import ColumnOrder

SORTED_AT_ONCE: Final = 2048
FIRST_ROWS: Final = 16
MAX_ROWS: Final = 256
MAX_STEP_GROWTH: Final = 4


class EncodedRows(NamedTuple):
    """Some of a time's rows as messages."""

    data: bytes
    row_count: int


class ChangeEncoder:
    """Encodes the changes of a subscription; `types` are those of the relation's columns."""

    def __init__(self, export: SubscribeExport, types: Sequence[SqlType]) -> None:
        output, self._time = _with_plain_times(export.output)
        self._encode = result_encoder(output).rows
        self._progress: Row = (False,) if export.with_progress else ()
        self._is_keyed = export.envelope is not SubscribeEnvelope.DIFFS
        self._sort_key = _sort_key(export, tuple(types))
        self._key_of = group_key([(column, types[column]) for column in export.key])
        self._row = _envelope_row(export, len(types))

    def encode(self, ts: Timestamp, changes: RowChanges) -> Iterator[EncodedRows | None]:
        """The rows of all changes at `ts`, in messages of bounded number; None between steps.
        Raises SqlError 53200."""
        prefix = (self._time(ts), *self._progress)
        step = FIRST_ROWS
        for part in self._parts(changes):
            position = 0
            while position < len(part):
                some = part[position : position + step]
                position += len(some)
                if self._is_keyed:
                    rows = [prefix + self._row([update for _, update in group]) for group in some]
                else:
                    rows = [(*prefix, diff, *row) for ((_, (row, diff)),) in some]
                data = self._encode(rows)
                yield EncodedRows(data, len(rows))
                wanted = PIECE_BYTES * len(rows) // len(data)
                step = max(1, min(wanted, MAX_STEP_GROWTH * step, MAX_ROWS))
            yield None

    def _parts(self, changes: RowChanges) -> Iterator[list[list[Change]]]:
        """The changes in order, those that make one row together; in lists of bounded length."""
        ordered = self._ordered(changes)
        if not self._is_keyed:
            return ([[change] for change in part] for part in ordered)
        return self._groups(ordered)

    def _ordered(self, changes: RowChanges) -> Iterator[list[Change]]:
        if len(changes) <= SORTED_AT_ONCE:
            yield sorted(changes, key=self._sort_key)
            return
        sorter: SlicedSorter[Change] = SlicedSorter(self._sort_key, changes.budget)
        items = iter(changes)
        while chunk := list(islice(items, CHUNK_ROWS)):
            sorter.add(chunk)
            yield []
        yield from sorter.sorted()

    def _groups(self, ordered: Iterator[list[Change]]) -> Iterator[list[list[Change]]]:
        """Changes of the same key together; a group may go on in the next part."""

        def key_of(change: Change) -> Datum:
            return self._key_of(change[1][0])

        unfinished: list[Change] = []
        for part in ordered:
            groups = [list(group) for _, group in groupby([*unfinished, *part], key_of)]
            unfinished = groups.pop() if groups else []
            yield groups
        if unfinished:
            yield [unfinished]


def _with_plain_times(output: OutputFormat) -> tuple[OutputFormat, Callable[[int], Datum]]:
    """The form in which times, whose column is numeric, are encoded fastest, and what is then to be
    encoded: as text, integers look the same."""
    is_binary = output.kind is OutputKind.COPY_BINARY or 1 in output.formats[:1]
    if is_binary:
        return output, Decimal
    return msgspec.structs.replace(output, types=(MZ_TIMESTAMP, *output.types[1:])), int


def _sort_key(export: SubscribeExport, types: tuple[SqlType, ...]) -> Callable[[Change], Any]:
    """The order of a time's changes. Encodings are all different, so it leaves nothing open."""
    if export.envelope is not SubscribeEnvelope.DIFFS:
        by_key = row_sort_key(tuple(map(ColumnOrder, export.key)), types)
        return lambda change: (by_key(change[1][0]), change[1][1], change[0])
    if export.order_by:
        by_columns = row_sort_key(export.order_by, (INT8, *types))
        return lambda change: (by_columns((change[1][1], *change[1][0])), change[0])
    return lambda change: change[0]


def _envelope_row(export: SubscribeExport, width: int) -> Callable[[list[Update]], Row]:
    """What stands for the changes of one key: its state, the key and the values."""
    keys = export.key
    values = tuple(column for column in range(width) if column not in keys)
    nothing: Row = (None,) * len(values)
    has_before = export.envelope is SubscribeEnvelope.DEBEZIUM
    inserted, updated = ("insert", "update") if has_before else ("upsert", "upsert")

    def row_of(updates: list[Update]) -> Row:
        before, after = nothing, nothing
        match [diff for _, diff in updates]:
            case [1]:
                state, after = inserted, _pick(updates[0][0], values)
            case [-1]:
                state, before = "delete", _pick(updates[0][0], values)
            case [-1, 1]:
                state = updated
                before, after = (_pick(row, values) for row, _ in updates)
            case _:
                state = "key_violation"
        key = _pick(updates[0][0], keys)
        return (state, *key, *before, *after) if has_before else (state, *key, *after)

    return row_of


def _pick(row: Row, columns: tuple[int, ...]) -> Row:
    return tuple([row[column] for column in columns])
