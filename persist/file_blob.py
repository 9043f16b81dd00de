"""Blobs as files below a directory: one file per key, its slashes being directories.

A value is written to a temporary name, synced, renamed, and the directory synced, so that a key
either exists whole or not at all. File calls run in worker threads.
"""

import asyncio
import os
import uuid
from pathlib import Path
from typing import Final

from core.errors import DeterminateError
from persist.blob import LIST_LIMIT, MAX_BLOB_BYTES
from persist.metrics import external_op

_TEMPORARY_SUFFIX: Final = ".new"


class FileBlob:
    """Implements `Blob`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def get(self, key: str) -> bytes | None:
        with external_op("blob_get"):
            return await asyncio.to_thread(_read, self._path(key))

    async def set(self, key: str, value: bytes) -> None:
        if len(value) > MAX_BLOB_BYTES:
            raise DeterminateError(f"a blob of {len(value)} bytes is too large")
        with external_op("blob_set"):
            await asyncio.to_thread(_write, self._directory, self._path(key), value)

    async def delete(self, keys: list[str]) -> None:
        with external_op("blob_delete"):
            await asyncio.to_thread(_delete, [self._path(key) for key in keys])

    async def list(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[str]:
        with external_op("blob_list"):
            return await asyncio.to_thread(_list, self._directory, prefix, after, limit)

    def _path(self, key: str) -> Path:
        path = self._directory / key
        if ".." in path.parts or not key or key.startswith("/"):
            raise ValueError(f"invalid blob key {key!r}")
        return path


def _list(root: Path, prefix: str, after: str, limit: int) -> list[str]:
    # Only the directory that holds the prefix is walked.
    found: list[str] = []
    for directory, _, names in os.walk(root / prefix.rpartition("/")[0]):
        for name in names:
            key = (Path(directory) / name).relative_to(root).as_posix()
            if key.startswith(prefix) and key > after and not name.endswith(_TEMPORARY_SUFFIX):
                found.append(key)
    return sorted(found)[:limit]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DeterminateError(f"cannot read {path}: {error}") from error


def _write(root: Path, path: Path, value: bytes) -> None:
    try:
        missing = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_TEMPORARY_SUFFIX}")
        with temporary.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        for directory in {path.parent, *(parent.parent for parent in missing)}:
            if root in (directory, *directory.parents):
                _sync_directory(directory)
    except OSError as error:
        raise DeterminateError(f"cannot write {path}: {error}") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DeterminateError(f"cannot delete {path}: {error}") from error
        try:
            path.parent.rmdir()  # only if empty
        except OSError:
            continue
