"""What every Blob does."""

import pytest

from persist.blob import Blob

PREFIX = "s1/0000000001/"


async def test_values_come_back_whole(blob: Blob) -> None:
    value = bytes(range(256)) * 5_000
    await blob.set(f"{PREFIX}a", value)
    await blob.set(f"{PREFIX}b", b"")
    assert await blob.get(f"{PREFIX}a") == value
    assert await blob.get(f"{PREFIX}b") == b""
    assert await blob.get(f"{PREFIX}c") is None


async def test_setting_again_is_harmless(blob: Blob) -> None:
    await blob.set("s1/1/a", b"value")
    await blob.set("s1/1/a", b"value")
    assert await blob.list("") == ["s1/1/a"]


async def test_deleting_is_idempotent(blob: Blob) -> None:
    await blob.set("s1/1/a", b"x")
    await blob.set("s1/1/b", b"y")
    await blob.delete(["s1/1/a", "s1/1/missing"])
    await blob.delete(["s1/1/a"])
    await blob.delete([])
    assert await blob.get("s1/1/a") is None
    assert await blob.get("s1/1/b") == b"y"


async def test_keys_are_listed_by_prefix_in_order_and_pages(blob: Blob) -> None:
    keys = sorted(
        f"{shard}/{epoch:010}/{n}" for shard in ("s1", "s2") for epoch in (1, 10) for n in "abc"
    )
    for key in reversed(keys):
        await blob.set(key, b"v")
    assert await blob.list("") == keys
    assert await blob.list("s1/") == keys[:6]
    assert await blob.list("s1/0000000010/b") == ["s1/0000000010/b"]
    first = await blob.list("s", limit=4)
    assert first == keys[:4]
    assert await blob.list("s", after=first[-1]) == keys[4:]
    assert await blob.list("nothing") == []


async def test_the_value_limit_is_enforced(blob: Blob, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (
        "persist.postgres_blob",
        "persist.file_blob",
        "persist.s3_blob",
        "persist.memory",
    ):
        monkeypatch.setattr(f"{module}.MAX_BLOB_BYTES", 10)
    await blob.set("s1/1/a", b"0123456789")
    with pytest.raises(Exception, match="too large"):
        await blob.set("s1/1/b", b"0123456789-")
