"""Programs that some suites need from outside: found, or the test is skipped (failed under CI)."""

import os
import shutil
from pathlib import Path

import pytest


def require_program(name: str, package: str) -> Path:
    """The path of a program of Debian's `package`; without it the test is skipped, or fails under
    CI, where the package must be there."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    if candidates:
        return candidates[0]
    message = f"needs {name} (Debian package {package})"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
