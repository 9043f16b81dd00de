"""Deleting blobs nobody refers to: a shard's own garbage, and orphans of fenced writers.

A shard's garbage is listed in its state, so a crash loses none of it; it is deleted first and
crossed off afterwards. Orphans are parts uploaded by a process that ended before committing them: a
part is one if it was written under an earlier epoch (its key says so, and that epoch can commit no
more) and neither the shard nor any commit not yet tidied refers to it.
"""

from typing import Final

from core.ids import ShardId
from persist.batches import part_prefix
from persist.blob import LIST_LIMIT, Blob
from persist.consensus import Consensus
from persist.machine import Machine
from persist.metrics import DELETED_PARTS
from persist.shard_state import CollectGarbage, Garbage

DELETE_PAGE: Final = 500


async def collect_garbage(machine: Machine, blob: Blob, items: tuple[Garbage, ...]) -> None:
    """Delete these blobs, which must be collectible, and forget them."""
    keys = tuple(item.key for item in items)[:DELETE_PAGE]
    if not keys:
        return
    await blob.delete(list(keys))
    DELETED_PARTS.inc(len(keys))
    await machine.apply(CollectGarbage(keys))


async def sweep_orphans(
    consensus: Consensus, blob: Blob, epoch: int, committed_keys: set[str]
) -> int:
    """Delete every orphan written before `epoch`; how many. `committed_keys` are those of commits
    not yet tidied, taken before this call."""
    deleted = 0
    after = ""
    known: tuple[ShardId, set[str]] | None = None
    while True:
        page = await blob.list("", after, LIST_LIMIT)
        orphans: list[str] = []
        for key in page:
            shard = ShardId(key.split("/", 1)[0])
            if key >= part_prefix(shard, epoch) or key in committed_keys:
                continue
            if known is None or known[0] != shard:
                machine = Machine(shard, consensus)
                known = (shard, (await machine.fetch()).keys)
            if key not in known[1]:
                orphans.append(key)
        await blob.delete(orphans)
        DELETED_PARTS.inc(len(orphans))
        deleted += len(orphans)
        if len(page) < LIST_LIMIT:
            return deleted
        after = page[-1]


async def delete_all_parts(blob: Blob, shard: ShardId) -> None:
    """Delete every blob of `shard`, referenced or not."""
    while page := await blob.list(f"{shard}/", "", DELETE_PAGE):
        await blob.delete(page)
        DELETED_PARTS.inc(len(page))
