"""Work descriptions as bytes, encoded once for a plan that comes again and again.

A session's cached plan comes as the same relation object each time, so the last encodings are kept
by its identity.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from compute.protocol import Work, encode_work
from expr.relation import Relation

MAX_WORKS: Final = 1024
MAX_REMEMBERED_BYTES: Final = 16 * 1024  # of one work


class _Encoded(NamedTuple):
    """`relation` is kept so that no other object takes its identity."""

    relation: Relation
    rest: tuple[object, ...]
    data: bytes


class EncodedWorks:
    """The most recently made ones."""

    def __init__(self) -> None:
        self._works: OrderedDict[int, _Encoded] = OrderedDict()

    def encoded(
        self, relation: Relation, rest: tuple[object, ...], make: Callable[[], Work]
    ) -> bytes:
        """The bytes of the work that `make` makes of `relation` and `rest`. Raises SqlError."""
        known = self._works.get(id(relation))
        if known is not None and known.relation is relation and known.rest == rest:
            self._works.move_to_end(id(relation))
            return known.data
        data = encode_work(make())
        if len(data) <= MAX_REMEMBERED_BYTES:
            self._works[id(relation)] = _Encoded(relation, rest, data)
            self._works.move_to_end(id(relation))
            if len(self._works) > MAX_WORKS:
                self._works.popitem(last=False)
        return data
