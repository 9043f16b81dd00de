"""Wires the parts of `environmentd` together, in order, and takes them apart in reverse.

Order: metadata database → epoch (from here on earlier processes cannot write) → persist and oracle
→ catalog → coordinator and controllers → replicas → listening sockets → ready. Whatever was opened
is closed on the way out, however far the start got. An owner task that ends, for whatever reason,
ends the process with a message: nothing goes on half-alive.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from catalog.boot import BootParameters, IncompatibleCatalogError, open_catalog
from catalog.durable import CorruptCatalogError
from catalog.operations import CatalogChangedError, ForgetFinalizedShards
from catalog.state import Catalog
from compute.protocol import InstanceConfig
from controllers.clients import ControllerClients
from controllers.compute_controller import ComputeClusters
from controllers.introspection import Introspection
from controllers.orchestrator import ProcessOrchestrator
from controllers.read_holds import ReadHolds
from controllers.shard_pool import ShardPool
from controllers.storage_collections import StorageCollections
from controllers.storage_controller import StorageController
from controllers.written_shards import WrittenShards
from coordinator.client import CoordinatorClient
from coordinator.committer import Committer
from coordinator.coordinator import Coordinator
from coordinator.epoch_guard import EpochGuard
from coordinator.implications import replica_limits
from coordinator.implications_task import ImplicationsTask
from coordinator.published import PublishedCatalog
from coordinator.watchdog import Watchdog, measure_loop_lag
from core.clock import system_clock
from core.errors import FencedError, SqlError, StorageError
from core.ids import Epoch, ShardId, Timestamp
from frontend.server import FrontendDependencies, serve
from headwater import http
from headwater.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from headwater.settings import BoundAddresses, Settings
from headwater.supervisor import Supervisor
from headwater.version import VERSION
from oracle.batching import BatchingOracle
from oracle.commit_point import PostgresCommitPoint
from oracle.postgres import open_postgres_oracle
from persist.batches import UpdateChunk
from persist.handles import finalize_shard
from persist.location import EnvironmentClaim, PersistLocation, claim_environment, open_location
from persist.postgres_pool import PostgresPool
from persist.txn_reader import TxnsReader
from persist.txn_wal import TxnsWriter
from sql.variables import check_alter_system, system_value

POSTGRES_DIRECTORY: Final = "postgres"
ORACLE_CONNECTIONS: Final = 2
COMMIT_CONNECTIONS: Final = 1
REPLICA_START_TIMEOUT_S: Final = 30.0
THREAD_SWITCH_INTERVAL_S: Final = 0.0005  # planning threads give way to the event loop
GC_THRESHOLDS: Final = (5_000, 20, 50)  # a collection of the old costs milliseconds: do few

_log = structlog.get_logger("headwater.boot")


class BootError(Exception):
    """The server cannot start, or cannot go on; the message is for the operator."""


@dataclass(slots=True)
class _Environment:
    """The durable half: what is open once the environment is ours."""

    metadata_url: str
    claim: EnvironmentClaim
    location: PersistLocation
    oracle: BatchingOracle
    writer: TxnsWriter
    catalog: Catalog


async def run(
    settings: Settings, stop: asyncio.Event, announce: Callable[[BoundAddresses], None]
) -> None:
    """Serve until `stop` is set; `announce` is called once everything serves.

    Raises BootError when the server cannot start or had to stop by itself.
    """
    started = time.monotonic()
    supervisor = Supervisor()
    try:
        async with _open(settings, supervisor) as addresses:
            # What was loaded so far lives as long as the process: no need to collect it.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            sys.setswitchinterval(THREAD_SWITCH_INTERVAL_S)
            announce(addresses)
            _log.info("ready", seconds=round(time.monotonic() - started, 2))
            failure = await _wait_for_end(stop, supervisor)
            if failure is not None:
                raise failure
        _log.info("stopped")
    except (FencedError, StorageError, EmbeddedPostgresError, OSError) as error:
        raise BootError(_explain(error)) from error
    except (CorruptCatalogError, IncompatibleCatalogError) as error:
        raise BootError(str(error)) from error
    except BaseExceptionGroup as group:
        raise BootError(_explain(_first_leaf(group))) from group


async def _wait_for_end(stop: asyncio.Event, supervisor: Supervisor) -> BaseException | None:
    """None when asked to stop, else what made an owner task end."""
    waits = [
        asyncio.create_task(stop.wait(), name="wait for a signal"),
        asyncio.create_task(supervisor.wait_failed(), name="wait for a failure"),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return supervisor.failure


@asynccontextmanager
async def _open(settings: Settings, supervisor: Supervisor) -> AsyncIterator[BoundAddresses]:
    async with AsyncExitStack() as stack:
        environment = await _open_environment(settings, stack, supervisor)
        coordinator = await _start_owners(settings, environment, stack, supervisor)
        yield await _listen(settings, coordinator, environment.catalog, stack)


async def _open_environment(
    settings: Settings, stack: AsyncExitStack, supervisor: Supervisor
) -> _Environment:
    url = settings.metadata_url
    if url is None:
        postgres = await EmbeddedPostgres.start(settings.data_dir / POSTGRES_DIRECTORY)
        stack.push_async_callback(postgres.stop)
        url = postgres.url
    claim = await claim_environment(url)
    _log.info("environment claimed", environment=claim.fence.environment, epoch=claim.fence.epoch)
    location = await open_location(url, settings.blob_url, fence=claim.fence)
    stack.push_async_callback(location.close)
    oracle_pool = PostgresPool(url, ORACLE_CONNECTIONS)
    stack.push_async_callback(oracle_pool.close)
    guard = EpochGuard(
        await open_postgres_oracle(oracle_pool, claim.fence), claim.fence.epoch, supervisor.fail
    )
    oracle = BatchingOracle(guard)
    stack.push_async_callback(oracle.close)
    commit_pool = PostgresPool(url, COMMIT_CONNECTIONS)
    stack.push_async_callback(commit_pool.close)
    commit_point = PostgresCommitPoint(commit_pool, claim.fence)
    writer = await TxnsWriter.open(location, claim.txns_shard, commit_point)
    chunks = await _read_catalog(location, claim)
    parameters = BootParameters(
        catalog_shard=claim.catalog_shard,
        epoch=claim.fence.epoch,
        now=Timestamp(system_clock()),
        system_parameters=_checked(settings.system_parameters),
    )
    catalog = await open_catalog(chunks, writer, location.blob, parameters)
    return _Environment(url, claim, location, oracle, writer, catalog)


async def _read_catalog(location: PersistLocation, claim: EnvironmentClaim) -> list[UpdateChunk]:
    reader = await TxnsReader.open(location, claim.txns_shard)
    try:
        as_of = Timestamp(reader.upper - 1)
        return [chunk async for chunk in reader.snapshot(claim.catalog_shard, as_of)]
    finally:
        await reader.close()


def _checked(parameters: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    checked: list[tuple[str, str]] = []
    for name, value in parameters:
        try:
            known, normal = check_alter_system(name, value)
        except SqlError as error:
            raise BootError(f"--system-parameter {name}={value}: {error.message}") from error
        assert normal is not None
        checked.append((known, normal))
    return tuple(checked)


async def _start_owners(
    settings: Settings,
    environment: _Environment,
    stack: AsyncExitStack,
    supervisor: Supervisor,
) -> CoordinatorClient:
    """Start every task that owns something; they stop in reverse, after the listening sockets."""
    writer, claim = environment.writer, environment.claim
    published = PublishedCatalog(environment.catalog)
    committer = Committer(writer, published, claim.catalog_shard, system_clock)
    collections = StorageCollections(
        ReadHolds(),
        upper=lambda: writer.upper,
        lag_us=lambda: _since_lag_us(published.catalog),
    )
    writer.set_since_provider(collections.since_of)
    storage = StorageController(
        collections,
        writer,
        destroy=lambda shard: finalize_shard(environment.location, shard),
        forget=lambda shards: _forget_finalized(client, shards),
        live_shards=lambda: frozenset(
            collection.shard for collection in published.catalog.collections.values()
        ),
    )
    query_memory, collection_cache = replica_limits(environment.catalog)
    clusters = ComputeClusters(
        ProcessOrchestrator(settings.data_dir),
        InstanceConfig(
            environment=claim.fence.environment,
            epoch=Epoch(claim.fence.epoch),
            metadata_url=environment.metadata_url,
            blob_url=settings.blob_url,
            txns_shard=claim.txns_shard,
            query_memory_bytes=query_memory,
            collection_cache_bytes=collection_cache,
        ),
        collections,
    )
    stack.push_async_callback(clusters.close)
    writer.add_listener(lambda push, _record: clusters.push(push))
    shards = WrittenShards(environment.location, writer.notice_written)
    clusters.add_shard_listener(shards.advanced)
    implications = ImplicationsTask(clusters, shards, collections, storage.finalize)
    committer.add_listener(implications.changed)
    # Before anything may compact: takes the holds of what is maintained, and starts the replicas.
    await implications.start(environment.catalog)
    watchdog = Watchdog()
    stack.callback(watchdog.close)
    introspection = Introspection(clusters, collections, lambda: published.catalog, system_clock)
    clients = ControllerClients(clusters, collections, ShardPool(), introspection)
    coordinator = Coordinator(published, committer, environment.oracle, clients, watchdog)
    client = CoordinatorClient(coordinator, committer, published)
    stack.push_async_callback(supervisor.stop_all)
    supervisor.start("txn-wal", writer.run_apply())
    supervisor.start("event loop lag", measure_loop_lag())
    supervisor.start("committer", committer.run())
    supervisor.start("coordinator", coordinator.run())
    supervisor.start("storage controller", storage.run())
    supervisor.start("implications", implications.run())
    await _wait_for_replicas(clusters)
    return client


def _since_lag_us(catalog: Catalog) -> int:
    return int(system_value("since_lag", catalog.system_parameters)) * 1000


async def _forget_finalized(client: CoordinatorClient, shards: tuple[ShardId, ...]) -> None:
    """Remove the rows of finalized shards from the catalog, through the committer like any DDL."""
    try:
        await client.catalog_transact((ForgetFinalizedShards(shards),), client.current_revision())
    except (SqlError, CatalogChangedError) as error:
        # Nothing is lost: the rows stay, and finalizing what is gone already is harmless.
        _log.warning("could not forget finalized shards", error=str(error))


async def _wait_for_replicas(clusters: ComputeClusters) -> None:
    try:
        await clusters.wait_ready(REPLICA_START_TIMEOUT_S)
    except TimeoutError as error:
        raise BootError(
            f"the replicas did not start within {REPLICA_START_TIMEOUT_S:.0f} s; see the log above"
        ) from error


async def _listen(
    settings: Settings, coordinator: CoordinatorClient, catalog: Catalog, stack: AsyncExitStack
) -> BoundAddresses:
    environment_id = catalog.config_value("environment_id")
    assert environment_id is not None
    dependencies = FrontendDependencies(
        coordinator=coordinator,
        environment_id=environment_id,
        version=VERSION,
        clock=system_clock,
    )
    address = settings.internal_sql_listen_addr
    internal = await serve(address.host, address.port, dependencies, internal=True)
    stack.push_async_callback(internal.close)
    address = settings.sql_listen_addr
    public = await serve(address.host, address.port, dependencies, internal=False)
    stack.push_async_callback(public.close)
    address = settings.http_listen_addr
    http_server = await http.serve(
        address.host,
        address.port,
        http.HttpDependencies(
            is_ready=lambda: True,
            execute_json=public.execute_json,
            append_webhook=public.append_webhook,
            allowed_hosts=settings.http_allowed_hosts,
        ),
    )
    stack.push_async_callback(http_server.close)
    return BoundAddresses(
        settings.sql_listen_addr.with_port(public.port),
        settings.internal_sql_listen_addr.with_port(internal.port),
        settings.http_listen_addr.with_port(http_server.port),
    )


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first


def _explain(error: BaseException) -> str:
    if isinstance(error, FencedError):
        return (
            f"another Headwater process took over this environment ({error}); this one has stopped"
        )
    return f"{type(error).__name__}: {error}" if isinstance(error, StorageError) else str(error)
