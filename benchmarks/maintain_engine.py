"""What keeping a view fresh costs the engine alone: rows from memory into a dataflow, no server.

`orders`: orders joined with their line items, the sum of prices for each customer. `auctions`: the
two questions of `benchmarks.auction`. Each delta inserts rows into the larger table; it is taken
back before the next one. Times are of the step that takes the delta in, in CPU time of its thread
and in wall-clock time, medians; `touched` are the rows that operators looked at or made.
"""

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

import click

from benchmarks.auction import CATEGORIES
from benchmarks.report import Value, print_report
from compute.dataflow.build import build
from compute.dataflow.graph import Dataflow
from compute.dataflow.updates import Updates
from core.ids import GlobalId, Timestamp
from core.rows import Row
from core.sql_types import INT4, INT8
from expr import library
from expr.relation import (
    Aggregate,
    ColumnOrder,
    Get,
    Join,
    Project,
    Reduce,
    Relation,
    TopK,
    Union,
)
from expr.scalar import ColumnRef, EvaluationContext

assert library.__doc__  # importing it fills the registry

SEED: Final = 7
SLICE_ROWS: Final = 4096
AS_OF: Final = Timestamp(1)
FEW, MANY = GlobalId("u1"), GlobalId("u2")
NewRow = Callable[[Random], Row]


@dataclass(frozen=True, slots=True)
class Workload:
    """A view and its tables: all of the first at once, then `count` rows of the second."""

    name: str
    relation: Relation
    few: list[Row]
    count: int
    new_row: NewRow


def orders(scale: float) -> Workload:
    """At scale 1: a million orders, four million line items, 100,000 customers."""
    count = int(1_000_000 * scale)
    order, item = Get(FEW, (INT8, INT8)), Get(MANY, (INT8, INT4))
    joined = Join((order, item), ((ColumnRef(0, INT8), ColumnRef(2, INT8)),))
    total = Aggregate("sum(int4)", (ColumnRef(1, INT4),), INT8)
    relation = Reduce(Project(joined, (1, 3)), (ColumnRef(0, INT8),), (total,))
    random = Random(SEED)
    customers = max(count // 10, 1)
    few: list[Row] = [(number, random.randrange(customers)) for number in range(count)]
    return Workload(
        "orders", relation, few, 4 * count, lambda r: (r.randrange(count), r.randint(1, 100_000))
    )


def auctions(scale: float) -> Workload:
    """At scale 1: 100,000 auctions with two million bids: count, highest and sum of each auction,
    and the ten auctions with the highest bids of each category."""
    count = int(100_000 * scale)
    auction, bid = Get(FEW, (INT4, INT4)), Get(MANY, (INT4, INT4))
    amount = ColumnRef(1, INT4)
    bids = Reduce(
        bid,
        (ColumnRef(0, INT4),),
        (
            Aggregate("count()", (), INT8),
            Aggregate("max(int4)", (amount,), INT4),
            Aggregate("sum(int4)", (amount,), INT8),
        ),
    )
    of_category = Join((auction, bids), ((ColumnRef(0, INT4), ColumnRef(2, INT4)),))
    ranked = Project(of_category, (1, 0, 4))
    top = TopK(ranked, (0,), (ColumnOrder(2, descending=True), ColumnOrder(1)), 10)
    both = Union((Project(bids, (0, 1, 2, 3)), Project(top, (0, 1, 2, 1))))
    few: list[Row] = [(number, number % CATEGORIES) for number in range(count)]
    return Workload(
        "auctions", both, few, 20 * count, lambda r: (r.randrange(count), r.randint(1, 1_000_000))
    )


@contextmanager
def without_collector() -> Iterator[None]:
    """Cyclic garbage collection looks at everything that is alive: not while much is made."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


class Maintained:
    """A dataflow, hydrated."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._random = Random(SEED)
        self._now = int(AS_OF)
        self.dataflow: Dataflow = build(workload.relation, EvaluationContext())
        rows = [workload.new_row(self._random) for _ in range(workload.count)]
        with without_collector():
            started, cpu = time.perf_counter(), time.thread_time()
            self.dataflow.start(AS_OF)
            self.dataflow.defer()
            for id, all_rows in ((FEW, workload.few), (MANY, rows)):
                for first in range(0, len(all_rows), SLICE_ROWS):
                    part = [(row, 1) for row in all_rows[first : first + SLICE_ROWS]]
                    self.dataflow.step(AS_OF, {id: part})
            while self.dataflow.settle(SLICE_ROWS) is not None:
                pass
            self.hydration_cpu_s = time.thread_time() - cpu
            self.hydration_s = time.perf_counter() - started

    def touched(self) -> int:
        """The rows that operators have looked at or made so far."""
        return sum(operator.rows_touched for operator in self.dataflow.operators)

    def delta(self, size: int) -> tuple[float, float]:
        """CPU and wall-clock seconds of a delta, which is then taken back."""
        updates: Updates = [(self._workload.new_row(self._random), 1) for _ in range(size)]
        wall, cpu = time.perf_counter(), time.thread_time()
        self._step(updates)
        taken = time.thread_time() - cpu, time.perf_counter() - wall
        self._step([(row, -1) for row, _ in updates])
        return taken

    def _step(self, updates: Updates) -> None:
        self._now += 1
        self.dataflow.step(Timestamp(self._now), {MANY: updates})


def measure(workload: Workload, deltas: tuple[int, ...], repeat: int) -> list[dict[str, Value]]:
    """A row of the report for each size of delta."""
    maintained = Maintained(workload)
    report: list[dict[str, Value]] = []
    size_mb = sum(a.size_bytes for a in maintained.dataflow.arrangements) / 1e6
    for size in deltas:
        times = max(repeat, min(2_000, 20_000 // size))
        before = maintained.touched()
        taken = [maintained.delta(size) for _ in range(times)]
        touched = (maintained.touched() - before) / (2 * times)
        report.append(
            {
                "view": workload.name,
                "rows": len(workload.few) + workload.count,
                "delta": size,
                "cpu us": statistics.median(cpu for cpu, _ in taken) * 1e6,
                "wall us": statistics.median(wall for _, wall in taken) * 1e6,
                "touched": touched,
                "hydration cpu s": maintained.hydration_cpu_s,
                "hydration s": maintained.hydration_s,
                "arrangements MB": size_mb,
                "load": os.getloadavg()[0],
            }
        )
    return report


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--scale", "scales", multiple=True, type=float, default=(0.1, 1.0), help="Repeatable."
)
@click.option("--repeat", default=7, show_default=True, help="Deltas of each size, at least.")
@click.option(
    "--delta",
    "deltas",
    multiple=True,
    type=int,
    default=(1, 10, 100, 1_000, 10_000),
    show_default=True,
    help="Repeatable.",
)
def main(as_json: bool, scales: tuple[float, ...], repeat: int, deltas: tuple[int, ...]) -> None:
    report = [
        row
        for make in (orders, auctions)
        for scale in scales
        for row in measure(make(scale), deltas, repeat)
    ]
    print_report("Keeping views fresh, engine only", list(report[0]), report, as_json=as_json)


if __name__ == "__main__":
    main()
