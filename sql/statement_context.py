"""What the planners of one statement share: catalog, session, parameters, and counters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.allowance import checkpoint
from core.ids import GlobalId
from sql import limits
from sql.catalog_view import CatalogView
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


@dataclass
class StatementContext:
    """The mutable state of planning one statement."""

    catalog: CatalogView
    session: PlanningSession
    parameters: ParameterTypes
    coercer: Coercer = field(init=False)
    depends_on: set[GlobalId] = field(default_factory=set)  # stored collections
    names_items: set[GlobalId] = field(default_factory=set)  # items named by the text itself
    replacements: list[Replacement] = field(default_factory=list)  # for a view's definition
    shared: list[Shared] = field(default_factory=list)
    depth: int = 0
    view_depth: int = 0

    def __post_init__(self) -> None:
        self.coercer = Coercer(self.session.context, self.parameters)
        self.variables = variable_allocator()

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
