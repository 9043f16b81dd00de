"""Errors that reach a user, and the two kinds of storage failure.

A `SqlError` carries everything of an ErrorResponse: SQLSTATE, message, detail, hint and position.
Whatever a client can cause is a `SqlError`; any other exception is a bug and answered with XX000.
SQLSTATEs are those of PostgreSQL's appendix A ("PostgreSQL Error Codes").

Storage errors are *determinate* (the write did not happen) or *indeterminate* (it may have
happened); only the store's own client decides which, and nothing above may guess.
"""

from typing import Final


class SqlError(Exception):
    """An error answered to the client. `position` counts characters of the statement from 1."""

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        severity: str = "ERROR",
        context: str | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.severity = severity
        self.context = context


class StorageError(Exception):
    """The durable store could not do what was asked."""


class DeterminateError(StorageError):
    """The operation did not happen and never will; trying again is safe."""


class IndeterminateError(StorageError):
    """The operation may have happened or may still happen."""


class FencedError(StorageError):
    """A process with a higher epoch owns this environment; this one must end."""


SUCCESSFUL_COMPLETION: Final = "00000"
WARNING: Final = "01000"
PROTOCOL_VIOLATION: Final = "08P01"
CONNECTION_FAILURE: Final = "08006"
FEATURE_NOT_SUPPORTED: Final = "0A000"
CARDINALITY_VIOLATION: Final = "21000"
STRING_DATA_RIGHT_TRUNCATION: Final = "22001"
NUMERIC_VALUE_OUT_OF_RANGE: Final = "22003"
INVALID_DATETIME_FORMAT: Final = "22007"
DATETIME_FIELD_OVERFLOW: Final = "22008"
DIVISION_BY_ZERO: Final = "22012"
INVALID_PARAMETER_VALUE: Final = "22023"
INVALID_TEXT_REPRESENTATION: Final = "22P02"
INVALID_BINARY_REPRESENTATION: Final = "22P03"
BAD_COPY_FILE_FORMAT: Final = "22P04"
CHARACTER_NOT_IN_REPERTOIRE: Final = "22021"
INVALID_REGULAR_EXPRESSION: Final = "2201B"
NOT_NULL_VIOLATION: Final = "23502"
ACTIVE_SQL_TRANSACTION: Final = "25001"
READ_ONLY_SQL_TRANSACTION: Final = "25006"
NO_ACTIVE_SQL_TRANSACTION: Final = "25P01"
IN_FAILED_SQL_TRANSACTION: Final = "25P02"
INVALID_SQL_STATEMENT_NAME: Final = "26000"
INVALID_AUTHORIZATION: Final = "28000"
DEPENDENT_OBJECTS_STILL_EXIST: Final = "2BP01"
INVALID_CURSOR_NAME: Final = "34000"
INVALID_CATALOG_NAME: Final = "3D000"
INVALID_SCHEMA_NAME: Final = "3F000"
SERIALIZATION_FAILURE: Final = "40001"
STATEMENT_COMPLETION_UNKNOWN: Final = "40003"
INSUFFICIENT_PRIVILEGE: Final = "42501"
SYNTAX_ERROR: Final = "42601"
INVALID_COLUMN_REFERENCE: Final = "42P10"
INVALID_NAME: Final = "42602"
DUPLICATE_COLUMN: Final = "42701"
AMBIGUOUS_COLUMN: Final = "42702"
UNDEFINED_COLUMN: Final = "42703"
UNDEFINED_OBJECT: Final = "42704"
DUPLICATE_OBJECT: Final = "42710"
DUPLICATE_ALIAS: Final = "42712"
AMBIGUOUS_FUNCTION: Final = "42725"
GROUPING_ERROR: Final = "42803"
WINDOWING_ERROR: Final = "42P20"
DATATYPE_MISMATCH: Final = "42804"
WRONG_OBJECT_TYPE: Final = "42809"
CANNOT_COERCE: Final = "42846"
UNDEFINED_FUNCTION: Final = "42883"
UNDEFINED_TABLE: Final = "42P01"
UNDEFINED_PARAMETER: Final = "42P02"
DUPLICATE_CURSOR: Final = "42P03"
DUPLICATE_DATABASE: Final = "42P04"
DUPLICATE_PREPARED_STATEMENT: Final = "42P05"
DUPLICATE_SCHEMA: Final = "42P06"
DUPLICATE_TABLE: Final = "42P07"
AMBIGUOUS_PARAMETER: Final = "42P08"
INVALID_TABLE_DEFINITION: Final = "42P16"
INDETERMINATE_DATATYPE: Final = "42P18"
CONFIGURATION_LIMIT_EXCEEDED: Final = "53400"
TOO_MANY_CONNECTIONS: Final = "53300"
PROGRAM_LIMIT_EXCEEDED: Final = "54000"
STATEMENT_TOO_COMPLEX: Final = "54001"
TOO_MANY_COLUMNS: Final = "54011"
TOO_MANY_ARGUMENTS: Final = "54023"
OUT_OF_MEMORY: Final = "53200"
OBJECT_NOT_IN_PREREQUISITE_STATE: Final = "55000"
CANT_CHANGE_RUNTIME_PARAM: Final = "55P02"
QUERY_CANCELED: Final = "57014"
ADMIN_SHUTDOWN: Final = "57P01"
CANNOT_CONNECT_NOW: Final = "57P03"
INTERNAL_ERROR: Final = "XX000"
