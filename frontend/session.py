"""One session: its handles, settings, transaction, statements and the way to plans.

A session belongs to one task. It keeps its catalog snapshot while the shared revision stands still
(or its transaction reads at an earlier time), and its oracle and controller clients for good, so
that reading and writing tables sends the coordinator nothing.
"""

from collections.abc import Callable, Mapping
from typing import Final

from catalog.state import Catalog
from controllers.clients import ControllerClients
from coordinator.commands import CatalogOutcome, SessionHandles, StartupRequest
from coordinator.committer import (
    CatalogChangedError,
    SerializationConflictError,
    WriteRequest,
)
from core import errors
from core.errors import SqlError
from core.ids import Timestamp
from core.sql_types import SqlType
from expr.scalar import Literal
from frontend.interrupt import Interrupter
from frontend.metrics import ACTIVE_SESSIONS, session_type
from frontend.planning import CachedPlan, PlanScope
from frontend.responses import Notice
from frontend.services import FrontendServices
from frontend.session_calls import SessionCalls, SessionFacts
from frontend.settings import SessionSettings, parse_options
from frontend.statements import StatementStore
from frontend.transaction import Transaction, TransactionStatus
from oracle.oracle import TimestampOracle
from sql.catalog_names import resolve_catalog_literal
from sql.coercion import ParameterTypes
from sql.parse import ParsedStatement, StatementKind
from sql.session_view import PlanningSession
from sql.statement_context import StatementContext
from sql.variable_values import parse_search_path

DEFAULT_DATABASE: Final = "materialize"
INTERNAL_USER: Final = "mz_system"
LAST_COMMIT: Final = "last_commit_timestamp"
MAX_NOTICES: Final = 1_000
NOTICE_LEVELS: Final = {
    "debug5": 0,
    "debug4": 1,
    "debug3": 2,
    "debug2": 3,
    "debug1": 4,
    "info": 5,
    "log": 5,
    "notice": 6,
    "warning": 7,
    "error": 8,
}
SEVERITY_LEVELS: Final = {"DEBUG": 4, "LOG": 5, "INFO": 9, "NOTICE": 6, "WARNING": 7}


class Session:
    """See the module docstring; made by `open_session`."""

    def __init__(
        self,
        services: FrontendServices,
        handles: SessionHandles,
        oracle: TimestampOracle,
        clients: ControllerClients,
        settings: SessionSettings,
        user: str,
        interrupter: Interrupter,
        *,
        is_internal: bool,
    ) -> None:
        self.services = services
        self.coordinator = services.coordinator
        self.connection_id = handles.connection_id
        self.secret_key = handles.secret_key
        self.catalog: Catalog = handles.catalog
        self.is_superuser = handles.is_superuser
        self.oracle = oracle
        self.clients = clients
        self.settings = settings
        self.user = user
        self.interrupter = interrupter
        self.is_internal = is_internal
        self.session_type = session_type(is_internal)
        self.transaction = Transaction(discard=self.coordinator.discard)
        self.store = StatementStore()
        self.notices: list[Notice] = []
        self.statement_started_at = services.clock()
        self._scope: PlanScope | None = None
        self._scope_generation = -1
        self._scope_catalog: Catalog | None = None
        self._is_open = True
        ACTIVE_SESSIONS.labels(self.session_type).inc()

    async def close(self) -> None:
        """End the session: what is open is undone, temporary items go in the background."""
        if not self._is_open:
            return
        self._is_open = False
        ACTIVE_SESSIONS.labels(self.session_type).dec()
        self.transaction.clear()
        await self.store.close_portals()
        await self.coordinator.terminate(self.connection_id)

    # Notices -------------------------------------------------------------------------------------

    def notify(self, notice: Notice) -> None:
        """Tell the client, if it wants to hear of that severity."""
        level = NOTICE_LEVELS.get(str(self.settings.values["client_min_messages"]), 6)
        if SEVERITY_LEVELS.get(notice.severity, 6) >= level and len(self.notices) < MAX_NOTICES:
            self.notices.append(notice)

    def warn(self, sqlstate: str, message: str) -> None:
        self.notify(Notice("WARNING", sqlstate, message))

    # What things depend on -----------------------------------------------------------------------

    @property
    def database(self) -> str:
        return str(self.settings.values["database"])

    @property
    def cluster(self) -> str:
        return str(self.settings.values["cluster"])

    @property
    def statement_timeout_ms(self) -> int:
        return int(self.settings.values["statement_timeout"])

    def limit(self, name: str) -> int:
        """A system parameter that bounds something."""
        return self.services.parameter_int(name, self.catalog.system_parameters)

    def scope(self) -> PlanScope:
        """What plans of this session depend on besides their text."""
        if (
            self._scope is None
            or self._scope_generation != self.settings.generation
            or self._scope_catalog is not self.visible_catalog
        ):
            catalog = self.visible_catalog
            connection = (
                self.connection_id if catalog.is_temporary_connection(self.connection_id) else None
            )
            self._scope = self.services.planner.scope(self.planning_session(), connection)
            self._scope_generation = self.settings.generation
            self._scope_catalog = catalog
        return self._scope

    def planning_session(self) -> PlanningSession:
        values = self.settings.values
        return PlanningSession(
            database=str(values["database"]),
            search_path=parse_search_path(str(values["search_path"])),
            user=self.user,
            is_superuser=self.is_superuser,
            cluster=str(values["cluster"]),
            context=self.settings.context(),
        )

    def calls(self, as_of: Timestamp | None) -> SessionCalls:
        """Answers to the session calls of a plan that runs now."""
        services = self.services
        return SessionCalls(
            SessionFacts(
                settings=self.settings,
                catalog=self.visible_catalog.for_connection(self.connection_id),
                system_parameters=self._show_system_parameter,
                user=self.user,
                database=self.database,
                connection_id=self.connection_id,
                version=services.version,
                environment_id=services.environment_id,
                transaction_started_at=self.transaction.started_at,
                statement_started_at=self.statement_started_at,
                clock=services.clock,
                as_of=as_of,
                started_at=services.started_at,
                is_superuser=self.is_superuser,
            )
        )

    def _show_system_parameter(self, name: str) -> str:
        return self.services.show_parameter(name, self.catalog.system_parameters)

    # Plans ---------------------------------------------------------------------------------------

    async def refresh_catalog(self) -> Catalog:
        """The newest catalog, or the transaction's own once it reads at a time or has done DDL."""
        if self.transaction.preview is not None:
            return self.transaction.preview
        if (
            self.transaction.as_of is None
            and self.coordinator.current_revision() != self.catalog.revision
        ):
            self.catalog = await self.coordinator.catalog_snapshot()
        return self.catalog

    @property
    def visible_catalog(self) -> Catalog:
        """The catalog that the current statement is planned on."""
        return self.transaction.preview or self.catalog

    async def plan(
        self, parsed: ParsedStatement, parameter_types: tuple[SqlType | None, ...] = ()
    ) -> CachedPlan:
        """Plan a statement on the current catalog. Raises SqlError."""
        catalog = await self.refresh_catalog()
        return await self.services.planner.plan(
            parsed, self.scope(), catalog, self.connection_id, parameter_types
        )

    def is_current(self, cached: CachedPlan) -> bool:
        """Whether planning again would give the same."""
        if cached.catalog is not self.visible_catalog or cached.scope is not self.scope():
            return False
        return (
            self.transaction.preview is not None
            or self.transaction.as_of is not None
            or self.coordinator.current_revision() == self.catalog.revision
        )

    def resolve_name(self, text: str, sql_type: SqlType) -> Literal:
        """The catalog object that a parameter of a `reg…` type names. Raises SqlError."""
        catalog = self.visible_catalog.for_connection(self.connection_id)
        context = StatementContext(catalog, self.planning_session(), ParameterTypes((), 0))
        try:
            return resolve_catalog_literal(context, text, sql_type, 0)
        except SqlError as error:
            error.position = None  # it counts in a statement's text, which this is not
            raise

    # Transactions --------------------------------------------------------------------------------

    def begin_statement(self, parsed: ParsedStatement | None) -> None:
        """A statement starts: opens an implicit transaction where there is none.

        Raises 25P02 in a failed block, except for what can end it.
        """
        self.statement_started_at = self.services.clock()
        if self.transaction.status is TransactionStatus.IDLE:
            self.start_transaction(TransactionStatus.IMPLICIT)
        elif self.transaction.status is TransactionStatus.FAILED:
            check_failed(parsed)

    def start_transaction(self, status: TransactionStatus) -> None:
        values = self.settings.values
        self.settings.begin()
        self.transaction.start(
            status,
            self.statement_started_at,
            str(values["transaction_isolation"]),
            bool(values["transaction_read_only"]),
        )

    async def commit(self) -> None:
        """End the transaction, making its writes visible together. Raises SqlError."""
        transaction = self.transaction
        try:
            if transaction.writes or transaction.operations:
                await self.commit_writes()
        except SerializationConflictError:
            self.settings.rollback()
            raise conflict() from None
        except CatalogChangedError:
            self.settings.rollback()
            raise SqlError(
                errors.SERIALIZATION_FAILURE,
                "could not serialize access due to a concurrent change of the schema",
                hint="The transaction might succeed if retried.",
            ) from None
        except BaseException:
            self.settings.rollback()
            raise
        else:
            self.settings.commit()
        finally:
            transaction.clear()
            if self.store.portals:
                await self.store.close_portals()

    async def roll_back(self) -> None:
        """End the transaction, undoing it."""
        self.settings.rollback()
        self.transaction.clear()
        await self.store.close_portals()

    async def fail(self) -> None:
        """A statement failed: a block waits for its end, anything else is undone."""
        if self.transaction.is_block:
            self.transaction.status = TransactionStatus.FAILED
            await self.store.close_portals()
        else:
            await self.roll_back()

    async def commit_writes(self) -> None:
        """Make the staged writes visible together; they cannot be cancelled from here on.

        Raises SqlError, SerializationConflictError and CatalogChangedError.
        """
        transaction = self.transaction
        if transaction.operations:
            await self._commit_operations()
            return
        if not transaction.writes:
            return
        request = WriteRequest(
            transaction.take_writes(),
            transaction.planned_revision,
            frozenset(transaction.reads) if transaction.reads else None,
            transaction.as_of if transaction.reads else None,
        )
        with self.interrupter.shielded():
            self.settings.record(LAST_COMMIT, await self.coordinator.write(request))

    async def _commit_operations(self) -> None:
        transaction = self.transaction
        assert transaction.base_catalog is not None
        with self.interrupter.shielded():
            outcome = await self.coordinator.catalog_transact(
                tuple(transaction.operations),
                transaction.base_catalog.revision,
                transaction.take_writes(),
                user=self.user,
                read_set=frozenset(transaction.reads) if transaction.reads else None,
                read_ts=transaction.as_of if transaction.reads else None,
                previewed_on=transaction.base_catalog,
            )
        self.adopt(outcome)

    def adopt(self, outcome: CatalogOutcome) -> None:
        """See the catalog that this session's commit made."""
        self.catalog = outcome.catalog
        self.settings.record(LAST_COMMIT, outcome.ts)

    def forget_attempt(self) -> None:
        """A statement that is its own transaction lost: it will start over."""
        self.transaction.clear()


def conflict() -> SqlError:
    """What a transaction that lost against a concurrent write is told."""
    return SqlError(
        errors.SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
        hint="The transaction might succeed if retried.",
    )


def check_failed(parsed: ParsedStatement | None) -> None:
    """25P02 for a statement that cannot end a failed block."""
    if parsed is None:
        return
    if parsed.kind is StatementKind.TRANSACTION and parsed.tag in ("COMMIT", "ROLLBACK"):
        return
    raise SqlError(
        errors.IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )


async def open_session(
    services: FrontendServices,
    parameters: Mapping[str, str],
    interrupter: Interrupter,
    cancel: Callable[[], None],
    *,
    is_internal: bool,
    client_address: str = "",
) -> Session:
    """Start a session from a startup packet's parameters.

    Raises SqlError: 28000, 53300, and 42704, 22023 or 55P02 for a startup option.
    """
    user = INTERNAL_USER if is_internal else parameters["user"]
    handles = await services.coordinator.startup(
        StartupRequest(
            user=user,
            database=parameters.get("database") or DEFAULT_DATABASE,
            application_name=parameters.get("application_name", ""),
            cancel=cancel,
            is_internal=is_internal,
            client_address=client_address,
        )
    )
    try:
        settings = initial_settings(services, handles, user, parameters)
        if not is_internal:
            _check_database(handles.catalog, str(settings.values["database"]))
        oracle = await services.coordinator.get_oracle()
        clients = await services.coordinator.get_controller_clients()
    except BaseException:
        await services.coordinator.terminate(handles.connection_id)
        raise
    return Session(
        services, handles, oracle, clients, settings, user, interrupter, is_internal=is_internal
    )


def _check_database(catalog: Catalog, database: str) -> None:
    """A database must exist to be connected to; the superuser may have to create it first."""
    if catalog.database_named(database) is None:
        raise SqlError(errors.INVALID_CATALOG_NAME, f'database "{database}" does not exist')


NOT_SETTINGS: Final = frozenset({"user", "database", "options", "replication"})


def initial_settings(
    services: FrontendServices,
    handles: SessionHandles,
    user: str,
    parameters: Mapping[str, str],
) -> SessionSettings:
    """The settings that a session starts with. Raises SqlError for a bad option."""
    settings = SessionSettings(services.default_settings(handles.catalog.system_parameters))
    settings.set_fixed("mz_version", f"v{services.version} (Headwater)")
    settings.set_fixed("is_superuser", handles.is_superuser)
    settings.set_fixed("session_authorization", user)
    if parameters.get("replication", "false").lower() not in ("false", "off", "no", "0"):
        raise SqlError(errors.FEATURE_NOT_SUPPORTED, "replication connections are not supported")
    settings.set_initial("database", parameters.get("database") or DEFAULT_DATABASE)
    for name, value in parse_options(parameters.get("options", "")):
        settings.set_initial(name, value)
    for name, value in parameters.items():
        if name not in NOT_SETTINGS:
            settings.set_initial(name, value)
    return settings
