"""COPY: input is relayed to a replica as bytes, which stages it; output comes from one encoded.

The session sees no rows of either. A window between session and replica bounds what is in flight,
and the socket is not read while it is full.
"""

from compute.output_format import OutputKind
from controllers.compute_client import CopyFormat as ReplicaCopyFormat
from controllers.compute_client import CopyFromRequest, CopyStaging, OutputFormat
from controllers.compute_client import CopyOptions as ReplicaCopyOptions
from coordinator.committer import TableWrite
from expr.scalar import Literal, Scalar
from expr.scalar import substitute as substitute_scalar
from frontend.dml import target_table
from frontend.planning import CachedPlan
from frontend.select import cannot_serve, open_copy
from frontend.session import Session
from frontend.statements import RowSource
from frontend.subscribe import open_subscription
from sql.plan import CopyFormat, CopyFromPlan, CopyOptions, CopySubscribePlan, CopyToPlan, Query

OUTPUT_KINDS = {
    CopyFormat.TEXT: OutputKind.COPY_TEXT,
    CopyFormat.CSV: OutputKind.COPY_CSV,
    CopyFormat.BINARY: OutputKind.COPY_BINARY,
}


async def start_copy_from(session: Session, cached: CachedPlan, plan: CopyFromPlan) -> CopyStaging:
    """Begin to take in rows. Raises SqlError."""
    session.transaction.check_writable("COPY FROM")
    session.transaction.has_run = True
    calls = session.calls(session.transaction.as_of)

    def bind(scalar: Scalar | None) -> Scalar | None:
        return None if scalar is None else substitute_scalar(scalar, (), calls)

    catalog = session.visible_catalog
    cluster = catalog.serving_cluster(session.cluster)
    if cluster is None:
        raise cannot_serve(catalog, session.cluster)
    return await session.clients.compute.copy_from(
        CopyFromRequest(
            cluster=cluster.id,
            table=target_table(session, plan.table, plan.table_name, plan.not_null),
            columns=plan.columns,
            fill=tuple(map(bind, plan.fill)),
            format=ReplicaCopyFormat(plan.options.format.value),
            options=_options(plan.options),
            context=cached.scope.session.context,
        )
    )


async def finish_copy_from(
    session: Session, cached: CachedPlan, plan: CopyFromPlan, staging: CopyStaging
) -> str:
    """The input is complete: stage its batch in the transaction; the command tag."""
    staged = await staging.finish()
    if staged.batch.update_count:
        session.transaction.add_write(
            TableWrite(plan.table, staged.batch, plan.table_name), cached.catalog.revision
        )
    return f"COPY {staged.affected}"


async def start_copy_subscription(
    session: Session,
    cached: CachedPlan,
    plan: CopySubscribePlan,
    parameters: tuple[Literal, ...],
) -> RowSource:
    """Begin to stream changes as CopyData messages. Raises SqlError."""
    desc = plan.subscribe.desc
    output = OutputFormat(
        desc.types,
        kind=OUTPUT_KINDS[plan.options.format],
        copy=_options(plan.options),
        names=desc.names,
        context=cached.scope.session.context,
    )
    return await open_subscription(session, cached, parameters, output)


async def start_copy_to(session: Session, cached: CachedPlan, plan: CopyToPlan) -> RowSource:
    """Begin to read rows as CopyData messages. Raises SqlError."""
    desc = plan.query.desc
    _, types = plan.query.sent(plan.query.finishing, _binary_columns(plan.query, plan.options))
    output = OutputFormat(
        types,
        kind=OUTPUT_KINDS[plan.options.format],
        copy=_options(plan.options),
        names=desc.names,
        context=cached.scope.session.context,
    )
    return await open_copy(session, cached, output, _binary_columns(plan.query, plan.options))


def _binary_columns(query: Query, options: CopyOptions) -> range:
    return range(len(query.desc.columns) if options.format is CopyFormat.BINARY else 0)


def _options(options: CopyOptions) -> ReplicaCopyOptions:
    return ReplicaCopyOptions(
        delimiter=options.delimiter,
        null=options.null,
        header=options.header,
        quote=options.quote,
        escape=options.escape,
        force_quote=options.force_quote,
        force_not_null=options.force_not_null,
        force_null=options.force_null,
    )
