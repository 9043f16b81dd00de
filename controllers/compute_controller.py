"""The compute controller: one task per cluster, which keeps its replicas connected.

Interface first; see `controllers.compute_client` for what sessions use.
"""

from typing import Protocol

from controllers.compute_client import ComputeClient


class ComputeController(ComputeClient, Protocol):
    """All clusters. `ComputeClusters(orchestrator, config)` implements it:

    clusters = ComputeClusters(orchestrator, InstanceConfig(...))
    await clusters.ensure_cluster("u1", ("r1",)); await clusters.wait_ready(timeout_s=5)
    ... await clusters.close()
    """

    async def ensure_cluster(self, cluster: str, replicas: tuple[str, ...]) -> None:
        """Run `cluster` with exactly these replicas; returns at once."""

    async def drop_cluster(self, cluster: str) -> None:
        """Stop the cluster's replicas; its requests fail with 57P01."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Until every cluster has a replica that serves. Raises TimeoutError."""

    def replica_pids(self) -> dict[str, int]:
        """Process id of every running replica by "cluster-replica"."""

    async def close(self) -> None:
        """Fail what is in flight with 57P01 and stop every replica."""
