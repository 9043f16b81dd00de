"""The sizes that cluster replicas can have.

A size names what a replica may use of its host. Every replica is one process of one worker, whose
memory the system parameters bound; so here the sizes are names that a deployment gives meaning to,
with the price that they have elsewhere.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class ReplicaSize:
    """`credits_per_hour` is the relative cost: 1 for 100cc."""

    name: str
    processes: int
    workers: int
    credits_per_hour: Decimal


_HUNDREDTHS: Final = (25, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 3200)

REPLICA_SIZES: Final = {
    f"{hundredths}cc": ReplicaSize(f"{hundredths}cc", 1, 1, Decimal(hundredths) / 100)
    for hundredths in _HUNDREDTHS
}
DEFAULT_SIZE: Final = "25cc"
