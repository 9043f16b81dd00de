"""COPY input, second half: fields to rows.

Parsers hand over *records*, lists of fields (str, or None for null), some hundred at a time. They
are converted column by column; only when something is wrong are they gone through one by one, to
say where. Error texts and contexts are PostgreSQL's.
"""

import re
from collections.abc import Callable, Sequence
from itertools import repeat
from math import isinf
from typing import Final

from compute.encode import text_line_encoder
from compute.protocol import CopyWork, TargetTable
from core.errors import BAD_COPY_FILE_FORMAT, NOT_NULL_VIOLATION, SqlError
from core.rows import Datum, Row
from core.sql_types import SqlType
from expr.compile import compile_row
from expr.scalar import EvaluationContext, Literal
from expr.text_format import text_input

Field = str | None
Record = list[Field]
FieldColumn = Sequence[Field]
ColumnParser = Callable[[FieldColumn], list[Datum]]

MAX_CONTEXT_CHARACTERS: Final = 100
_INTEGER_LIMITS: Final = {21: 2**15, 23: 2**31, 20: 2**63}
_TIME_OIDS: Final = frozenset({1082, 1083, 1114, 1184})
_MAX_TIMES: Final = 32_768
_ABSOLUTE_TIME: Final = re.compile(r"[0-9TZ:./+ \-]{1,40}", re.ASCII)
_PLAIN_FLOATS: Final = re.compile(r"[0-9.eE+\-]*", re.ASCII)


class RowMaker:
    """Makes rows of the table from records; checks NOT NULL."""

    def __init__(self, work: CopyWork) -> None:
        self.table = work.table
        self.width = len(work.columns)
        desc = work.table.desc
        self.column_names = tuple(desc.columns[index].name for index in work.columns)
        self.types = tuple(desc.columns[index].type for index in work.columns)
        self._places = {column: field for field, column in enumerate(work.columns)}
        self._inputs = [text_input(t, work.context) for t in self.types]
        self._parsers = [
            _column_parser(t, parse) for t, parse in zip(self.types, self._inputs, strict=True)
        ]
        fill = [scalar for scalar in work.fill if scalar is not None]
        self._is_fill_constant = all(isinstance(scalar, Literal) for scalar in fill)
        self._fill = compile_row(fill, work.context)
        self._context = work.context

    def rows(self, records: list[Record], where: Callable[[int], str]) -> list[Row]:
        """The rows of `records`. `where(i)` is the context line of record i.

        Raises SqlError with a context.
        """
        width = self.width
        if any(map(width.__ne__, map(len, records))):
            self._raise_wrong_width(records, where)
        if not width:
            return self.assembled([], len(records), where)
        columns = list(zip(*records, strict=True))
        try:
            parsed = [parse(c) for parse, c in zip(self._parsers, columns, strict=True)]
        except SqlError:
            self._raise_bad_field(records, where)
            raise
        return self.assembled(parsed, len(records), where)

    def assembled(
        self, parsed: Sequence[Sequence[Datum]], count: int, where: Callable[[int], str]
    ) -> list[Row]:
        """Whole rows of the table from columns of datums, defaults filled in."""
        table = self.table
        if len(self._places) == len(table.desc.columns):
            columns = [parsed[self._places[i]] for i in range(len(table.desc.columns))]
        else:
            if self._is_fill_constant:
                fill = [[value] * count for value in self._fill(())]
            else:
                fill = list(map(list, zip(*map(self._fill, repeat((), count)), strict=True)))
            defaults = iter(fill)
            columns = [
                parsed[self._places[i]] if i in self._places else next(defaults)
                for i in range(len(table.desc.columns))
            ]
        rows = list(zip(*columns, strict=True)) if columns else [()] * count
        for position, _ in table.not_null:
            if None in columns[position]:
                check_not_null(rows, table, self._context, where)
        return rows

    def _raise_wrong_width(self, records: list[Record], where: Callable[[int], str]) -> None:
        for index, record in enumerate(records):
            if len(record) > self.width:
                raise SqlError(
                    BAD_COPY_FILE_FORMAT,
                    "extra data after last expected column",
                    context=where(index),
                )
            if len(record) < self.width:
                name = self.column_names[len(record)]
                raise SqlError(
                    BAD_COPY_FILE_FORMAT,
                    f'missing data for column "{name}"',
                    context=where(index),
                )
            self._check_record(record, index, where)

    def _raise_bad_field(self, records: list[Record], where: Callable[[int], str]) -> None:
        for index, record in enumerate(records):
            self._check_record(record, index, where)

    def _check_record(self, record: Record, index: int, where: Callable[[int], str]) -> None:
        for field, name, parse in zip(record, self.column_names, self._inputs, strict=True):
            if field is None:
                continue
            try:
                parse(field)
            except SqlError as error:
                place = where(index).partition(": ")[0]
                error.context = f"{place}, column {name}: {quoted(field)}"
                raise


def check_not_null(
    rows: Sequence[Row],
    table: TargetTable,
    context: EvaluationContext,
    where: Callable[[int], str] | None = None,
) -> None:
    """Raises SqlError 23502 for the first row with a null where none may be."""
    for index, row in enumerate(rows):
        for position, name in table.not_null:
            if row[position] is None:
                shown = text_line_encoder(table.desc.types, context)(row)
                raise SqlError(
                    NOT_NULL_VIOLATION,
                    f'null value in column "{name}" of relation "{table.name}" violates '
                    "not-null constraint",
                    detail=f"Failing row contains ({shown}).",
                    context=where(index) if where is not None else None,
                )


def quoted(text: str) -> str:
    """`text` as a context shows it, cut when it is long."""
    if len(text) > MAX_CONTEXT_CHARACTERS:
        text = text[:MAX_CONTEXT_CHARACTERS] + "..."
    return f'"{text}"'


def _column_parser(sql_type: SqlType, parse: Callable[[str], Datum]) -> ColumnParser:
    if sql_type.oid == 25:
        return list
    if sql_type.oid in _INTEGER_LIMITS:
        return _integer_parser(_INTEGER_LIMITS[sql_type.oid], parse)
    if sql_type.oid == 701:
        return _float_parser(parse)
    if sql_type.oid in _TIME_OIDS:
        return _time_parser(parse)
    return lambda column: [None if field is None else parse(field) for field in column]


def _integer_parser(limit: int, parse: Callable[[str], Datum]) -> ColumnParser:
    def integers(column: FieldColumn) -> list[Datum]:
        fields = column if None not in column else [f for f in column if f is not None]
        joined = "".join(fields)  # type: ignore[arg-type]
        digits = joined.replace("-", "")
        # Python's int() takes more than PostgreSQL's: other scripts' digits, other blanks.
        if not joined or not (digits.isdecimal() and digits.isascii()):
            return [None if field is None else parse(field) for field in column]
        try:
            if fields is column:
                values: list[Datum] = list(map(int, fields))  # type: ignore[arg-type]
            else:
                values = [None if field is None else int(field) for field in column]
        except ValueError:
            return [None if field is None else parse(field) for field in column]
        present = values if fields is column else [v for v in values if v is not None]
        if max(present) >= limit or min(present) < -limit:
            return [None if field is None else parse(field) for field in column]
        return values

    return integers


def _float_parser(parse: Callable[[str], Datum]) -> ColumnParser:
    def floats(column: FieldColumn) -> list[Datum]:
        fields = [field for field in column if field is not None]
        if not _PLAIN_FLOATS.fullmatch("".join(fields)):
            return [None if field is None else parse(field) for field in column]
        try:
            values = [None if field is None else float(field) for field in column]
        except ValueError:
            return [None if field is None else parse(field) for field in column]
        if 0.0 in values or any(isinf(value) for value in values if value is not None):
            return [None if field is None else parse(field) for field in column]
        return values

    return floats


def _time_parser(parse: Callable[[str], Datum]) -> ColumnParser:
    """Dates and times, which repeat in bulk loads; relative ones (`now`) are not remembered."""
    memo: dict[str, Datum] = {}

    def remembered(field: str) -> Datum:
        value = parse(field)
        if _ABSOLUTE_TIME.fullmatch(field):
            if len(memo) >= _MAX_TIMES:
                memo.clear()
            memo[field] = value
        return value

    def times(column: FieldColumn) -> list[Datum]:
        known = memo.get
        return [
            None
            if field is None
            else remembered(field)
            if (value := known(field)) is None
            else value
            for field in column
        ]

    return times
