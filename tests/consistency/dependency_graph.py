"""The black-box checker: a history is strictly serializable only if its dependencies have no cycle.

Edges between committed transactions: `wr` (saw the value), `ww` (appended after it), `rw` (did not
see it), and real time (ended before the other started). Values are unique, so each is exact. The
version order of an ordered key is its longest read, and every other read must be a prefix of it.
An acknowledged value that no read ever shows makes every reader precede its writer; a read of every
key at the end therefore turns a lost write into a cycle with real time.
Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations".
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.consistency.history import Anomaly, Outcome, Read, Transaction


@dataclass(slots=True)
class _Graph:
    """Successors of each node with the label of the edge. Barriers of real time are negative."""

    edges: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, source: int, target: int, label: str) -> None:
        if source != target:
            self.edges[source].setdefault(target, label)


def find_anomalies(history: Sequence[Transaction]) -> list[Anomaly]:
    """Every anomaly that the history shows; none means that no violation was found."""
    writers = {append.value: t for t in history for append in t.appends}
    observed = {v for t in history for read in t.reads for v in read.values}
    live = [
        t
        for t in history
        if t.outcome is Outcome.COMMITTED
        or (
            t.outcome is Outcome.INDETERMINATE
            and any(append.value in observed for append in t.appends)
        )
    ]
    anomalies = list(_check_values(history, writers))
    graph = _Graph()
    for key, reads in _reads_by_key(live).items():
        appends = {a.value: t.id for t in live for a in t.appends if a.key == key}
        if any(read.is_ordered for _, read in reads):
            anomalies += _add_ordered_edges(graph, key, reads, appends)
        else:
            _add_unordered_edges(graph, reads, appends)
    _add_real_time_edges(graph, live)
    anomalies += (Anomaly("cycle", _describe(graph, cycle)) for cycle in _cycles(graph))
    return anomalies


def _check_values(
    history: Sequence[Transaction], writers: dict[int, Transaction]
) -> Iterable[Anomaly]:
    for transaction in history:
        for read in transaction.reads:
            if len(set(read.values)) != len(read.values):
                yield Anomaly("duplicate", f"{transaction.id} read {read.key} = {read.values}")
            for value in read.values:
                writer = writers.get(value)
                if writer is None:
                    yield Anomaly("unwritten value", f"{value} in {read.key}: nobody wrote it")
                elif writer.outcome is Outcome.FAILED:
                    yield Anomaly("aborted read", f"{transaction.id} saw {value} of {writer.id}")


def _reads_by_key(live: Sequence[Transaction]) -> dict[str, list[tuple[int, Read]]]:
    by_key: dict[str, list[tuple[int, Read]]] = defaultdict(list)
    for transaction in live:
        for read in transaction.reads:
            by_key[read.key].append((transaction.id, read))
    return by_key


def _add_ordered_edges(
    graph: _Graph, key: str, reads: list[tuple[int, Read]], appends: dict[int, int]
) -> list[Anomaly]:
    longest = max((read.values for _, read in reads), key=len)
    anomalies = []
    unseen = [writer for value, writer in appends.items() if value not in set(longest)]
    for before, after in itertools.pairwise(longest):
        if before in appends and after in appends:
            graph.add(appends[before], appends[after], f"ww {key}")
    for reader, read in reads:
        if longest[: len(read.values)] != read.values:
            anomalies.append(
                Anomaly("incompatible order", f"{key}: {read.values} is no prefix of {longest}")
            )
            continue
        if read.values and read.values[-1] in appends:
            graph.add(appends[read.values[-1]], reader, f"wr {key}")
        if len(read.values) < len(longest) and longest[len(read.values)] in appends:
            graph.add(reader, appends[longest[len(read.values)]], f"rw {key}")
        for writer in unseen:
            graph.add(reader, writer, f"rw {key}")
    return anomalies


def _add_unordered_edges(
    graph: _Graph, reads: list[tuple[int, Read]], appends: dict[int, int]
) -> None:
    for reader, read in reads:
        seen = set(read.values)
        for value, writer in appends.items():
            if value in seen:
                graph.add(writer, reader, f"wr {read.key}")
            else:
                graph.add(reader, writer, f"rw {read.key}")


def _add_real_time_edges(graph: _Graph, live: Sequence[Transaction]) -> None:
    """Every transaction precedes those that started after its end, through a chain of barriers."""
    events = sorted(
        [(t.started_ns, 0, t) for t in live]
        + [(t.ended_ns, 1, t) for t in live if t.outcome is Outcome.COMMITTED],
        key=lambda event: event[:2],
    )
    barrier = 0
    for _, is_end, transaction in events:
        if is_end:
            if barrier:
                graph.add(barrier, barrier - 1, "real time")
            barrier -= 1
            graph.add(transaction.id, barrier, "real time")
        elif barrier:
            graph.add(barrier, transaction.id, "real time")


def _cycles(graph: _Graph) -> Iterable[list[int]]:
    """One short cycle of each strongly connected component of more than one node."""
    for component in _components(graph):
        if len(component) > 1:
            yield _short_cycle(graph, component)


def _components(graph: _Graph) -> Iterable[set[int]]:
    """Tarjan's algorithm, with a stack of our own in place of recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for root in list(graph.edges):
        if root in index:
            continue
        work = [(root, iter(graph.edges[root]))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    path.append(successor)
                    on_path.add(successor)
                    work.append((successor, iter(graph.edges.get(successor, {}))))
                    break
                if successor in on_path:
                    low[node] = min(low[node], index[successor])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    component = set()
                    while True:
                        member = path.pop()
                        on_path.discard(member)
                        component.add(member)
                        if member == node:
                            break
                    yield component


def _short_cycle(graph: _Graph, component: set[int]) -> list[int]:
    start = max(component)
    parents: dict[int, int] = {}
    frontier = [start]
    while frontier:
        following = []
        for node in frontier:
            for successor in graph.edges.get(node, {}):
                if successor == start:
                    cycle = [node]
                    while cycle[-1] != start:
                        cycle.append(parents[cycle[-1]])
                    return cycle[::-1]
                if successor in component and successor not in parents:
                    parents[successor] = node
                    following.append(successor)
        frontier = following
    raise AssertionError("a strongly connected component without a cycle")


def _describe(graph: _Graph, cycle: list[int]) -> str:
    steps = []
    for node, following in zip(cycle, cycle[1:] + cycle[:1], strict=True):
        if node >= 0:
            steps.append(f"T{node}")
        label = graph.edges[node][following]
        if not (steps and steps[-1] == f"-[{label}]->"):
            steps.append(f"-[{label}]->")
    return " ".join(steps)
