"""What each input of a join is matched by.

Key scalars that are not plain columns are appended to their input's rows, so that all that follows
knows keys as positions. Several scalars of one input in one equivalence must be equal to each
other; one of them then stands for the equivalence.
"""

from collections.abc import Sequence
from typing import NamedTuple

from compute.columns import input_of, shifted
from core.sql_types import SqlType
from expr.relation import Join
from expr.scalar import ColumnRef, Scalar

Place = tuple[int, SqlType]


class InputKeys(NamedTuple):
    """`appended`: scalars to append to the input's rows. `equal`: columns that must be equal within
    a row. `positions`: for each equivalence that the input takes part in, its number and where its
    scalar stands."""

    appended: tuple[Scalar, ...]
    equal: tuple[tuple[Place, ...], ...]
    positions: tuple[tuple[int, Place], ...]


def join_keys(relation: Join, widths: Sequence[int]) -> list[InputKeys]:
    """The keys of each input; `widths` are the inputs' numbers of columns."""
    starts = [sum(widths[:index]) for index in range(len(widths))]
    return [
        _input_keys(relation, index, start, width, starts)
        for index, (start, width) in enumerate(zip(starts, widths, strict=True))
    ]


def _input_keys(relation: Join, index: int, start: int, width: int, starts: list[int]) -> InputKeys:
    appended: list[Scalar] = []
    equal: list[tuple[Place, ...]] = []
    positions: list[tuple[int, Place]] = []
    for number, equivalence in enumerate(relation.equivalences):
        places: list[Place] = []
        for scalar in equivalence:
            if input_of(scalar, starts) != index:
                continue
            own = shifted(scalar, -start)
            if isinstance(own, ColumnRef):
                places.append((own.index, own.type))
            else:
                places.append((width + len(appended), own.type))
                appended.append(own)
        if len(places) > 1:
            equal.append(tuple(places))
        if places:
            positions.append((number, places[0]))
    return InputKeys(tuple(appended), tuple(equal), tuple(positions))
