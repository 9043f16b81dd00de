"""What relations are rendered to."""

from dataclasses import dataclass, replace

from compute.execution import Operator
from compute.operators.consolidate import ConsolidateOperator
from compute.operators.join import Estimator
from compute.operators.keys import identity_key
from core.sql_types import SqlType


@dataclass(frozen=True, slots=True)
class Rendered:
    """An operator, the types of its rows, and what is known about them."""

    operator: Operator
    types: tuple[SqlType, ...]
    estimate: Estimator
    may_be_negative: bool = False


def consolidated(part: Rendered) -> Rendered:
    """`part`, without negative multiplicities."""
    if not part.may_be_negative:
        return part
    operator = ConsolidateOperator(part.operator, identity_key(part.types), False)
    return replace(part, operator=operator, may_be_negative=False)
