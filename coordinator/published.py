"""The newest catalog, shared by everybody in the process.

Reading it is an attribute read: no queue, no lock. Only the committer publishes, after a commit is
known to be durable and before anything that could reveal the commit is answered.
"""

import asyncio

from catalog.state import Catalog
from core.ids import Timestamp


class PublishedCatalog:
    """The newest catalog and who waits for a newer one."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._waiters: list[tuple[Timestamp, asyncio.Future[None]]] = []

    def publish(self, catalog: Catalog) -> None:
        """Make `catalog` the newest. Its revision and commit time never go back."""
        assert catalog.revision >= self.catalog.revision and catalog.ts >= self.catalog.ts
        self.catalog = catalog
        still_waiting = []
        for ts, future in self._waiters:
            if ts > catalog.ts:
                still_waiting.append((ts, future))
            elif not future.done():
                future.set_result(None)
        self._waiters = still_waiting

    async def wait(self, ts: Timestamp) -> None:
        """Until the catalog as of `ts` is published; bounded by the commit being settled."""
        if self.catalog.ts >= ts:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((ts, future))
        await future
