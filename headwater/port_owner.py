"""Who listens on a TCP port of this machine, so that "address in use" can name the culprit."""

import errno
import re
import socket
from pathlib import Path
from typing import Final

from headwater.settings import ListenAddress

_LISTEN_STATE: Final = "0A"
_SOCKET_LINK: Final = re.compile(r"socket:\[(\d+)\]")
_MAX_COMMAND_LENGTH: Final = 120


class AddressUnavailableError(Exception):
    """An address cannot be listened on; the message names the owner and the option to change."""


def require_available(address: ListenAddress, option: str) -> None:
    """Try to bind `address` and let it go again; port 0 is always available.

    Done for every address before anything is started, so that the mistake shows at once.
    Raises AddressUnavailableError.
    """
    try:
        candidates = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise AddressUnavailableError(
            f"{option} {address}: unknown host {address.host!r} ({error.strerror})"
        ) from error
    family, kind, protocol, _, target = candidates[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
            probe.listen(1)
        except OSError as error:
            raise AddressUnavailableError(explain(address, option, error)) from error


def explain(address: ListenAddress, option: str, error: OSError) -> str:
    """What to tell the operator about a failed bind."""
    if error.errno == errno.EACCES:
        return f"{option} {address}: not permitted; ports below 1024 need privileges"
    if error.errno != errno.EADDRINUSE:
        return f"{option} {address}: {error.strerror}"
    owner = port_owner(address.port)
    by = f" by {owner}" if owner else " by another process"
    return (
        f"{address} is taken{by}. Stop it, or listen elsewhere: "
        f"{option} {address.with_port(0)} (0 means any free port)"
    )


def port_owner(port: int) -> str | None:
    """`program (pid 123: command line)` of the process that listens on `port`.

    None where /proc does not tell: another operating system, or a process of another user.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has_socket(process, inodes):
            return _describe(process)
    return None


def _listening_inodes(port: int) -> frozenset[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            local_port = int(fields[1].rpartition(":")[2], 16)
            if local_port == port and fields[3] == _LISTEN_STATE:
                inodes.add(fields[9])
    return frozenset(inodes)


def _has_socket(process: Path, inodes: frozenset[str]) -> bool:
    try:
        for descriptor in (process / "fd").iterdir():
            match = _SOCKET_LINK.match(str(descriptor.readlink()))
            if match is not None and match[1] in inodes:
                return True
    except OSError:
        return False  # gone meanwhile, or not ours to look into
    return False


def _describe(process: Path) -> str:
    try:
        name = (process / "comm").read_text().strip()
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return f"pid {process.name}"
    printable = "".join(letter if letter.isprintable() else "?" for letter in command.strip())
    if len(printable) > _MAX_COMMAND_LENGTH:
        printable = printable[:_MAX_COMMAND_LENGTH] + "…"
    return f"{name} (pid {process.name}: {printable})"
