"""All nodes of a syntax tree."""

from collections.abc import Iterator

import msgspec

from sql.syntax import SyntaxNode


def nodes_of(value: object) -> Iterator[SyntaxNode]:
    """Every node of a tree, or of a tuple of trees."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, SyntaxNode):
            yield current
            waiting.extend(msgspec.structs.astuple(current))
        elif isinstance(current, tuple):
            waiting.extend(current)
