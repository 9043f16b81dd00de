"""The forms in which result rows leave a replica: as bytes that are ready for a pgwire socket."""

from enum import StrEnum

import msgspec

from core.sql_types import SqlType
from expr.scalar import EvaluationContext


class OutputKind(StrEnum):
    """The messages a result is encoded as; either way the bytes are ready for a pgwire socket."""

    ROWS = "rows"  # DataRow messages
    COPY_TEXT = "copy_text"  # CopyData messages, one a row
    COPY_CSV = "copy_csv"
    COPY_BINARY = "copy_binary"


class CopyOptions(msgspec.Struct, frozen=True, array_like=True):
    """COPY's options; `force_*` hold positions among the copied columns."""

    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[int, ...] | None = None  # None: none; all positions for *
    force_not_null: tuple[int, ...] = ()
    force_null: tuple[int, ...] = ()


class OutputFormat(msgspec.Struct, frozen=True, array_like=True):
    """How result rows become bytes.

    `types` are those of the rows after finishing. `formats` are pgwire format codes (0 text, 1
    binary): none means all text, one stands for every column. `names` are for a COPY header.
    """

    types: tuple[SqlType, ...]
    kind: OutputKind = OutputKind.ROWS
    formats: tuple[int, ...] = ()
    copy: CopyOptions = CopyOptions()
    names: tuple[str, ...] = ()
    context: EvaluationContext = EvaluationContext()
