"""The whole server as a process: start, stop, crash, memory, metrics, and SQL over HTTP."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import psycopg
import pytest

from tests.processes import descendants, postmaster, replicas, wait_until_gone
from tests.programs import require_program
from tests.running_server import REPOSITORY, HeadwaterServer

DEADLINE_S: Final = 60.0
MAX_ENVIRONMENTD_BYTES: Final = 120 * 1024 * 1024
MAX_CLUSTERD_BYTES: Final = 150 * 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    yield server
    if server.is_running:
        server.stop()


def execute(server: HeadwaterServer, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(psycopg.connect(server.dsn, autocommit=True)) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []


def get(server: HeadwaterServer, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}{path}") as answer:
        data = answer.read()
        assert isinstance(data, bytes)
        return data


def test_sigterm_stops_everything(server: HeadwaterServer) -> None:
    execute(server, "CREATE TABLE t (a int)")
    processes = descendants(server.pid)
    assert server.stop() == 0
    for process in processes:
        wait_until_gone(process.pid)
    server.start()
    assert execute(server, "SELECT count(*) FROM t") == [(0,)]


def test_sigint_stops_it_while_a_statement_runs(server: HeadwaterServer) -> None:
    with contextlib.closing(psycopg.connect(server.dsn, autocommit=True)) as connection:
        connection.pgconn.send_query(
            b"SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
        )
        pid = server.pid
        os.kill(pid, signal.SIGINT)
        assert server.wait() == 0


def test_a_killed_server_leaves_nothing_behind_and_loses_nothing(server: HeadwaterServer) -> None:
    execute(server, "CREATE TABLE t (a int)")
    execute(server, "INSERT INTO t VALUES (1), (2)")
    processes = descendants(server.pid)
    assert processes
    server.kill()
    for process in processes:
        wait_until_gone(process.pid)
    server.start()
    assert sorted(execute(server, "SELECT a FROM t")) == [(1,), (2,)]


def test_a_killed_replica_is_replaced(server: HeadwaterServer) -> None:
    execute(server, "CREATE TABLE t (a int)")
    execute(server, "INSERT INTO t VALUES (1)")
    killed = replicas(server.pid)
    assert killed
    for process in killed:
        process.kill()
    assert execute_when_possible(server, "SELECT a FROM t") == [(1,)]
    assert {process.pid for process in replicas(server.pid)}.isdisjoint(p.pid for p in killed)


def test_a_killed_postmaster_is_replaced(server: HeadwaterServer) -> None:
    execute(server, "CREATE TABLE t (a int)")
    execute(server, "INSERT INTO t VALUES (1)")
    killed = postmaster(server.pid)
    killed.kill()
    execute_when_possible(server, "INSERT INTO t VALUES (2)")
    assert {(1,), (2,)} <= set(execute(server, "SELECT a FROM t"))
    assert postmaster(server.pid).pid != killed.pid


def execute_when_possible(server: HeadwaterServer, statement: str) -> list[tuple[object, ...]]:
    """Repeat a statement while it fails with a connection or resource error."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return execute(server, statement)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise


def test_a_second_server_on_the_directory_names_the_first(server: HeadwaterServer) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "headwater", "--data-dir", server.data_dir],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert outcome.returncode == 1
    assert f"serving SQL at 127.0.0.1:{server.sql_port}" in outcome.stderr
    assert f"pid {server.pid}" in outcome.stderr
    assert execute(server, "SELECT 1") == [(1,)]


def test_what_it_prints_when_ready(server: HeadwaterServer) -> None:
    server.stop()  # what it has said is whole then
    assert f"psql -h 127.0.0.1 -p {server.sql_port} -U materialize materialize" in server.stderr
    assert f"http://127.0.0.1:{server.http_port}" in server.stderr


def test_memory_after_start(server: HeadwaterServer) -> None:
    assert psutil.Process(server.pid).memory_info().rss < MAX_ENVIRONMENTD_BYTES
    started = replicas(server.pid)
    assert started
    for replica in started:
        assert replica.memory_info().rss < MAX_CLUSTERD_BYTES, replica


def test_sql_over_http(headwater_server: HeadwaterServer) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{headwater_server.http_port}/api/sql",
        data=json.dumps(
            {"queries": [{"query": "SELECT $1::int + 1 AS n, NULL", "params": ["41"]}]}
        ).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        document = json.load(answer)
    (result,) = document["results"]
    assert result["rows"] == [["42", None]]
    assert result["tag"] == "SELECT 1"
    assert [column["name"] for column in result["desc"]["columns"]] == ["n", "?column?"]


def test_sql_errors_over_http(headwater_server: HeadwaterServer) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{headwater_server.http_port}/api/sql",
        data=json.dumps({"query": "SELECT 1; SELECT 1/0; SELECT 2"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        results = json.load(answer)["results"]
    assert len(results) == 2
    assert results[1]["error"]["code"] == "22012"


def test_health(headwater_server: HeadwaterServer) -> None:
    assert get(headwater_server, "/healthz") == b"ok\n"
    assert get(headwater_server, "/readyz") == b"ready\n"


def test_headwater_sql_finds_the_server(headwater_server: HeadwaterServer) -> None:
    directory = str(headwater_server.data_dir)
    command = [sys.executable, "-m", "headwater", "--data-dir", directory, "sql"]
    outcome = subprocess.run(
        [*command, "-c", "SELECT 42 AS answer"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert outcome.stdout.splitlines() == [" answer", "--------", "     42", "(1 row)"]


@pytest.mark.debian
def test_promtool_accepts_all_metrics(headwater_server: HeadwaterServer) -> None:
    promtool = require_program("promtool", "prometheus")
    execute(headwater_server, "CREATE TABLE measured (a int)")
    execute(headwater_server, "INSERT INTO measured VALUES (1)")
    execute(headwater_server, "SELECT * FROM measured")
    metrics = get(headwater_server, "/metrics")
    check = subprocess.run(
        [promtool, "check", "metrics"], input=metrics, capture_output=True, check=False
    )
    # 3 means complaints about style: names kept from Materialize end in _count and the like.
    assert check.returncode in (0, 3), check.stderr.decode()
    text = metrics.decode()
    for name in (
        "mz_slow_message_handling_bucket",
        "mz_coordinator_queue_wait_seconds_bucket",
        "mz_query_total",
        "mz_ts_oracle_seconds_bucket",
        "mz_persist_external_op_latency",
        "mz_append_table_duration_seconds_bucket",
        "mz_time_to_first_row_seconds_bucket",
    ):
        assert f"\n{name}" in text, name


@pytest.mark.debian
def test_a_real_prometheus_scrapes_it(headwater_server: HeadwaterServer, tmp_path: Path) -> None:
    prometheus = require_program("prometheus", "prometheus")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: headwater\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{headwater_server.http_port}']}}]\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=output,
            stderr=output,
        )
    try:
        target = _first_scrape(process, log)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
    assert target["health"] == "up", target["lastError"]


def _first_scrape(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    """What Prometheus says of its one target once it has scraped it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"Prometheus ended with {process.wait(0.1)}:\n{log.read_text()}")
        port = _listening_port(process.pid)
        if port is not None:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets") as answer,
            ):
                targets = json.load(answer)["data"]["activeTargets"]
                if targets and targets[0]["health"] != "unknown":
                    assert isinstance(targets[0], dict)
                    return targets[0]
    raise AssertionError(f"Prometheus did not scrape:\n{log.read_text()}")


def _listening_port(pid: int) -> int | None:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.Process(pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                port = connection.laddr.port
                assert isinstance(port, int)
                return port
    return None
