"""What the planners of one statement share: catalog, session, parameters, and counters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field

from core.allowance import checkpoint
from core.ids import GlobalId
from sql import limits
from sql.catalog_view import CatalogItem, CatalogView
from sql.coercion import Coercer, ParameterTypes
from sql.hir import Hir
from sql.scope import variable_allocator
from sql.session_view import PlanningSession


@dataclass(slots=True)
class Shared:
    """A common table or a view used more than once: planned once, read by `LocalGet`."""

    id: int
    hir: Hir


@dataclass(frozen=True, slots=True)
class Replacement:
    """What stands for `tokens` tokens from offset `start` on in the normalised text."""

    start: int
    tokens: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """From where a query reads what it names: from indexes of `cluster` (None: from none), of which
    only those older than the item `before` if that is given. `is_from_base`: materialized views are
    computed as views are, from tables and sources."""

    cluster: str | None
    before: GlobalId | None = None
    is_from_base: bool = False

    def indexes(self, item: CatalogItem, catalog: CatalogView) -> tuple[CatalogItem, ...]:
        """The indexes that the item may be read from."""
        if self.cluster is None or item.is_system:
            return ()
        indexes = catalog.indexes(item.id, self.cluster)
        if self.before is None or not indexes:
            return indexes
        bound = _age(self.before)
        return tuple(index for index in indexes if _age(index.id) < bound)


def _age(id: GlobalId) -> int:
    return int(id[1:])


@dataclass
class StatementContext:
    """The mutable state of planning one statement.

    `indexes` has each item that was read, through views as well, with the indexes that it may be
    read from.
    """

    catalog: CatalogView
    session: PlanningSession
    parameters: ParameterTypes
    read_from: InitVar[Reading | None] = None  # None: the session's cluster
    reading: Reading = field(init=False)
    coercer: Coercer = field(init=False)
    depends_on: set[GlobalId] = field(default_factory=set)  # stored collections
    indexes: dict[GlobalId, tuple[CatalogItem, ...]] = field(default_factory=dict)
    names_items: set[GlobalId] = field(default_factory=set)  # items named by the text itself
    replacements: list[Replacement] = field(default_factory=list)  # for a view's definition
    shared: list[Shared] = field(default_factory=list)
    depth: int = 0
    view_depth: int = 0

    def __post_init__(self, read_from: Reading | None) -> None:
        self.reading = read_from or Reading(self.session.cluster)
        self.coercer = Coercer(self.session.context, self.parameters)
        self.variables = variable_allocator()

    def indexes_on(self, item: CatalogItem) -> tuple[CatalogItem, ...]:
        """The indexes that a mention of `item` may be read from; they are noted in `indexes`."""
        found = self.reading.indexes(item, self.catalog)
        self.indexes[item.id] = found
        return found

    def enter(self) -> None:
        """Count one level of recursion. Raises SqlError 54001 past the bound."""
        checkpoint()
        self.depth += 1
        if self.depth > limits.MAX_PLAN_DEPTH:
            raise limits.too_deep()

    @contextmanager
    def inside_definition(self) -> Iterator[None]:
        """What is planned inside is no text of the statement, but that of a view or a macro."""
        self.view_depth += 1
        try:
            yield
        finally:
            self.view_depth -= 1

    def leave(self) -> None:
        """Undo `enter`."""
        self.depth -= 1
