"""Requests to real replicas that die, are missing, or are given up."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controllers.compute_client import PeekRequest
from controllers.replica import ClusterSpec
from core.errors import CANNOT_CONNECT_NOW, UNDEFINED_OBJECT, SqlError
from core.sql_types import INT4
from tests.compute.compute_environment import (
    CLUSTER,
    REPLICA,
    ComputeEnvironment,
    Table,
    compute_environment,
)

ROWS = [(1,), (2,), (3,)]


@pytest.fixture
async def environment(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[ComputeEnvironment]:
    async with compute_environment(fresh_database_url, tmp_path) as made:
        yield made


@pytest.fixture
async def table(environment: ComputeEnvironment) -> Table:
    table = await environment.create_table(INT4)
    await environment.insert(table, ROWS)
    return table


def kill_replica(environment: ComputeEnvironment) -> int:
    pid = environment.replica_pid
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_a_peek_whose_replica_dies_is_answered_by_the_next(
    environment: ComputeEnvironment, table: Table
) -> None:
    killed = kill_replica(environment)
    # Nobody has noticed the death yet: the peek is sent to the dead process first.
    assert sorted(await environment.rows_of(table.get, table)) == [("1",), ("2",), ("3",)]
    assert environment.replica_pid != killed


async def test_commits_while_there_is_no_replica_are_seen_by_the_next(
    environment: ComputeEnvironment, table: Table
) -> None:
    assert len(await environment.rows_of(table.get, table)) == 3
    kill_replica(environment)
    await environment.insert(table, [(4,)])
    assert len(await environment.rows_of(table.get, table)) == 4


async def test_a_closed_stream_leaves_the_replica_free_for_others(
    environment: ComputeEnvironment, table: Table
) -> None:
    for _ in range(3):
        stream = await environment.clusters.peek(environment.request(table.get, table))
        await stream.aclose()
        await stream.aclose()
    assert len(await environment.rows_of(table.get, table)) == 3


async def test_clusters_without_replicas_and_without_a_name(
    environment: ComputeEnvironment, table: Table
) -> None:
    request = environment.request(table.get, table)
    unknown = PeekRequest("u9", request.relation, request.as_of, request.output)
    with pytest.raises(SqlError) as caught:
        await environment.clusters.peek(unknown)
    assert caught.value.sqlstate == UNDEFINED_OBJECT
    environment.clusters.ensure_cluster(ClusterSpec(CLUSTER, "quickstart", ()))
    with pytest.raises(SqlError) as caught:
        await environment.clusters.peek(request)
    assert caught.value.sqlstate == CANNOT_CONNECT_NOW
    environment.clusters.ensure_cluster(ClusterSpec(CLUSTER, "quickstart", (REPLICA,)))
    assert len(await environment.rows_of(table.get, table)) == 3
