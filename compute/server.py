"""The replica's side of the protocol: connections, initialization, dispatch of commands.

One environmentd is served at a time; a new connection of the same or a higher epoch takes over and
ends what the old one asked for. What is in memory stays, as long as the instance is the same.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, assert_never, cast

import structlog
from prometheus_client import REGISTRY

from compute.collections import Collections
from compute.dataflow_messages import (
    AdvanceShards,
    AllowCompaction,
    AllowWrites,
    CreateDataflow,
    DataflowSizes,
    DropDataflow,
    RetainDataflows,
    ShardAdvanced,
    SubscribeCredit,
)
from compute.maintained.registry import DataflowRegistry
from compute.metrics import LOOP_LAG_SECONDS, RUNNING_REQUESTS
from compute.prepared import PreparedWorks
from compute.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Command,
    CopyEnd,
    CopyInput,
    CopyStart,
    CreateInstance,
    FrameReader,
    Frontiers,
    Halt,
    Hello,
    InitializationComplete,
    InstanceConfig,
    MetricFamily,
    Peek,
    PeekCredit,
    ProtocolError,
    Push,
    Response,
    Stage,
    Status,
    UpdateConfiguration,
    decode_command,
    encode_frame,
)
from compute.requests import CopyRun, Instance, PeekRun, Request, StageRun, request_error
from compute.scheduler import Scheduler
from core.errors import SqlError, StorageError
from persist.consensus import Fence
from persist.location import open_location
from persist.txn_reader import TxnsReader
from persist.txns_state import TxnsPush

STATUS_INTERVAL_S: Final = 1.0
METRICS_EVERY: Final = 5  # status messages
MAX_REQUESTS: Final = 100_000
MAX_BACKLOG: Final = 10_000
POOL_SIZE: Final = 4
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

MaintainCommand = (
    CreateDataflow
    | DropDataflow
    | RetainDataflows
    | AllowCompaction
    | AllowWrites
    | ShardAdvanced
    | AdvanceShards
    | SubscribeCredit
)

_log: Final = structlog.get_logger(__name__)


class ReplicaServer:
    """One replica process."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._scheduler = Scheduler()
        self._works = PreparedWorks()
        self._instance: Instance | None = None
        self._config: InstanceConfig | None = None
        self._connection: Connection | None = None
        self._epoch = 0
        self._opening = asyncio.Lock()

    def connection(self) -> "Connection":
        """A protocol for a new connection."""
        return Connection(self)

    async def close(self) -> None:
        """End every request and let go of the stores."""
        if self._connection is not None:
            self._connection.close()
        await self._close_instance()

    async def report(self) -> None:
        """Send the status every second, and keep the collections tidy, until cancelled."""
        loop = asyncio.get_running_loop()
        count = 0
        while True:
            due = loop.time() + STATUS_INTERVAL_S
            await asyncio.sleep(STATUS_INTERVAL_S)
            LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - due))
            instance, connection = self._instance, self._connection
            if connection is not None and connection.is_initialized and instance is not None:
                RUNNING_REQUESTS.set(connection.request_count)
                is_detailed = count % METRICS_EVERY == 0
                count += 1
                if is_detailed:
                    connection.send(DataflowSizes(instance.dataflows.measure()))
                metrics = metric_families() if is_detailed else ()
                connection.send(Status(os.getpid(), resident_bytes(), metrics))
                connection.send(Frontiers(instance.reader.upper))
                connection.flush()
            if instance is not None:
                try:
                    await instance.collections.maintain()
                    await instance.dataflows.shard_tables.maintain()
                except StorageError as error:
                    _log.warning("maintenance_failed", error=str(error))

    def admit(self, connection: "Connection", hello: Hello) -> None:
        """Make `connection` the one that is served. Raises ProtocolError."""
        if hello.version != PROTOCOL_VERSION:
            raise ProtocolError(f"protocol version {hello.version} is not {PROTOCOL_VERSION}")
        if hello.epoch < self._epoch:
            raise ProtocolError(f"epoch {hello.epoch} was fenced out by {self._epoch}")
        self._epoch = hello.epoch
        old, self._connection = self._connection, connection
        if old is not None and old is not connection:
            old.close()

    def leave(self, connection: "Connection") -> None:
        if self._connection is connection:
            self._connection = None
            if self._instance is not None:
                self._instance.dataflows.detach()

    async def open_instance(self, config: InstanceConfig) -> Instance:
        """The instance of that configuration, opened if need be. Raises StorageError."""
        async with self._opening:
            if self._instance is not None and self._config == config:
                await self._instance.reader.catch_up()
                return self._instance
            await self._close_instance()
            location = await open_location(
                config.metadata_url,
                config.blob_url,
                fence=Fence(config.environment, config.epoch),
                pool_size=POOL_SIZE,
            )
            try:
                reader = await TxnsReader.open(location, config.txns_shard)
            except BaseException:
                await location.close()
                raise
            collections = Collections(
                reader, location.blob, self._scheduler, config.collection_cache_bytes
            )
            self._config = config
            self._instance = Instance(
                location,
                reader,
                collections,
                DataflowRegistry(location, reader, collections, self._scheduler, config.epoch),
                self._scheduler,
                config.epoch,
                config.query_memory_bytes,
            )
            return self._instance

    @property
    def works(self) -> PreparedWorks:
        return self._works

    async def _close_instance(self) -> None:
        instance, self._instance, self._config = self._instance, None, None
        if instance is not None:
            await instance.dataflows.close()
            await instance.collections.close()
            await instance.reader.close()
            await instance.location.close()


class Connection(asyncio.Protocol):
    """One connection. Commands are carried out in the order they come."""

    def __init__(self, server: ReplicaServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._frames = FrameReader()
        self._out: list[bytes] = []
        self._has_hello = False
        self._opening: asyncio.Task[None] | None = None
        self._instance: Instance | None = None
        self._backlog: list[Command] = []
        self._requests: dict[int, Request] = {}

    @property
    def is_initialized(self) -> bool:
        return self._instance is not None

    @property
    def request_count(self) -> int:
        """How many requests are neither answered nor cancelled."""
        return len(self._requests)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own classes

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.feed(data):
                self._receive(decode_command(payload))
        except ProtocolError as error:
            _log.warning("protocol_error", error=str(error))
            self.send(Halt(str(error)))
            self.flush()
            self.close()
        else:
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Cancel every request and close the socket. Idempotent."""
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.cancel()
        if self._opening is not None:
            self._opening.cancel()
        self._instance = None
        self._server.leave(self)
        if self._transport is not None:
            self._transport.close()

    def send(self, response: Response) -> None:
        """Queue a response; it goes out with the next `flush`, at the latest at the loop's turn."""
        try:
            frame = encode_frame(response)
        except SqlError as error:
            frame = encode_frame(request_error(getattr(response, "id", 0), error))
        if not self._out:
            asyncio.get_running_loop().call_soon(self.flush)
        self._out.append(frame)

    def flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _receive(self, command: Command) -> None:
        instance = self._instance
        if instance is not None:
            self._dispatch(command, instance)
        elif not self._has_hello:
            if not isinstance(command, Hello):
                raise ProtocolError("the first message must be Hello")
            self._has_hello = True
            self._server.admit(self, command)
        elif self._opening is None:
            if not isinstance(command, CreateInstance):
                raise ProtocolError("the second message must be CreateInstance")
            self._opening = asyncio.create_task(self._open(command.config), name="open instance")
        else:
            self._backlog.append(command)
            if len(self._backlog) > MAX_BACKLOG:
                raise ProtocolError("too many messages before InitializationComplete")

    async def _open(self, config: InstanceConfig) -> None:
        try:
            instance = await self._server.open_instance(config)
        except Exception as error:  # reported to environmentd, which tries again
            _log.exception("initialization_failed")
            self.send(Halt(f"cannot open the environment: {error}"))
            self.flush()
            self.close()
            return
        self._instance = instance
        self.send(InitializationComplete(os.getpid()))
        instance.dataflows.attach(self.send)
        backlog, self._backlog = self._backlog, []
        try:
            for command in backlog:
                self._dispatch(command, instance)
        except ProtocolError as error:
            self.send(Halt(str(error)))
            self.flush()
            self.close()
        self.flush()

    def _dispatch(self, command: Command, instance: Instance) -> None:
        match command:
            case Push(seqno=seqno, data=data):
                instance.reader.apply_push(TxnsPush(seqno, data))
            case Peek(id=id, work=work):
                self._begin(
                    id,
                    lambda: PeekRun(
                        command, self._server.works.peek(work), instance, self.send, self._ended
                    ),
                )
                started = self._requests.get(id)
                if isinstance(started, PeekRun):
                    started.start()
            case PeekCredit(id=id, bytes=size_bytes):
                request = self._requests.get(id)
                if isinstance(request, PeekRun):
                    request.add_credit(size_bytes)
            case Cancel(id=id):
                request = self._requests.pop(id, None)
                if request is not None:
                    request.cancel()
            case Stage(id=id):
                self._begin(id, lambda: self._stage(command, instance))
            case CopyStart(id=id, work=work):
                self._begin(
                    id,
                    lambda: CopyRun(
                        id, self._server.works.copy(work), instance, self.send, self._ended
                    ),
                )
            case CopyInput(id=id, data=data):
                request = self._requests.get(id)
                if isinstance(request, CopyRun):
                    self._guarded(id, request, data)
            case CopyEnd(id=id):
                request = self._requests.get(id)
                if isinstance(request, CopyRun):
                    request.end_input()
            case UpdateConfiguration(query_memory_bytes=query, collection_cache_bytes=cache):
                instance.query_memory_bytes = query
                instance.collections.cache_bytes = cache
            case Hello() | CreateInstance():
                raise ProtocolError("a connection is initialized once")
            case (
                CreateDataflow()
                | DropDataflow()
                | RetainDataflows()
                | AllowCompaction()
                | AllowWrites()
                | ShardAdvanced()
                | AdvanceShards()
                | SubscribeCredit()
            ):
                self._maintain(command, instance.dataflows)
            case _:
                assert_never(command)

    def _maintain(self, command: MaintainCommand, dataflows: DataflowRegistry) -> None:
        match command:
            case CreateDataflow(description=description):
                dataflows.create(description)
            case DropDataflow(id=id):
                dataflows.drop(id)
            case RetainDataflows(ids=ids):
                dataflows.retain(ids)
            case AllowCompaction(since=since):
                dataflows.allow_compaction(since)
            case AllowWrites(is_allowed=is_allowed):
                dataflows.allow_writes(is_allowed)
            case ShardAdvanced(shards=shards):
                dataflows.shards_advanced(shards)
            case AdvanceShards(shards=shards, past=past):
                dataflows.advance_shards(shards, past)
            case SubscribeCredit(id=id, bytes=size_bytes):
                dataflows.subscriptions.add_credit(id, size_bytes)

    def _stage(self, command: Stage, instance: Instance) -> StageRun:
        sources, prepared = self._server.works.stage(command.work)
        return StageRun(command, prepared, sources, instance, self.send, self._ended)

    def _begin(self, id: int, make: Callable[[], Request]) -> None:
        if id in self._requests:
            raise ProtocolError(f"request {id} exists already")
        if len(self._requests) >= MAX_REQUESTS:
            raise ProtocolError("too many requests")
        try:
            self._requests[id] = make()
        except ProtocolError:
            raise
        except Exception as error:  # every failure is the request's answer
            self.send(request_error(id, error))

    def _guarded(self, id: int, request: CopyRun, data: bytes) -> None:
        try:
            request.add_input(data)
        except SqlError as error:
            request.cancel()
            self._ended(id)
            self.send(request_error(id, error))

    def _ended(self, id: int) -> None:
        self._requests.pop(id, None)


def resident_bytes() -> int:
    """This process's resident memory."""
    try:
        with Path("/proc/self/statm").open("rb") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def metric_families() -> tuple[MetricFamily, ...]:
    """This process's own metrics, for environmentd to show."""
    return tuple(
        MetricFamily(
            family.name,
            family.type,
            family.documentation,
            tuple(
                (sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
                for sample in family.samples
                if not sample.name.endswith("_created")
            ),
        )
        for family in REGISTRY.collect()
        if family.name.startswith("mz_")
    )
