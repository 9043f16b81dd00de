"""The last steps of a query: order, offset, limit, project, and encoding in bounded pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from compute.encode import COPY_BINARY_HEADER, ResultEncoder, copy_data
from compute.execution import CHUNK_ROWS, Execution, Operator, repeated
from compute.operators.linear import projection
from compute.rendered import Rendered, consolidated
from compute.sorting import SlicedSorter
from core.rows import Row
from core.sql_types import SqlType
from expr.ordering import row_sort_key
from expr.relation import Finishing

SMALL_LIMIT_ROWS: Final = 4096
PIECE_BYTES: Final = 64 * 1024
# How many rows of a list are encoded at first; then as many as their size allows, but not so many
# more that huge rows behind small ones would all come at once.
FIRST_ROWS: Final = 16
MAX_STEP_GROWTH: Final = 4

Rows = list[Row]


class Piece(NamedTuple):
    """Encoded rows on their way out."""

    data: bytes
    row_count: int
    is_last: bool = False


NO_PIECE: Final = Piece(b"", 0)


@dataclass(frozen=True, slots=True)
class FinishedQuery:
    """A rendered relation with its finishing; `types` are those of the final rows."""

    operator: Operator
    types: tuple[SqlType, ...]
    order_key: Callable[[Row], Any] | None
    limit: int | None
    offset: int
    project: Callable[[Row], Row] | None

    def run(self, execution: Execution) -> Iterator[Rows]:
        """The final rows in order, in lists of about CHUNK_ROWS; empty ones between steps."""
        rows = self._ordered(execution)
        if self.offset or self.limit is not None:
            rows = _sliced(rows, self.offset, self.limit)
        project = self.project
        if project is None:
            return rows
        return (list(map(project, part)) for part in rows)

    def _ordered(self, execution: Execution) -> Iterator[Rows]:
        if self.order_key is None:
            for chunk in self.operator.run(execution):
                yield repeated(chunk)
            return
        if self.limit is not None and self.limit + self.offset <= SMALL_LIMIT_ROWS:
            yield from self._first_rows(execution, self.limit + self.offset)
            return
        sorter: SlicedSorter[Row] = SlicedSorter(self.order_key, execution.budget)
        for chunk in self.operator.run(execution):
            sorter.add(repeated(chunk))
            yield []
        yield from sorter.sorted()

    def _first_rows(self, execution: Execution, keep: int) -> Iterator[Rows]:
        assert self.order_key is not None
        order_key = self.order_key
        pairs: list[tuple[Any, Row]] = []
        worst: Any = None
        for chunk in self.operator.run(execution):
            keyed = [(order_key(row), row) for row in repeated(chunk)]
            if worst is not None:
                keyed = [pair for pair in keyed if pair[0] < worst]
            pairs += keyed
            if len(pairs) > 2 * keep + CHUNK_ROWS:
                pairs.sort(key=_pair_key)
                del pairs[keep:]
                worst = pairs[-1][0] if pairs else None
            yield []
        pairs.sort(key=_pair_key)
        yield [row for _, row in pairs[:keep]]


def finished_query(rendered: Rendered, finishing: Finishing) -> FinishedQuery:
    """Add `finishing` to a rendered relation."""
    rendered = consolidated(rendered)
    types = rendered.types
    order_key = row_sort_key(finishing.order_by, types) if finishing.order_by else None
    project = None
    if finishing.project is not None and finishing.project != tuple(range(len(types))):
        project = projection(finishing.project)
        types = tuple(types[index] for index in finishing.project)
    return FinishedQuery(
        rendered.operator, types, order_key, finishing.limit, finishing.offset, project
    )


def encoded(rows: Iterator[Rows], encoder: ResultEncoder) -> Iterator[Piece]:
    """The result in pieces of about PIECE_BYTES (a huge row makes a huge piece); NO_PIECE between
    steps. COPY BINARY's header is part of the first row's message, as PostgreSQL sends it."""
    header = encoder.begin
    joins_header = header == COPY_BINARY_HEADER
    pending: list[bytes] = [] if joins_header or not header else [header]
    pending_bytes = 0
    pending_rows = 0
    for part in rows:
        position, step = 0, FIRST_ROWS
        while position < len(part):
            some = part[position : position + step] if position or len(part) > step else part
            position += len(some)
            data = encoder.rows(some)
            step = max(1, min(PIECE_BYTES * step // len(data), MAX_STEP_GROWTH * step))
            if joins_header:
                data, joins_header = with_header(data, header), False
            pending.append(data)
            pending_bytes += len(data)
            pending_rows += len(some)
            if pending_bytes >= PIECE_BYTES:
                yield Piece(b"".join(pending), pending_rows)
                pending, pending_bytes, pending_rows = [], 0, 0
        yield NO_PIECE
    if joins_header:
        pending.append(copy_data(header + encoder.end[5:]))
    else:
        pending.append(encoder.end)
    yield Piece(b"".join(pending), pending_rows, is_last=True)


def with_header(data: bytes, header: bytes) -> bytes:
    """`data`, whole CopyData messages, with `header` at the start of the first one's payload."""
    length = int.from_bytes(data[1:5], "big")
    return copy_data(header + data[5 : 1 + length]) + data[1 + length :]


def _sliced(rows: Iterator[Rows], offset: int, limit: int | None) -> Iterator[Rows]:
    left = limit
    if left == 0:
        return
    for part in rows:
        if offset:
            if len(part) <= offset:
                offset -= len(part)
                yield []
                continue
            part = part[offset:]
            offset = 0
        if left is None:
            yield part
        elif len(part) < left:
            left -= len(part)
            yield part
        else:
            yield list(islice(part, left))
            return


def _pair_key(pair: tuple[Any, Row]) -> Any:
    return pair[0]
