"""The order in which the optimizer's rules run."""

from expr.relation import Relation
from expr.scalar import EvaluationContext
from sql.optimizer.pruning import prune_columns
from sql.optimizer.pushdown import push_down
from sql.optimizer.simplify import fold_scalars, simplify


def optimize(relation: Relation, context: EvaluationContext) -> Relation:
    """A relation with the same rows and columns that costs less to compute."""
    relation = simplify(fold_scalars(relation, context), context)
    relation = simplify(push_down(relation), context)
    return simplify(prune_columns(relation), context)
