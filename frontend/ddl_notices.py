"""Notices of DDL: what was there already, what was not, what went along."""

from typing import Final

from catalog.operations import OperationResult
from core import errors
from frontend.responses import Notice
from frontend.session import Session
from sql.plan import (
    CreateClusterPlan,
    CreateDatabasePlan,
    CreateIndexPlan,
    CreateMaterializedViewPlan,
    CreateReplicaPlan,
    CreateSchemaPlan,
    CreateSourcePlan,
    CreateTablePlan,
    CreateViewPlan,
    DropPlan,
    DropReplicaPlan,
)

_EXISTS: Final = {
    CreateDatabasePlan: (errors.DUPLICATE_DATABASE, "database"),
    CreateSchemaPlan: (errors.DUPLICATE_SCHEMA, "schema"),
    CreateTablePlan: (errors.DUPLICATE_TABLE, "relation"),
    CreateViewPlan: (errors.DUPLICATE_TABLE, "relation"),
    CreateMaterializedViewPlan: (errors.DUPLICATE_TABLE, "relation"),
    CreateSourcePlan: (errors.DUPLICATE_TABLE, "relation"),
    CreateIndexPlan: (errors.DUPLICATE_TABLE, "relation"),
    CreateClusterPlan: (errors.DUPLICATE_OBJECT, "cluster"),
    CreateReplicaPlan: (errors.DUPLICATE_OBJECT, "cluster replica"),
}


def announce_missing(session: Session, plan: object) -> None:
    """What IF EXISTS did not find."""
    if isinstance(plan, DropPlan | DropReplicaPlan):
        for thing in plan.missing:
            session.notify(
                Notice(
                    "NOTICE",
                    errors.SUCCESSFUL_COMPLETION,
                    f"{thing} does not exist, skipping",
                )
            )


def announce(session: Session, plan: object, result: OperationResult) -> None:
    """What IF NOT EXISTS found, and what CASCADE dropped."""
    if result.was_skipped and type(plan) in _EXISTS:
        sqlstate, word = _EXISTS[type(plan)]
        session.notify(
            Notice("NOTICE", sqlstate, f'{word} "{_name(plan)}" already exists, skipping')
        )
    if result.cascaded:
        lines = [f"drop cascades to {each}" for each in result.cascaded]
        if len(lines) == 1:
            notice = Notice("NOTICE", errors.SUCCESSFUL_COMPLETION, lines[0])
        else:
            notice = Notice(
                "NOTICE",
                errors.SUCCESSFUL_COMPLETION,
                f"drop cascades to {len(lines)} other objects",
                detail="\n".join(lines[:100]),
            )
        session.notify(notice)


def _name(plan: object) -> str:
    match plan:
        case CreateTablePlan(name=name) | CreateViewPlan(name=name):
            return name.item
        case CreateMaterializedViewPlan(name=name) | CreateIndexPlan(name=name):
            return name.item
        case CreateSourcePlan(name=name):
            return name.item
        case CreateDatabasePlan(name=text) | CreateSchemaPlan(name=text):
            return text
        case CreateClusterPlan(name=text):
            return text
        case CreateReplicaPlan(cluster=cluster, name=text):
            return f"{cluster}.{text}"
        case _:
            return ""
