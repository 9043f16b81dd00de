"""The handle by which sessions talk to the coordinator and its committer.

Each command method is one message through the coordinator's queue. `current_revision`,
`published`, `wait_published` and `write` send none.
"""

from catalog.operations import Operation
from catalog.state import Catalog
from controllers.clients import ControllerClients
from coordinator.commands import CatalogOutcome, DumpReport, SessionHandles, StartupRequest
from coordinator.committer import TableWrite, WriteRequest
from core.ids import Timestamp
from oracle.oracle import TimestampOracle


class CoordinatorClient:
    """Shared by all sessions of the process."""

    async def startup(self, request: StartupRequest) -> SessionHandles:
        """Open a session. SqlError 28000 for an unknown role, 53300 for too many sessions."""
        raise NotImplementedError

    async def terminate(self, connection_id: int) -> None:
        """Close a session."""
        raise NotImplementedError

    async def cancel(self, connection_id: int, secret_key: int) -> None:
        """Ask for the cancellation of a session's statement."""
        raise NotImplementedError

    async def catalog_snapshot(self) -> Catalog:
        """The newest catalog."""
        raise NotImplementedError

    async def get_oracle(self, timeline: str = "epoch_microseconds") -> TimestampOracle:
        """The timestamp oracle; kept by the session."""
        raise NotImplementedError

    async def get_controller_clients(self) -> ControllerClients:
        """The controller clients; kept by the session."""
        raise NotImplementedError

    async def catalog_transact(
        self,
        operations: tuple[Operation, ...],
        planned_revision: int,
        table_writes: tuple[TableWrite, ...] = (),
        *,
        user: str | None = None,
    ) -> CatalogOutcome:
        """Change the catalog in one commit. SqlError; CatalogChangedError: plan again."""
        raise NotImplementedError

    async def dump(self) -> DumpReport:
        """The coordinator's own state, for diagnosis."""
        raise NotImplementedError

    async def check_consistency(self) -> tuple[str, ...]:
        """Inconsistencies between catalog, sessions and shards; none in a healthy process."""
        raise NotImplementedError

    def current_revision(self) -> int:
        """The revision of the newest catalog: an attribute read."""
        raise NotImplementedError

    def published_catalog_ts(self) -> Timestamp:
        """The commit time of the newest catalog known here: an attribute read. When a read's
        `ReadTimestamp.catalog_ts` is later, a newer catalog is being published: await
        `wait_catalog(catalog_ts)`, take a new snapshot and plan again if the revision moved."""
        raise NotImplementedError

    async def wait_catalog(self, ts: Timestamp) -> None:
        """Wait until the catalog as of `ts` is published."""
        raise NotImplementedError

    async def write(self, request: WriteRequest) -> Timestamp:
        """Commit table writes, straight to the committer (see `Committer.write`)."""
        raise NotImplementedError
