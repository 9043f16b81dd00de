"""What requests answer that no replica can take."""

from collections.abc import Iterable

from controllers.replica import Replica
from core.errors import CANNOT_CONNECT_NOW, UNDEFINED_OBJECT, SqlError
from core.ids import GlobalId


def no_replica(cluster: str, replicas: Iterable[Replica]) -> SqlError:
    """No replica of the cluster served."""
    ends = [
        f'Replica "{replica.spec.name}" keeps stopping: {replica.end_count} times since it last'
        f" served, at last with exit status {replica.last_end.exit_status}."
        for replica in replicas
        if replica.end_count and replica.last_end is not None
    ]
    return SqlError(
        CANNOT_CONNECT_NOW,
        f'no replica of cluster "{cluster}" is available',
        detail=" ".join(ends) or None,
        hint="The server's log tells why a replica stopped."
        if ends
        else "Retry the statement in a moment.",
    )


def not_maintained(ids: tuple[GlobalId, ...], failure: str | None) -> SqlError:
    """Replicas served, but none came to maintain what is needed; `failure` is why the last that
    tried did not."""
    return SqlError(
        CANNOT_CONNECT_NOW,
        f"no replica maintains {', '.join(ids)} yet",
        detail=failure,
        hint="Retry the statement in a moment.",
    )


def index_dropped(id: GlobalId) -> SqlError:
    """A read was planned with an index that no replica has any more."""
    return SqlError(UNDEFINED_OBJECT, f'query could not complete because index "{id}" was dropped')
