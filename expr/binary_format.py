"""Binary representations of datums: PostgreSQL's send and receive functions."""

from collections.abc import Callable

from core.rows import Datum
from core.sql_types import SqlType


def binary_output(sql_type: SqlType) -> Callable[[Datum], bytes]:
    """The send function of `sql_type`, for datums that are not null."""
    raise NotImplementedError


def binary_input(sql_type: SqlType) -> Callable[[bytes], Datum]:
    """The receive function of `sql_type`, modifier applied; raises SqlError (22P03, 08P01 …)."""
    raise NotImplementedError
