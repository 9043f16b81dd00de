"""Rows on their way into a table: staged queries and COPY input become batches.

A batch is written with the commit's time left open; environmentd commits it or has it deleted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from compute.copy_rows import check_not_null
from compute.encode import ResultEncoder, result_encoder
from compute.execution import CHUNK_ROWS, Execution
from compute.metrics import COPY_ROWS, STAGED_ROWS
from compute.protocol import CopyWork, StageMode, StageWork
from compute.render import render
from compute.result import FinishedQuery, finished_query
from core.errors import PROGRAM_LIMIT_EXCEEDED, SqlError
from core.rows import Row, RowCodec
from expr.compile import compile_row
from persist.batches import BatchBuilder

MAX_RETURNING_BYTES: Final = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PreparedStage:
    """A compiled `StageWork`."""

    work: StageWork
    query: FinishedQuery
    codec: RowCodec
    returning: Callable[[Row], Row] | None
    encoder: ResultEncoder | None


@dataclass(slots=True)
class StageResult:
    """What staging has come to so far."""

    affected: int = 0
    returning_count: int = 0
    returning_bytes: int = 0
    returning: list[bytes] = field(default_factory=list)


def prepare_stage(work: StageWork) -> PreparedStage:
    """Compile a staged query. Raises SqlError."""
    query = finished_query(render(work.relation, work.context), work.finishing)
    returning = encoder = None
    if work.returning is not None and work.returning_output is not None:
        returning = compile_row(work.returning, work.context)
        encoder = result_encoder(work.returning_output)
    codec = RowCodec([t.base for t in work.table.desc.types])
    return PreparedStage(work, query, codec, returning, encoder)


def stage_rows(
    stage: PreparedStage, execution: Execution, builder: BatchBuilder, result: StageResult
) -> Iterator[None]:
    """Run the query and add its rows to `builder` in bounded steps; the driver flushes the builder
    between them. Raises SqlError."""
    work = stage.work
    width = len(work.table.desc.columns)
    encode, add = stage.codec.encode, builder.add
    for rows in stage.query.run(execution):
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            affected = part
            match work.mode:
                case StageMode.INSERT:
                    check_not_null(part, work.table, work.context)
                    for row in part:
                        add(encode(row), 1)
                case StageMode.DELETE:
                    for row in part:
                        add(encode(row), -1)
                case StageMode.UPDATE:
                    affected = [row[width:] for row in part]
                    check_not_null(affected, work.table, work.context)
                    for row, new in zip(part, affected, strict=True):
                        old_data, new_data = encode(row[:width]), encode(new)
                        if old_data != new_data:
                            add(old_data, -1)
                            add(new_data, 1)
            result.affected += len(part)
            STAGED_ROWS.inc(len(part))
            if stage.returning is not None and stage.encoder is not None and affected:
                _add_returning(stage.encoder, list(map(stage.returning, affected)), result)
            yield
        yield


def stage_copied(
    rows: list[Row], codec: RowCodec, builder: BatchBuilder, result: StageResult
) -> None:
    """Add parsed rows of a COPY to its batch."""
    add = builder.add
    for data in map(codec.encode, rows):
        add(data, 1)
    result.affected += len(rows)
    COPY_ROWS.inc(len(rows))


def copy_codec(work: CopyWork) -> RowCodec:
    """The codec of the rows that a COPY stages."""
    return RowCodec([t.base for t in work.table.desc.types])


def _add_returning(encoder: ResultEncoder, rows: list[Row], result: StageResult) -> None:
    data = encoder.rows(rows)
    result.returning.append(data)
    result.returning_count += len(rows)
    result.returning_bytes += len(data)
    if result.returning_bytes > MAX_RETURNING_BYTES:
        raise SqlError(
            PROGRAM_LIMIT_EXCEEDED,
            f"RETURNING gives more than the limit of {MAX_RETURNING_BYTES} bytes",
        )
