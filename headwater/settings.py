"""What the operator decides at start: every option of the command line, checked, in one value.

Settings never change while the server runs; what may change lives in system parameters
(`ALTER SYSTEM SET`), whose start values are `system_parameters` here.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

DEFAULT_DATA_DIRECTORY: Final = Path("headwater-data")
MAX_PORT: Final = 65_535


class LogFormat(StrEnum):
    """How log lines are written to standard error."""

    TEXT = "text"
    JSON = "json"


class InvalidSettingError(ValueError):
    """An option's value cannot be used; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host name or IP address (IPv6 without brackets) and a TCP port; port 0 means any."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Read `host:port`, `[ipv6]:port` or `:port` (all interfaces)."""
        host, separator, port = text.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
            raise InvalidSettingError(f"{text!r} is not an address such as 127.0.0.1:6875")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise InvalidSettingError(f"{text!r}: write an IPv6 address in brackets")
        return cls(host or "0.0.0.0", int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def with_port(self, port: int) -> "ListenAddress":
        """The same host with the port that was really bound."""
        return ListenAddress(self.host, port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything given on the command line or in HEADWATER_* variables."""

    data_dir: Path = DEFAULT_DATA_DIRECTORY
    metadata_url: str | None = None  # None: the embedded PostgreSQL
    blob_url: str = "postgres:"
    sql_listen_addr: ListenAddress = ListenAddress("127.0.0.1", 6875)
    internal_sql_listen_addr: ListenAddress = ListenAddress("127.0.0.1", 6877)
    http_listen_addr: ListenAddress = ListenAddress("127.0.0.1", 6876)
    http_allowed_hosts: tuple[str, ...] = ()  # besides loopback names and the listen host
    system_parameters: tuple[tuple[str, str], ...] = ()
    log_format: LogFormat = LogFormat.TEXT
    log_level: str = "info"
    allow_remote_internal_sql: bool = False

    def __post_init__(self) -> None:
        if not self.internal_sql_listen_addr.is_loopback and not self.allow_remote_internal_sql:
            raise InvalidSettingError(
                f"--internal-sql-listen-addr {self.internal_sql_listen_addr} is not a loopback "
                "address: whoever reaches it is a superuser; pass --allow-remote-internal-sql "
                "if that is meant"
            )
        fixed_ports = [
            address.port
            for address in (
                self.sql_listen_addr,
                self.internal_sql_listen_addr,
                self.http_listen_addr,
            )
            if address.port != 0
        ]
        if len(set(fixed_ports)) != len(fixed_ports):
            raise InvalidSettingError("the SQL, internal SQL and HTTP ports must differ")


def parse_system_parameter(text: str) -> tuple[str, str]:
    """Read one `name=value` of --system-parameter."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise InvalidSettingError(f"{text!r} is not of the form name=value")
    return name.strip().lower(), value


@dataclass(frozen=True, slots=True)
class BoundAddresses:
    """Where a running server really listens, port 0 replaced by what was given."""

    sql: ListenAddress
    internal_sql: ListenAddress
    http: ListenAddress
