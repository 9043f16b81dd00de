"""A replica whose process ends whenever it is started."""

import asyncio
from pathlib import Path

import pytest

from compute.output_format import OutputFormat
from compute.protocol import InstanceConfig
from controllers.compute_client import PeekRequest
from controllers.compute_controller import ComputeClusters
from controllers.orchestrator import ProcessOrchestrator, ReplicaEvent
from controllers.read_holds import ReadHolds
from controllers.replica import ClusterSpec, ReplicaSpec
from controllers.storage_collections import StorageCollections
from core.errors import CANNOT_CONNECT_NOW, SqlError
from core.ids import Epoch, Timestamp, new_shard_id
from expr.relation import Constant

ENDS = 2
DEADLINE_S = 60.0


async def test_who_waits_for_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controllers.cluster.REPLICA_TIMEOUT_S", 0.01)
    orchestrator = ProcessOrchestrator(tmp_path, extra_arguments=("--no-such-option",))
    config = InstanceConfig("test", Epoch(1), "postgresql://nowhere", "postgres:", new_shard_id())
    collections = StorageCollections(ReadHolds(), lambda: Timestamp(1), lambda: 0)
    clusters = ComputeClusters(orchestrator, config, collections)
    ends: asyncio.Queue[ReplicaEvent] = asyncio.Queue()

    def listen(event: ReplicaEvent) -> None:
        if event.exit_status is not None:
            ends.put_nowait(event)

    orchestrator.add_listener(listen)
    try:
        replicas = (ReplicaSpec("u7", "r1"),)
        clusters.ensure_cluster(ClusterSpec("u1", "quickstart", replicas))
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(ENDS):
                await ends.get()
        relation = Constant((), ())
        request = PeekRequest("u1", relation, Timestamp(0), OutputFormat(()))
        with pytest.raises(SqlError) as caught:
            await anext(await clusters.peek(request))
    finally:
        await clusters.close()
    error = caught.value
    assert error.sqlstate == CANNOT_CONNECT_NOW
    assert error.message == 'no replica of cluster "quickstart" is available'
    assert error.detail is not None
    assert f'Replica "r1" keeps stopping: {ENDS} times' in error.detail
    assert "exit status 2" in error.detail
