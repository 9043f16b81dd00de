"""Guesses of how many rows operators give, made when a query runs: join orders depend on them."""

from compute.execution import Execution
from compute.operators.join import Estimate, Estimator, JoinInput
from core.ids import GlobalId


def scan_estimate(id: GlobalId) -> Estimator:
    """As many as the collection has."""

    def estimate(execution: Execution) -> Estimate:
        count = float(execution.tables[id].row_count)
        return Estimate(count, count)

    return estimate


def lookup_estimate(estimator: Estimator, index: GlobalId) -> Estimator:
    """As if no key had more than one row."""

    def estimate(execution: Execution) -> Estimate:
        return Estimate(estimator(execution).rows, float(execution.tables[index].row_count))

    return estimate


def local_estimate(local_id: int) -> Estimator:
    """What is kept is known; guessing it at each use would double the work with each nesting."""

    def estimate(execution: Execution) -> Estimate:
        count = float(sum(len(chunk.rows) for chunk in execution.locals.get(local_id, ())))
        return Estimate(count, count)

    return estimate


def scaled(estimator: Estimator, factor: float) -> Estimator:
    """A part of what `estimator` says, or a multiple of it."""

    def estimate(execution: Execution) -> Estimate:
        rows, base = estimator(execution)
        return Estimate(rows * factor, base)

    return estimate


def join_estimate(inputs: tuple[JoinInput, ...]) -> Estimator:
    """As if the rows of the largest input each found one of the others', if those are all there."""

    def estimate(execution: Execution) -> Estimate:
        found = [source.estimator(execution) for source in inputs]
        largest = max(found, key=lambda e: e.base)
        share = 1.0
        for guess in found:
            share *= min(1.0, guess.rows / max(1.0, guess.base))
        return Estimate(largest.base * share, largest.base)

    return estimate


def union_estimate(estimators: tuple[Estimator, ...]) -> Estimator:
    """As many as all of them give."""

    def estimate(execution: Execution) -> Estimate:
        found = [guess(execution) for guess in estimators]
        return Estimate(sum(e.rows for e in found), sum(e.base for e in found))

    return estimate
