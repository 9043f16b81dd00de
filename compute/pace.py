"""How much an operator does at a time when its rows may be slow to compute."""

from time import perf_counter
from typing import Final

from compute.execution import CHUNK_ROWS, Chunk, Chunks

STEP_S: Final = 0.001
FIRST_STEP_ROWS: Final = 16
MAX_STEP_GROWTH: Final = 4


class Pace:
    """Steps of as many rows as take about STEP_S. Rows that are slow to compute are mostly large,
    too, so this also bounds what a chunk weighs."""

    __slots__ = ("_rows", "_started")

    def __init__(self) -> None:
        self._rows = FIRST_STEP_ROWS
        self._started = 0.0

    def parts(self, chunk: Chunk) -> Chunks:
        """The chunk cut into steps. The caller says `done` when a step's rows are computed."""
        rows, diffs = chunk
        position = 0
        while position < len(rows):
            start, position = position, position + self._rows
            part = chunk
            if start or position < len(rows):
                part = Chunk(rows[start:position], None if diffs is None else diffs[start:position])
            self._started = perf_counter()
            yield part

    def done(self) -> None:
        """Judge the next step by how long this one took."""
        seconds = perf_counter() - self._started
        fitting = int(self._rows * STEP_S / seconds) if seconds else CHUNK_ROWS
        self._rows = max(1, min(fitting, MAX_STEP_GROWTH * self._rows, CHUNK_ROWS))
