"""The table of window functions."""

from collections.abc import Callable

from core.errors import SqlError
from core.rows import Datum
from expr.registry import FunctionKind, define
from expr.windows import Partition, WindowImplementation


def _row_number(partition: Partition) -> list[Datum]:
    return list(range(1, len(partition.peers) + 1))


def _first_positions(partition: Partition) -> list[int]:
    """Each row's first peer's position."""
    starts: dict[int, int] = {}
    for position, peer in enumerate(partition.peers):
        starts.setdefault(peer, position)
    return [starts[peer] for peer in partition.peers]


def _rank(partition: Partition) -> list[Datum]:
    return [start + 1 for start in _first_positions(partition)]


def _dense_rank(partition: Partition) -> list[Datum]:
    first = partition.peers[0] if partition.peers else 0
    return [peer - first + 1 for peer in partition.peers]


def _percent_rank(partition: Partition) -> list[Datum]:
    others = len(partition.peers) - 1
    return [start / others if others else 0.0 for start in _first_positions(partition)]


def _cume_dist(partition: Partition) -> list[Datum]:
    size = len(partition.peers)
    ends: dict[int, int] = {}
    for position, peer in enumerate(partition.peers):
        ends[peer] = position + 1
    return [ends[peer] / size for peer in partition.peers]


def _ntile(partition: Partition) -> list[Datum]:
    size = len(partition.peers)
    buckets = partition.arguments[0][0] if size else 1
    if buckets is None:
        return [None] * size
    if buckets <= 0:
        raise SqlError("22014", "argument of ntile must be greater than zero")
    small, extra = divmod(size, buckets)
    border = extra * (small + 1)
    return [
        position // (small + 1) + 1
        if position < border
        else extra + (position - border) // small + 1
        for position in range(size)
    ]


def _shifted(direction: int) -> WindowImplementation:
    def shift(partition: Partition) -> list[Datum]:
        rows = partition.arguments
        result: list[Datum] = []
        for position, arguments in enumerate(rows):
            distance = arguments[1] if len(arguments) > 1 else 1
            if distance is None:
                result.append(None)
                continue
            source = position + direction * distance
            if 0 <= source < len(rows):
                result.append(rows[source][0])
            else:
                result.append(arguments[2] if len(arguments) > 2 else None)
        return result

    return shift


def _of_frame(choose: Callable[[range, tuple[Datum, ...]], int | None]) -> WindowImplementation:
    def value(partition: Partition) -> list[Datum]:
        result: list[Datum] = []
        for arguments, frame in zip(partition.arguments, partition.frames, strict=True):
            position = choose(frame, arguments)
            result.append(None if position is None else partition.arguments[position][0])
        return result

    return value


def _nth(frame: range, arguments: tuple[Datum, ...]) -> int | None:
    number = arguments[1]
    if number is None:
        return None
    if number <= 0:
        raise SqlError("22016", "argument of nth_value must be greater than zero")
    return frame[number - 1] if number <= len(frame) else None


def _window(signature: str, returns: str, implementation: WindowImplementation) -> None:
    define(signature, returns, implementation, kind=FunctionKind.WINDOW, strict=False)


def _define_all() -> None:
    _window("row_number()", "int8", _row_number)
    _window("rank()", "int8", _rank)
    _window("dense_rank()", "int8", _dense_rank)
    _window("percent_rank()", "float8", _percent_rank)
    _window("cume_dist()", "float8", _cume_dist)
    _window("ntile(int4)", "int4", _ntile)
    for name, direction in (("lag", -1), ("lead", 1)):
        _window(f"{name}(anyelement)", "anyelement", _shifted(direction))
        _window(f"{name}(anyelement,int4)", "anyelement", _shifted(direction))
        _window(f"{name}(anycompatible,int4,anycompatible)", "anycompatible", _shifted(direction))
    _window(
        *("first_value(anyelement)", "anyelement"),
        _of_frame(lambda frame, _: frame[0] if frame else None),
    )
    _window(
        *("last_value(anyelement)", "anyelement"),
        _of_frame(lambda frame, _: frame[-1] if frame else None),
    )
    _window("nth_value(anyelement,int4)", "anyelement", _of_frame(_nth))


_define_all()
