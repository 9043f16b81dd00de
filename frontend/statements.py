"""Prepared statements and portals of one session.

A portal is a statement bound to parameters. Its rows come from a `RowSource`, opened when it is
first executed and read as far as clients ask; SQL cursors are portals with names.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from controllers.compute_client import PeekChunk
from core import errors
from core.errors import SqlError
from core.sql_types import RelationDesc, SqlType
from expr.scalar import Literal
from frontend.planning import CachedPlan
from sql.parse import ParsedStatement


class RowSource(Protocol):
    """Encoded rows in order."""

    async def next(self) -> PeekChunk | None:
        """Some more rows; None at the end. Raises SqlError."""
        ...

    async def close(self) -> None:
        """No more rows are wanted. Idempotent."""
        ...


class ReadyRows:
    """Rows that are all there."""

    __slots__ = ("_chunks",)

    def __init__(self, *chunks: PeekChunk) -> None:
        self._chunks = list(reversed(chunks))

    async def next(self) -> PeekChunk | None:
        return self._chunks.pop() if self._chunks else None

    async def close(self) -> None:
        self._chunks.clear()


@dataclass(slots=True)
class PreparedStatement:
    """`parsed` is None for an empty text. `parameter_types` are as the client gave them."""

    name: str
    text: str
    parsed: ParsedStatement | None
    parameter_types: tuple[SqlType | None, ...]
    cached: CachedPlan | None
    result_desc: RelationDesc | None


class PortalState(Enum):
    """How far a portal has got."""

    READY = "ready"
    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Portal:
    """See the module docstring. `tag` has `{}` where the row count goes."""

    name: str
    statement: PreparedStatement
    cached: CachedPlan | None
    parameters: tuple[Literal, ...]
    formats: tuple[int, ...]
    desc: RelationDesc | None
    state: PortalState = PortalState.READY
    source: RowSource | None = None
    leftover: PeekChunk | None = None
    tag: str = "SELECT {}"
    rows_sent: int = 0
    is_cursor: bool = False
    is_stream: bool = False  # its rows come as time goes by, perhaps for ever
    is_repeatable: bool = False  # executing it again repeats the tag (FETCH, SHOW, EXPLAIN)

    async def pull(self, limit: int | None) -> PeekChunk | None:
        """Rows from the source, at most `limit` of them; None when there are no more."""
        chunk = self.leftover
        self.leftover = None
        while chunk is None or chunk.row_count == 0:
            if self.source is None:
                return None
            chunk = await self.source.next()
            if chunk is None:
                await self.finish()
                return None
            if chunk.row_count == 0 and chunk.data:
                return chunk
        if limit is not None and chunk.row_count > limit:
            chunk, self.leftover = chunk.split(limit)
        self.rows_sent += chunk.row_count
        return chunk

    async def finish(self) -> None:
        """The rows are all sent."""
        source, self.source = self.source, None
        self.state = PortalState.DONE
        if source is not None:
            await source.close()

    async def close(self) -> None:
        """Give up what is left."""
        source, self.source = self.source, None
        self.leftover = None
        if source is not None:
            await source.close()


class StatementStore:
    """The prepared statements and portals of a session, within bounds."""

    def __init__(self) -> None:
        self.prepared: dict[str, PreparedStatement] = {}
        self.portals: dict[str, Portal] = {}

    def prepare(self, statement: PreparedStatement, limit: int) -> None:
        """Keep a statement. 42P05 when the name is taken, 54000 past `limit`."""
        if statement.name:
            if statement.name in self.prepared:
                raise SqlError(
                    errors.DUPLICATE_PREPARED_STATEMENT,
                    f'prepared statement "{statement.name}" already exists',
                )
            if len(self.prepared) >= limit:
                raise SqlError(
                    errors.PROGRAM_LIMIT_EXCEEDED,
                    f"a session can have at most {limit} prepared statements",
                    hint="DEALLOCATE some of them.",
                )
        self.prepared[statement.name] = statement

    def find_prepared(self, name: str) -> PreparedStatement:
        """26000 when there is none."""
        found = self.prepared.get(name)
        if found is None:
            shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise SqlError(errors.INVALID_SQL_STATEMENT_NAME, f"{shown} does not exist")
        return found

    def deallocate(self, name: str | None) -> None:
        """DEALLOCATE; None is ALL."""
        if name is None:
            self.prepared.clear()
            return
        self.find_prepared(name)
        del self.prepared[name]

    async def add_portal(self, portal: Portal, limit: int) -> None:
        """Keep a portal; the unnamed one replaces its predecessor. 42P03, 54000."""
        old = self.portals.get(portal.name)
        if old is not None:
            if portal.name:
                kind = "cursor"
                raise SqlError(errors.DUPLICATE_CURSOR, f'{kind} "{portal.name}" already exists')
            if old.source is not None:
                await old.close()
        elif len(self.portals) >= limit:
            raise SqlError(
                errors.PROGRAM_LIMIT_EXCEEDED,
                f"a session can have at most {limit} open portals",
            )
        self.portals[portal.name] = portal

    def find_portal(self, name: str, kind: str = "portal") -> Portal:
        """34000 when there is none."""
        found = self.portals.get(name)
        if found is None:
            raise SqlError(errors.INVALID_CURSOR_NAME, f'{kind} "{name}" does not exist')
        return found

    async def close_portal(self, name: str) -> bool:
        """Forget a portal; whether there was one."""
        portal = self.portals.pop(name, None)
        if portal is None:
            return False
        await portal.close()
        return True

    async def close_portals(self) -> None:
        """Forget every portal: their transaction has ended."""
        portals = list(self.portals.values())
        self.portals.clear()
        for portal in portals:
            await portal.close()
