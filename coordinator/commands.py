"""The closed set of coordinator commands.

A command is a frozen value with the future of its answer. A session sends a few at its start, one
per DDL statement and one at its end; reading and writing tables sends none.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from catalog.state import Catalog
from controllers.clients import ControllerClients
from coordinator.requests import CatalogOutcome as CatalogOutcome
from coordinator.requests import CatalogRequest
from oracle.oracle import TimestampOracle


@dataclass(frozen=True, slots=True)
class StartupRequest:
    """A new session. `cancel` is called (synchronously, must not block) when another connection
    asks to cancel this session's statement. `is_internal`: it came by the internal port."""

    user: str
    database: str
    application_name: str
    cancel: Callable[[], None]
    is_internal: bool = False
    client_address: str = ""


@dataclass(frozen=True, slots=True)
class SessionHandles:
    """What a session keeps. `secret_key` and `connection_id` go into BackendKeyData."""

    connection_id: int
    secret_key: int
    catalog: Catalog
    is_superuser: bool


@dataclass(frozen=True, slots=True)
class Startup:
    request: StartupRequest
    answer: asyncio.Future[SessionHandles]


@dataclass(frozen=True, slots=True)
class Terminate:
    """The session is over; its temporary items are dropped in the background."""

    connection_id: int
    answer: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel that session's statement, if the secret is right; answered the same either way."""

    connection_id: int
    secret_key: int
    answer: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    answer: asyncio.Future[Catalog]


@dataclass(frozen=True, slots=True)
class GetOracle:
    timeline: str
    answer: asyncio.Future[TimestampOracle]


@dataclass(frozen=True, slots=True)
class GetControllerClients:
    answer: asyncio.Future[ControllerClients]


@dataclass(frozen=True, slots=True)
class CatalogTransact:
    """Change the catalog (and write tables) in one commit; handed to the committer."""

    request: CatalogRequest


@dataclass(frozen=True, slots=True)
class CoordinatorState:
    """The coordinator's own state, by reference: whoever asked works on it elsewhere."""

    catalog: Catalog
    queued: int
    sessions: tuple["SessionSummary", ...]


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One open session."""

    connection_id: int
    user: str
    database: str
    application_name: str
    client_address: str
    is_internal: bool


@dataclass(frozen=True, slots=True)
class Dump:
    answer: asyncio.Future[CoordinatorState]


@dataclass(frozen=True, slots=True)
class CheckConsistency:
    """Answered with the state to check; the checking itself is the asker's."""

    answer: asyncio.Future[CoordinatorState]


Command = (
    Startup
    | Terminate
    | CancelRequest
    | CatalogSnapshot
    | GetOracle
    | GetControllerClients
    | CatalogTransact
    | Dump
    | CheckConsistency
)
