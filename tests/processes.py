"""Waiting for processes that are not our children."""

import os
import select
from typing import Final

DEADLINE_S: Final = 30.0


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended. Fails after a generous deadline."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        assert readable, f"process {pid} still runs"
    finally:
        os.close(descriptor)
