"""Computations that are stopped: by what they use up, or from outside."""

import threading

import pytest

from core.allowance import Allowance, AllowanceSpentError, checkpoint


def count_to(limit: int) -> int:
    counted = 0
    while counted < limit:
        checkpoint()
        counted += 1
    return counted


def test_without_an_allowance_nothing_stops() -> None:
    assert count_to(10_000) == 10_000


def test_an_allowance_is_spent() -> None:
    assert Allowance(100).run(count_to, 100) == 100
    with pytest.raises(AllowanceSpentError):
        Allowance(100).run(count_to, 101)
    assert count_to(101) == 101  # it ended with the computation


def test_a_computation_is_stopped_from_another_thread() -> None:
    allowance = Allowance(1 << 62)
    outcome: list[BaseException] = []

    def endless() -> None:
        try:
            allowance.run(count_to, 1 << 62)
        except AllowanceSpentError as error:
            outcome.append(error)

    thread = threading.Thread(target=endless)
    thread.start()
    allowance.stop()
    thread.join()
    assert len(outcome) == 1
