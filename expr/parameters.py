"""The values of `$1` and its like in the evaluation that is going on.

A compiled scalar is shared by all who run it, each with other parameters. Whoever drives an
evaluation sets `CURRENT` before each of its steps: a step ends before another begins, and nothing
is evaluated outside of one.
"""

from typing import Final

from core.rows import Row


class CurrentParameters:
    """One for a process, which evaluates scalars with parameters in one thread only."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: Row = ()


CURRENT: Final = CurrentParameters()
