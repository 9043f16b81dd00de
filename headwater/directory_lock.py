"""One owner per directory: a file lock that the kernel drops when its holder dies.

The lock file also carries a small JSON note of the holder (its process id, its addresses), which
is what a second process shows its user. The note is advice; the lock alone decides.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_MAX_NOTE_BYTES: Final = 16_384


class LockedError(Exception):
    """Another process holds the lock; `note` is what it wrote about itself."""

    def __init__(self, path: Path, note: Mapping[str, str]) -> None:
        super().__init__(f"{path} is locked by another process")
        self.path = path
        self.note = note


class DirectoryLock:
    """An exclusive lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock without waiting. Raises LockedError, OSError."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note = _parse(os.pread(self._descriptor, _MAX_NOTE_BYTES, 0))
            os.close(self._descriptor)
            raise LockedError(path, note) from None
        except OSError:
            os.close(self._descriptor)
            raise
        self.write_note({})

    def write_note(self, note: Mapping[str, str]) -> None:
        """Replace the holder's note; the process id is always part of it."""
        data = json.dumps({"pid": str(os.getpid()), **note}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)

    def release(self) -> None:
        """Give the lock up. The file stays: removing it would let two processes lock two files."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def read_note(path: Path) -> Mapping[str, str]:
    """What the last holder of the lock wrote; nothing if it gave the lock up, or never held it."""
    try:
        with path.open("rb") as file:
            return _parse(file.read(_MAX_NOTE_BYTES))
    except OSError:
        return {}


def _parse(data: bytes) -> Mapping[str, str]:
    try:
        note = json.loads(data)
    except ValueError:
        return {}  # the holder is about to write it
    if not isinstance(note, dict):
        return {}
    return {str(key): str(value) for key, value in note.items()}
