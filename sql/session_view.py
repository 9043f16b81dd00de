"""What planning needs to see of a session.

The value is immutable and hashable, so that a plan can be cached by (text, catalog revision,
session view). Anything that may change without changing the plan (the time, the connection id)
is not here: it stands in plans as calls of kind SESSION.
"""

from dataclasses import dataclass, field

from expr.scalar import EvaluationContext

TEMPORARY_SCHEMA = "mz_temp"
CATALOG_CLUSTER = "mz_catalog_server"  # runs queries of system relations alone


@dataclass(frozen=True, slots=True)
class PlanningSession:
    """The settings that name resolution, planning and constant folding depend on.

    `search_path` holds the schema names as the user set them (`"$user"` not expanded, unknown
    ones kept); implicit schemas are added by the catalog view.
    """

    database: str = "materialize"
    search_path: tuple[str, ...] = ("public",)
    user: str = "materialize"
    is_superuser: bool = False
    cluster: str = "quickstart"
    context: EvaluationContext = field(default_factory=EvaluationContext)
