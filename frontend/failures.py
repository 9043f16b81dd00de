"""Exceptions of any layer as the errors that clients are told of."""

import structlog

from core.errors import SqlError, StorageError
from frontend.responder import ConnectionEndedError
from frontend.responses import internal_error

log = structlog.get_logger()

IO_ERROR = "58030"


def as_sql_error(error: Exception, connection_id: int) -> SqlError:
    """What to answer for `error`; a bug is logged here, once. Raises ConnectionEndedError."""
    match error:
        case SqlError():
            return error
        case ConnectionEndedError():
            raise error
        case StorageError():
            log.warning("storage failed under a statement", connection=connection_id, error=error)
            return SqlError(IO_ERROR, f"the durable store failed: {error}")
        case RecursionError():
            return SqlError("54001", "stack depth limit exceeded")
        case _:
            log.error("statement failed", connection=connection_id, exc_info=error)
            return internal_error()
