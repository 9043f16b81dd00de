"""Blobs on an S3-compatible store, through obstore.

`s3://bucket/prefix?endpoint=http://host:port&region=…`; credentials come from the usual AWS
environment variables. Keys are written once with unique names, so plain puts are enough and the
client's own retries are safe.
"""

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from core.errors import DeterminateError, IndeterminateError
from persist.blob import LIST_LIMIT, MAX_BLOB_BYTES
from persist.metrics import external_op

if TYPE_CHECKING:
    from obstore.store import S3Store

DEFAULT_REGION: Final = "us-east-1"


class S3Blob:
    """Implements `Blob`. obstore is imported only here, since few processes need it."""

    def __init__(self, store: "S3Store", prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""

    @classmethod
    def from_url(cls, url: str) -> "S3Blob":
        """Raises ValueError if `url` names no bucket."""
        from obstore.store import S3Store

        parts = urlsplit(url)
        if not parts.netloc:
            raise ValueError(f"no bucket in blob URL {url!r}")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        endpoint = options.get("endpoint")
        region = options.get("region", DEFAULT_REGION)
        if endpoint is None:
            store = S3Store(parts.netloc, region=region)
        else:
            store = S3Store(
                parts.netloc,
                region=region,
                endpoint=endpoint,
                virtual_hosted_style_request=False,
                client_options={"allow_http": endpoint.startswith("http://")},
            )
        return cls(store, parts.path.strip("/"))

    async def get(self, key: str) -> bytes | None:
        from obstore import get_async

        with external_op("blob_get"):
            try:
                result = await get_async(self._store, self._prefix + key)
                return bytes(await result.bytes_async())
            except FileNotFoundError:
                return None
            except Exception as error:
                raise _storage_error(error) from error

    async def set(self, key: str, value: bytes) -> None:
        from obstore import put_async

        if len(value) > MAX_BLOB_BYTES:
            raise DeterminateError(f"a blob of {len(value)} bytes is too large")
        with external_op("blob_set"):
            try:
                await put_async(self._store, self._prefix + key, value)
            except Exception as error:
                raise _storage_error(error) from error

    async def delete(self, keys: list[str]) -> None:
        from obstore import delete_async

        if not keys:
            return
        with external_op("blob_delete"):
            try:
                await delete_async(self._store, [self._prefix + key for key in keys])
            except FileNotFoundError:
                return
            except Exception as error:
                raise _storage_error(error) from error

    async def list(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[str]:
        import obstore

        offset = self._prefix + after if after else None
        found: list[str] = []
        with external_op("blob_list"):
            try:
                # obstore matches whole path segments: list the segment, filter the rest.
                segment = (self._prefix + prefix).rpartition("/")[0]
                async for page in obstore.list(self._store, segment, offset=offset):
                    for item in page:
                        key = item["path"].removeprefix(self._prefix)
                        if key.startswith(prefix) and key > after:
                            found.append(key)
                    if len(found) >= limit:
                        break
            except Exception as error:
                raise _storage_error(error) from error
        return sorted(found)[:limit]


def _storage_error(error: Exception) -> Exception:
    """obstore's errors have no common base below Exception; its own begin with `obstore`. Anything
    else is a bug of ours and goes through unchanged."""
    is_store_error = type(error).__module__.startswith("obstore") or isinstance(error, OSError)
    return IndeterminateError(f"blob store: {error}") if is_store_error else error
