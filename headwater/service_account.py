"""The system account under which PostgreSQL runs when Headwater is started as root.

PostgreSQL refuses to run as root, and its initdb wants an entry in the account database. No
account that exists for another purpose is used: the one named here is made when it is missing.
"""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ACCOUNT_NAME: Final = "headwater-postgres"
_CREATE_TIMEOUT_S: Final = 30.0


class AccountError(Exception):
    """The account is missing and could not be made."""


@dataclass(frozen=True, slots=True)
class Account:
    """An entry of the account database."""

    name: str
    uid: int
    gid: int


def service_account() -> Account | None:
    """The account to run PostgreSQL as; None when we are not root and run it as ourselves.

    Raises AccountError.
    """
    if os.geteuid() != 0:
        return None
    return _find() or _create()


def _find() -> Account | None:
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create() -> Account:
    if useradd := shutil.which("useradd"):
        command = [useradd, "--system", "--user-group", "--no-create-home"]
        command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    elif adduser := shutil.which("adduser"):  # BusyBox
        command = [adduser, "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin"]
        command += [ACCOUNT_NAME]
    else:
        raise AccountError(_advice("neither useradd nor adduser was found"))
    try:
        outcome = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CREATE_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccountError(_advice(str(error))) from error
    account = _find()  # also when another server made it at the same moment
    if account is None:
        raise AccountError(_advice(outcome.stderr.strip() or f"status {outcome.returncode}"))
    return account


def _advice(reason: str) -> str:
    return (
        f"PostgreSQL does not run as root, and the system account {ACCOUNT_NAME!r} could not be "
        f"made ({reason}). Make it, or start Headwater as a normal user, or use another "
        "PostgreSQL with --metadata-url."
    )


def is_reachable(path: Path, account: Account | None) -> bool:
    """Whether the account may pass through every directory above `path`, by permission bits.

    Access control lists are not looked at: they may only turn a yes into an overcautious no.
    """
    if account is None:
        return True
    return all(_may_search(directory.stat(), account) for directory in path.resolve().parents)


def _may_search(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
