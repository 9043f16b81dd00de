"""HTTP: /metrics, /healthz, /readyz, SQL as JSON at POST /api/sql, and webhook sources.

Requests are answered only when their Host header names this server, and never to pages of another
origin, so that a web page cannot talk to a database on the visitor's machine. Everything that a
client can make grow has a bound. Deliberately absent: TLS and users (for now), compression.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import msgspec
import structlog
from aiohttp import http_exceptions, web
from prometheus_client import Counter

from headwater.http_metrics import METRICS_CONTENT_TYPE, render_metrics
from headwater.http_origin import HostPolicy
from headwater.http_webhook import MAX_WEBHOOK_BYTES, WEBHOOK_PATH, AppendWebhook, Webhooks
from headwater.version import VERSION

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_HEADER_BYTES: Final = 8_190  # of one header line
MAX_HEADERS: Final = 64
MAX_CONNECTIONS: Final = 256
MAX_QUERIES: Final = 1_000
MAX_PARAMETERS: Final = 65_535
IDLE_TIMEOUT_S: Final = 75.0  # also bounds the time that a request's header may take
BODY_TIMEOUT_S: Final = 60.0
SHUTDOWN_TIMEOUT_S: Final = 1.0
LINGER_S: Final = 1.0  # for what a client still sends after an early answer
ROWS_PER_SLICE: Final = 500

JsonResult = Mapping[str, object]
# Runs statement texts, each with its text parameters (None is NULL), in one implicit session for
# the user (None: the default one); returns one JSON-ready result per statement. Errors of SQL are
# results, not exceptions. Cancelling the call cancels the statement.
ExecuteJson = Callable[
    [Sequence[tuple[str, Sequence[str | None]]], str | None], Awaitable[Sequence[JsonResult]]
]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("headwater.http")
_requests = Counter(
    "headwater_http_requests", "HTTP requests answered, by route and status.", ["path", "status"]
)


@dataclass(frozen=True, slots=True)
class HttpDependencies:
    """What HTTP needs of the rest of the server.

    `is_ready` says whether SQL is served; `execute_json` runs statements (see ExecuteJson),
    `append_webhook` commits what comes for a webhook source;
    `allowed_hosts` are names that a Host header may carry besides loopback and the bound host.
    """

    is_ready: Callable[[], bool]
    execute_json: ExecuteJson
    append_webhook: AppendWebhook
    allowed_hosts: tuple[str, ...] = ()


class HttpServer:
    """A running HTTP server."""

    def __init__(self, runner: web.ServerRunner) -> None:
        self._runner = runner

    @property
    def port(self) -> int:
        """The bound TCP port."""
        port = self._runner.addresses[0][1]
        assert isinstance(port, int)
        return port

    async def close(self) -> None:
        """Stop listening, end open requests and close their connections."""
        await self._runner.cleanup()


async def serve(host: str, port: int, dependencies: HttpDependencies) -> HttpServer:
    """Listen on `host:port` (port 0: any). Raises OSError when the port is taken."""
    handlers = _Handlers(host, dependencies)
    runner = web.ServerRunner(
        _Server(
            handlers.answer,
            handler_cancellation=True,
            keepalive_timeout=IDLE_TIMEOUT_S,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=LINGER_S,
            access_log=None,
        ),
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return HttpServer(runner)


class _Server(web.Server):
    """aiohttp's server with our connections."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """One connection: bounded in number, its malformed requests answered with the right status."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        manager = self._manager
        super().connection_made(transport)
        if manager is not None and len(manager.connections) > MAX_CONNECTIONS:
            # uvloop's transports are not instances of asyncio's classes.
            cast("asyncio.WriteTransport", transport).abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, http_exceptions.LineTooLong):
            status, message = 431, "request header fields too large"
        elif status >= 500:
            _log.error("HTTP request failed", exc_info=exc)
            message = "internal error"
        else:
            message = "malformed request"
        _requests.labels(path="other", status=str(status)).inc()
        response = _text(status, message)
        _add_common_headers(response)
        response.force_close()
        return response


class _Handlers:
    """The routes."""

    def __init__(self, host: str, dependencies: HttpDependencies) -> None:
        self._dependencies = dependencies
        self._host_policy = HostPolicy(host, dependencies.allowed_hosts)
        self._webhooks = Webhooks(dependencies.append_webhook)
        self._routes: Mapping[str, Mapping[str, Handler]] = {
            "/": {"GET": self._index},
            "/metrics": {"GET": self._metrics},
            "/healthz": {"GET": self._health},
            "/readyz": {"GET": self._readiness},
            "/api/sql": {"POST": self._sql},
            WEBHOOK_PATH: {"POST": self._webhook},
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Check where the request comes from, find its handler, and run it."""
        response = await self._respond(request)
        path = _route(request)
        path = path if path in self._routes else "other"
        _requests.labels(path=path, status=str(response.status)).inc()
        _add_common_headers(response)
        return response

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        # Duplicated headers are refused: two readers could each believe another one.
        hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
        if len(hosts) != 1 or len(origins) > 1:
            return _text(400, "exactly one Host header is needed, and at most one Origin")
        if not self._host_policy.admits_host(hosts[0]):
            return _text(421, "this server is not known by that host name (--http-allowed-host)")
        if origins and not self._host_policy.is_same_origin(origins[0], hosts[0]):
            return _text(403, "requests from pages of other origins are not answered")
        methods = self._routes.get(_route(request))
        if methods is None:
            return _text(404, "not found")
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            return _text(405, "method not allowed", {"Allow": ", ".join(methods)})
        return await handler(request)

    async def _index(self, request: web.BaseRequest) -> web.StreamResponse:
        return _text(200, f"headwater {VERSION}\n\n/metrics\n/healthz\n/readyz\nPOST /api/sql\n")

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await render_metrics()
        return web.Response(body=body, headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        return _text(200, "ok")

    async def _readiness(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._dependencies.is_ready():
            return _text(200, "ready")
        return _text(503, "not serving SQL yet")

    async def _sql(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.content_type != "application/json":
            return _text(415, "the content type must be application/json")
        body = await _read_body(request, MAX_BODY_BYTES)
        if isinstance(body, web.Response):
            return body
        try:
            queries = _decode_queries(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            return _text(400, f"malformed request: {error}")
        results = await self._dependencies.execute_json(queries, None)
        return web.Response(
            body=await _encode_results(results), headers={"Content-Type": "application/json"}
        )

    async def _webhook(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _read_body(request, MAX_WEBHOOK_BYTES)
        if isinstance(body, web.Response):
            return body
        return _text(*await self._webhooks.take(request, body))


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    query: str
    params: list[str | None] = msgspec.field(default_factory=list)


class _SqlRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Either `query` (one text of any number of statements) or `queries` (one statement each)."""

    query: str | None = None
    queries: list[_Query] | None = None


_request_decoder = msgspec.json.Decoder(_SqlRequest)


def _decode_queries(body: bytes) -> Sequence[tuple[str, Sequence[str | None]]]:
    """Raises msgspec.MsgspecError, RecursionError."""
    request = _request_decoder.decode(body)
    if request.query is not None and request.queries is None:
        return [(request.query, ())]
    if request.queries is None or request.query is not None:
        raise msgspec.ValidationError("give either `query` or `queries`")
    if len(request.queries) > MAX_QUERIES:
        raise msgspec.ValidationError(f"at most {MAX_QUERIES} queries")
    if any(len(query.params) > MAX_PARAMETERS for query in request.queries):
        raise msgspec.ValidationError(f"at most {MAX_PARAMETERS} params a query")
    return [(query.query, query.params) for query in request.queries]


def _route(request: web.BaseRequest) -> str:
    """The path, as the routes have it."""
    return WEBHOOK_PATH if request.path.startswith(WEBHOOK_PATH) else request.path


async def _read_body(request: web.BaseRequest, limit_bytes: int) -> bytes | web.Response:
    """The body, or the answer to one that is too long or takes too long."""
    too_long = _text(413, f"the request body may have {limit_bytes} bytes")
    if (request.content_length or 0) > limit_bytes:
        return too_long
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > limit_bytes:
                    return too_long
    except TimeoutError:
        return _text(408, "the request body took too long")
    return bytes(body)


async def _encode_results(results: Sequence[JsonResult]) -> bytes:
    """The JSON document, encoded in slices so that a large result does not stall the event loop."""
    encode = msgspec.json.encode
    document = bytearray(b'{"results":[')
    for number, result in enumerate(results):
        document += b"," if number else b""
        rows = result.get("rows")
        if not isinstance(rows, list) or len(rows) <= ROWS_PER_SLICE:
            document += encode(result)
            continue
        rest = encode({key: value for key, value in result.items() if key != "rows"})
        document += b'{"rows":['
        for start in range(0, len(rows), ROWS_PER_SLICE):
            document += b"," if start else b""
            document += encode(rows[start : start + ROWS_PER_SLICE])[1:-1]
            await asyncio.sleep(0)
        document += b"]" + (b"}" if rest == b"{}" else b"," + rest[1:])
    return bytes(document + b"]}")


def _add_common_headers(response: web.StreamResponse) -> None:
    response.headers["Server"] = f"headwater/{VERSION}"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _text(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = message if message.endswith("\n") else message + "\n"
    return web.Response(status=status, text=body, headers=headers)
