"""POST /api/webhook/database/schema/source: one request, one row of a webhook source."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from core.errors import UNDEFINED_TABLE, SqlError

WEBHOOK_PATH: Final = "/api/webhook/"
MAX_WEBHOOK_BYTES: Final = 1024 * 1024
MAX_WAITING: Final = 128  # requests; commits take them together

SourceName = tuple[str, str, str]
# Commits one request's body and headers to the source of that name. Raises SqlError.
AppendWebhook = Callable[[SourceName, bytes, Mapping[str, str]], Awaitable[None]]


def source_name(raw_path: str) -> SourceName | None:
    """The source that a path, still quoted, names; None if it names none."""
    parts = raw_path.partition("?")[0].removeprefix(WEBHOOK_PATH).split("/")
    if len(parts) != 3 or not all(parts):
        return None
    database, schema, source = map(unquote, parts)
    return database, schema, source


class Webhooks:
    """Takes requests in, so many at a time."""

    def __init__(self, append: AppendWebhook) -> None:
        self._append = append
        self._waiting = 0

    async def take(self, request: web.BaseRequest, body: bytes) -> tuple[int, str]:
        """Commit a request; the status to answer and why."""
        name = source_name(request.raw_path)
        if name is None:
            return 404, "a webhook's path is /api/webhook/database/schema/source"
        if self._waiting >= MAX_WAITING:
            return 429, "too many requests are being taken in"
        headers = {key.lower(): value for key, value in request.headers.items()}
        self._waiting += 1
        try:
            await self._append(name, body, headers)
        except SqlError as error:
            return _status(error), error.message
        finally:
            self._waiting -= 1
        return 200, ""


def _status(error: SqlError) -> int:
    if error.sqlstate == UNDEFINED_TABLE:
        return 404
    return 400 if error.sqlstate.startswith("22") else 503
