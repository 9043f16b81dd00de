"""Which Host and Origin headers are ours.

A page of another site may make its visitor's browser send requests to a database on the visitor's
machine, and by DNS rebinding under a host name of that site. A browser cannot lie in Host and
Origin; so both must be names under which this server is known.
"""

import ipaddress
import socket
import urllib.parse
from collections.abc import Sequence
from typing import Final

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class HostPolicy:
    """The host names of one listening address."""

    def __init__(self, bound_host: str, allowed_hosts: Sequence[str]) -> None:
        self._names = set(_LOOPBACK_NAMES)
        self._names.update(name.lower() for name in (bound_host, *allowed_hosts))
        # Bound to everything, any address may be ours; rebinding needs a name, not an address.
        self._admits_addresses = _is_wildcard(bound_host)
        if self._admits_addresses:
            self._names.add(socket.gethostname().lower())

    def admits_host(self, header: str) -> bool:
        """Whether a Host header (`name[:port]`; the port may be that of a proxy) names us."""
        host = _host_of(f"//{header}")
        if host is None:
            return False
        return host in self._names or (self._admits_addresses and _is_address(host))

    def is_same_origin(self, origin: str, host_header: str) -> bool:
        """Whether an Origin header is that of a page served under the same host and port."""
        parts = origin.lower().partition("://")
        return parts[0] in ("http", "https") and parts[2] == host_header.lower()


def _host_of(url: str) -> str | None:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # raises if it is no number
    except ValueError:
        return None
    has_more = parts.path or parts.query or parts.fragment or parts.username is not None
    return None if has_more else parts.hostname


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
