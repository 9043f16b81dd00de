"""Who may log in. An authenticator carries on its exchange with the client and then lets the
session begin, or raises a FATAL `SqlError`.

TRUST takes every user's word; others (SCRAM) send their challenges with `wire.send`, tell the
protocol by `authentication_started` and read `AuthenticationResponse` events.
"""

from typing import Protocol

from frontend.transport import WireTransport


class Authenticator(Protocol):
    """One way to prove who a client is."""

    async def authenticate(self, wire: WireTransport, user: str) -> None:
        """Done once `user` is proven. Raises SqlError (28000, 28P01, 08P01), FATAL."""
        ...


class TrustAuthenticator:
    """Believes every client."""

    async def authenticate(self, wire: WireTransport, user: str) -> None:
        return None
