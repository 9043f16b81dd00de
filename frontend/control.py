"""Statements about the session itself: transactions, SET and SHOW, DISCARD."""

from typing import Final

from catalog.operations import DropTemporaryItems
from core import errors
from core.errors import SqlError
from frontend.ddl import transact
from frontend.responses import Notice
from frontend.session import Session
from frontend.settings import find_session_variable
from frontend.transaction import TransactionStatus
from sql.plan import DiscardPlan, SetPlan, ShowVariablePlan, TransactionPlan, TransactionVerb
from sql.variable_values import parse_search_path
from sql.variables import SESSION_VARIABLES, SYSTEM_PARAMETERS, Variable, find_variable

ISOLATION: Final = "transaction_isolation"
READ_ONLY: Final = "transaction_read_only"
NEW_TRANSACTION_DEFAULTS: Final = {
    "default_transaction_isolation": ISOLATION,
    "default_transaction_read_only": READ_ONLY,
}


# Transactions ------------------------------------------------------------------------------------


async def control_transaction(session: Session, plan: TransactionPlan) -> str:
    """Carry out transaction control; the command tag. Raises SqlError."""
    match plan.verb:
        case TransactionVerb.BEGIN:
            return _begin(session, plan)
        case TransactionVerb.COMMIT:
            return await _commit(session, plan)
        case TransactionVerb.ROLLBACK:
            return await _roll_back(session, plan)
        case TransactionVerb.SAVEPOINT:
            _check_block(session, "SAVEPOINT")
            assert plan.savepoint is not None
            session.transaction.save(plan.savepoint, session.settings.snapshot())
        case TransactionVerb.RELEASE:
            _check_block(session, "RELEASE SAVEPOINT")
            assert plan.savepoint is not None
            session.transaction.release(plan.savepoint)
        case TransactionVerb.ROLLBACK_TO:
            _check_block(session, "ROLLBACK TO SAVEPOINT")
            assert plan.savepoint is not None
            session.settings.restore(session.transaction.roll_back_to(plan.savepoint))
        case TransactionVerb.SET_TRANSACTION:
            _set_transaction(session, plan)
        case TransactionVerb.SET_SESSION_CHARACTERISTICS:
            if plan.isolation_level is not None:
                set_variable(session, "default_transaction_isolation", plan.isolation_level)
            if plan.read_only is not None:
                set_variable(session, "default_transaction_read_only", _on_off(plan.read_only))
    return plan.tag


def _on_off(value: bool) -> str:
    return "on" if value else "off"


def _check_block(session: Session, command: str) -> None:
    if not session.transaction.is_block:
        raise SqlError(
            errors.NO_ACTIVE_SQL_TRANSACTION,
            f"{command} can only be used in transaction blocks",
        )


def _begin(session: Session, plan: TransactionPlan) -> str:
    transaction = session.transaction
    if transaction.status is TransactionStatus.EXPLICIT:
        session.warn(errors.ACTIVE_SQL_TRANSACTION, "there is already a transaction in progress")
    # Statements of the same message that came before are part of the block, as in PostgreSQL.
    transaction.status = TransactionStatus.EXPLICIT
    _apply_modes(session, plan)
    return plan.tag


def _apply_modes(session: Session, plan: TransactionPlan) -> None:
    transaction = session.transaction
    if plan.isolation_level is not None:
        session.settings.set(ISOLATION, plan.isolation_level, is_local=True)
        transaction.isolation_level = str(session.settings.values[ISOLATION])
    if plan.read_only is not None:
        session.settings.set(READ_ONLY, _on_off(plan.read_only), is_local=True)
        transaction.is_read_only = plan.read_only


def _set_transaction(session: Session, plan: TransactionPlan) -> None:
    if session.transaction.status is not TransactionStatus.EXPLICIT:
        session.warn(
            errors.NO_ACTIVE_SQL_TRANSACTION,
            "SET TRANSACTION can only be used in transaction blocks",
        )
        return
    _check_modes(session, plan.isolation_level is not None, plan.read_only)
    _apply_modes(session, plan)


def _check_modes(session: Session, sets_isolation: bool, read_only: bool | None) -> None:
    transaction = session.transaction
    if sets_isolation and transaction.has_run:
        raise SqlError(
            errors.ACTIVE_SQL_TRANSACTION,
            "SET TRANSACTION ISOLATION LEVEL must be called before any query",
        )
    if read_only is False and transaction.is_read_only and transaction.has_run:
        raise SqlError(
            errors.ACTIVE_SQL_TRANSACTION,
            "transaction read-write mode must be set before any query",
        )


async def _commit(session: Session, plan: TransactionPlan) -> str:
    transaction = session.transaction
    if transaction.status is TransactionStatus.FAILED:
        return await _roll_back(session, plan, tag="ROLLBACK")
    _warn_unless_block(session)
    await session.commit()
    _chain(session, plan)
    return plan.tag


async def _roll_back(session: Session, plan: TransactionPlan, tag: str | None = None) -> str:
    _warn_unless_block(session)
    await session.roll_back()
    _chain(session, plan)
    return tag or plan.tag


def _warn_unless_block(session: Session) -> None:
    if not session.transaction.is_block:
        session.warn(errors.NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress")


def _chain(session: Session, plan: TransactionPlan) -> None:
    if plan.chain:
        session.start_transaction(TransactionStatus.EXPLICIT)


# Variables ---------------------------------------------------------------------------------------


def run_set(session: Session, plan: SetPlan) -> None:
    """SET, RESET, RESET ALL. Raises SqlError."""
    if plan.name is None:
        session.settings.reset_all()
        return
    if plan.is_local and session.transaction.status is not TransactionStatus.EXPLICIT:
        session.warn(
            errors.NO_ACTIVE_SQL_TRANSACTION, "SET LOCAL can only be used in transaction blocks"
        )
    set_variable(session, plan.name, plan.value, is_local=plan.is_local)


def set_variable(session: Session, name: str, value: str | None, *, is_local: bool = False) -> None:
    """Set one variable (None: to its default) with all that follows from it."""
    variable = find_variable(name) if name.lower() in SYSTEM_PARAMETERS else None
    variable = variable or find_session_variable(name)
    key = variable.name.lower()
    transaction = session.transaction
    if key in (ISOLATION, READ_ONLY) and transaction.status is TransactionStatus.EXPLICIT:
        _check_modes(session, key == ISOLATION, None)
        is_local = True
    session.settings.set(variable.name, value, is_local=is_local)
    also = NEW_TRANSACTION_DEFAULTS.get(key)
    if also is not None:
        session.settings.set(also, value, is_local=is_local)
    if key == ISOLATION:
        transaction.isolation_level = str(session.settings.values[key])
    if key == READ_ONLY:
        transaction.is_read_only = bool(session.settings.values[key])
    _warn_of_missing(session, key)


def _warn_of_missing(session: Session, key: str) -> None:
    settings = session.settings
    if not settings.values["current_object_missing_warnings"]:
        return
    catalog = session.visible_catalog
    name = str(settings.values.get(key, ""))
    match key:
        case "database" if catalog.database_named(name) is None:
            sqlstate, message = "MZ006", f'database "{name}" does not exist'
        case "cluster" if catalog.cluster_named(name) is None:
            sqlstate, message = "MZ007", f'cluster "{name}" does not exist'
        case "search_path" if not _has_schema(session, parse_search_path(name)):
            shown = ", ".join(parse_search_path(name))
            sqlstate, message = "MZ008", f"no schema on the search path exists: {shown}"
        case _:
            return
    session.notify(Notice("NOTICE", sqlstate, message))


def _has_schema(session: Session, path: tuple[str, ...]) -> bool:
    view = session.visible_catalog.for_connection(session.connection_id)
    return any(view.schema(session.database, (name,)) is not None for name in path)


def show_rows(session: Session, plan: ShowVariablePlan) -> list[tuple[str, ...]]:
    """The rows of SHOW name and SHOW ALL. Raises 42704."""
    if plan.name is None:
        variables = (*SESSION_VARIABLES.values(), *SYSTEM_PARAMETERS.values())
        return [
            (variable.name, _shown(session, variable), variable.description)
            for variable in sorted(variables, key=lambda v: v.name.lower())
        ]
    system = SYSTEM_PARAMETERS.get(plan.name.lower())
    return [(_shown(session, system or find_session_variable(plan.name)),)]


def _shown(session: Session, variable: Variable) -> str:
    if variable.name.lower() in SYSTEM_PARAMETERS:
        return session.services.show_parameter(variable.name, session.catalog.system_parameters)
    return session.settings.text(variable)


async def discard(session: Session, plan: DiscardPlan) -> None:
    """DISCARD. Raises 25001 for ALL in a block."""
    target = plan.target.upper()
    if target == "ALL":
        transaction = session.transaction
        if transaction.status is TransactionStatus.EXPLICIT or transaction.has_run:
            raise SqlError(
                errors.ACTIVE_SQL_TRANSACTION,
                "DISCARD ALL cannot run inside a transaction block",
            )
        await session.store.close_portals()
        session.store.prepared.clear()
        session.settings.reset_all()
    if target in ("ALL", "TEMP", "TEMPORARY") and session.catalog.is_temporary_connection(
        session.connection_id
    ):
        await transact(
            session, (DropTemporaryItems(session.connection_id),), session.catalog.revision
        )
