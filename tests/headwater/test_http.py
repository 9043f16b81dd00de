"""HTTP: its routes, and what it refuses: foreign hosts and origins, huge requests, other types."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import pytest

from core.errors import SqlError
from headwater import http
from headwater.http import HttpDependencies, HttpServer, JsonResult
from headwater.http_origin import HostPolicy
from tests.programs import require_program


class _Executor:
    """The boundary to the frontend: answers each statement with its own text and parameters."""

    def __init__(self) -> None:
        self.is_ready = True
        self.row_count = 1
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.appended: list[tuple[tuple[str, str, str], bytes, str]] = []

    async def execute(
        self, queries: Sequence[tuple[str, Sequence[str | None]]], user: str | None
    ) -> Sequence[JsonResult]:
        if queries[0][0] == "hang":
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        return [
            {"tag": query, "rows": [[*parameters]] * self.row_count}
            for query, parameters in queries
        ]

    async def append(
        self, name: tuple[str, str, str], body: bytes, headers: Mapping[str, str]
    ) -> None:
        if name[2] == "gone":
            raise SqlError("42P01", "there is none")
        if body == b"bad":
            raise SqlError("22P02", "not of the format")
        self.appended.append((name, body, headers["x-kind"]))


@pytest.fixture
async def executor() -> _Executor:
    return _Executor()


@pytest.fixture
async def server(executor: _Executor) -> AsyncIterator[HttpServer]:
    dependencies = HttpDependencies(
        lambda: executor.is_ready, executor.execute, executor.append, allowed_hosts=("db.example",)
    )
    server = await http.serve("127.0.0.1", 0, dependencies)
    yield server
    await server.close()


async def request(
    server: HttpServer,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}{path}"
        async with session.request(method, url, headers=headers, data=body) as response:
            return response.status, await response.read()


async def post_sql(server: HttpServer, document: object) -> tuple[int, bytes]:
    return await request(
        server,
        "POST",
        "/api/sql",
        headers={"Content-Type": "application/json"},
        body=json.dumps(document).encode(),
    )


async def raw(server: HttpServer, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_health_and_readiness(server: HttpServer, executor: _Executor) -> None:
    assert await request(server, "GET", "/healthz") == (200, b"ok\n")
    assert (await request(server, "GET", "/readyz"))[0] == 200
    executor.is_ready = False
    assert (await request(server, "GET", "/readyz"))[0] == 503
    assert (await request(server, "GET", "/healthz"))[0] == 200


async def test_one_text(server: HttpServer) -> None:
    status, body = await post_sql(server, {"query": "SELECT 1"})
    assert status == 200
    assert json.loads(body) == {"results": [{"tag": "SELECT 1", "rows": [[]]}]}


async def test_queries_with_parameters(server: HttpServer) -> None:
    queries = [{"query": "a", "params": ["x", None]}, {"query": "b"}]
    status, body = await post_sql(server, {"queries": queries})
    assert status == 200
    assert json.loads(body)["results"] == [
        {"tag": "a", "rows": [["x", None]]},
        {"tag": "b", "rows": [[]]},
    ]


@pytest.mark.parametrize("row_count", [0, 500, 501, 1700])
async def test_large_results_are_whole(
    server: HttpServer, executor: _Executor, row_count: int
) -> None:
    executor.row_count = row_count
    _, body = await post_sql(server, {"queries": [{"query": "a", "params": ["x"]}] * 2})
    assert json.loads(body)["results"] == [{"tag": "a", "rows": [["x"]] * row_count}] * 2


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"query": 1},
        {"query": "a", "queries": []},
        {"query": "a", "more": 1},
        {"queries": [{"query": "a", "params": [1]}]},
        {"queries": [{"query": "a"}] * 1001},
    ],
)
async def test_malformed_documents(server: HttpServer, document: object) -> None:
    assert (await post_sql(server, document))[0] == 400


async def test_bodies_that_are_not_json(server: HttpServer) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[" * 1_000_000, b"\xff"):
        assert (await request(server, "POST", "/api/sql", headers=headers, body=body))[0] == 400


async def test_other_content_types(server: HttpServer) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": content_type}
        body = b'{"query":"a"}'
        assert (await request(server, "POST", "/api/sql", headers=headers, body=body))[0] == 415


async def test_large_bodies(server: HttpServer) -> None:
    head = b"POST /api/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    announced = await raw(server, head + b"Content-Length: 99999999\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413 ")
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    chunked = await raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5)
    assert chunked.startswith(b"HTTP/1.1 413 ")


async def test_large_webhook_bodies(server: HttpServer) -> None:
    head = b"POST /api/webhook/db/public/events HTTP/1.1\r\nHost: localhost\r\n"
    announced = await raw(server, head + b"Content-Length: 1048577\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413 ")


async def test_large_headers(server: HttpServer) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "
    assert (await raw(server, head + b"x" * 100_000)).startswith(b"HTTP/1.0 431 ")
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(500))
    answer = await raw(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.0 431 "))


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n\r\nx\r\n"]
)
async def test_bytes_that_are_not_http(server: HttpServer, data: bytes) -> None:
    assert (await raw(server, data + b"\r\n\r\n")).startswith(b"HTTP/1.")
    assert (await request(server, "GET", "/healthz"))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:6876", "127.0.0.1.evil.example", "a/b"]
)
async def test_foreign_hosts(server: HttpServer, host: str) -> None:
    assert (await request(server, "GET", "/healthz", headers={"Host": host}))[0] == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:6876", "db.example"]
)
async def test_own_hosts(server: HttpServer, host: str) -> None:
    assert (await request(server, "GET", "/healthz", headers={"Host": host}))[0] == 200


async def test_two_hosts_or_none(server: HttpServer) -> None:
    two = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert (await raw(server, two)).startswith(b"HTTP/1.0 400 ")
    assert b" 400 " in await raw(server, b"GET /healthz HTTP/1.0\r\n\r\n")


async def test_foreign_origins(server: HttpServer) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:1", "file://"):
        assert (await request(server, "GET", "/metrics", headers={"Origin": origin}))[0] == 403
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert (await request(server, "GET", "/metrics", headers=own))[0] == 200


async def test_websockets_of_foreign_pages(server: HttpServer) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://evil.example"}
    assert (await request(server, "GET", "/api/sql", headers=upgrade))[0] == 403


async def test_unknown_paths_and_methods(server: HttpServer) -> None:
    assert (await request(server, "GET", "/nothing"))[0] == 404
    assert (await request(server, "GET", "/api/sql"))[0] == 405
    assert (await request(server, "DELETE", "/metrics"))[0] == 405


async def test_a_client_that_leaves_cancels_its_statement(
    server: HttpServer, executor: _Executor
) -> None:
    body = b'{"query":"hang"}'
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /api/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    async with asyncio.timeout(30):
        await executor.started.wait()
        writer.close()
        await executor.cancelled.wait()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("db/public/events", b"hello", 200),
        ("db/a%2Fb/%C3%A9vents?x=1", b"", 200),
        ("db/public/gone", b"hello", 404),
        ("db/events", b"hello", 404),
        ("db//events", b"hello", 404),
        ("db/public/events", b"bad", 400),
    ],
)
async def test_webhooks(
    server: HttpServer, executor: _Executor, path: str, body: bytes, status: int
) -> None:
    found, _ = await request(
        server, "POST", f"/api/webhook/{path}", body=body, headers={"X-Kind": "test"}
    )
    assert found == status
    if status == 200:
        names = ("db", "a/b", "évents") if "%" in path else ("db", "public", "events")
        assert executor.appended == [(names, body, "test")]
    else:
        assert executor.appended == []


async def test_a_webhook_takes_posts_only(server: HttpServer) -> None:
    status, _ = await request(server, "GET", "/api/webhook/db/public/events")
    assert status == 405


async def test_a_taken_port_is_an_oserror(server: HttpServer, executor: _Executor) -> None:
    with pytest.raises(OSError):
        await http.serve(
            "127.0.0.1",
            server.port,
            HttpDependencies(lambda: True, executor.execute, executor.append),
        )


def test_every_address_is_ours_when_bound_to_all_of_them() -> None:
    policy = HostPolicy("0.0.0.0", ())
    assert policy.admits_host("10.1.2.3:6876")
    assert not policy.admits_host("evil.example:6876")
    assert not HostPolicy("127.0.0.1", ()).admits_host("10.1.2.3:6876")


def check_metrics(promtool: Path, metrics: bytes) -> "subprocess.CompletedProcess[bytes]":
    command: list[str | Path] = [promtool, "check", "metrics"]
    return subprocess.run(command, input=metrics, capture_output=True, check=False)


@pytest.mark.debian
async def test_promtool_accepts_the_metrics(server: HttpServer) -> None:
    promtool = require_program("promtool", "prometheus")
    _, body = await request(server, "GET", "/metrics")
    check = await asyncio.to_thread(check_metrics, promtool, body)
    assert check.returncode in (0, 3), check.stderr.decode()  # 3: complaints about style only
