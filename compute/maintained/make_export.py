"""From the description of an export to the export."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from compute.dataflow_messages import (
    DataflowDescription,
    IndexExport,
    SinkExport,
    SourceExport,
    SubscribeExport,
)
from compute.maintained.export import Export
from compute.maintained.index_export import IndexArrangement
from compute.maintained.progress import Progress
from compute.maintained.sink import Sink
from compute.maintained.sink_writer import SinkWriter
from compute.maintained.source import LoadGeneratorSource
from compute.maintained.subscribe import SubscribeSink
from compute.maintained.subscriptions import Subscriptions
from compute.scheduler import Scheduler
from core.ids import GlobalId
from core.rows import codec_for
from persist.location import PersistLocation


@dataclass(slots=True)
class Surroundings:
    """What exports and feeds of a replica share. `report` asks for a dataflow's frontier to be sent
    at once."""

    location: PersistLocation
    scheduler: Scheduler
    progress: Progress
    epoch: int
    subscriptions: Subscriptions
    sinks: SinkWriter
    report: Callable[[GlobalId], None]


def make_export(description: DataflowDescription, surroundings: Surroundings) -> Export:
    """The export that `description` asks for. Raises SqlError."""
    match description.export:
        case IndexExport():
            return IndexArrangement(description, surroundings.scheduler)
        case SinkExport() as sink:
            return _sink(description.id, sink, surroundings)
        case SourceExport() as source:
            return _source(description.id, source, surroundings)
        case SubscribeExport():
            return SubscribeSink(description, surroundings.subscriptions, surroundings.scheduler)
        case other:
            assert_never(other)


def _sink(id: GlobalId, export: SinkExport, surroundings: Surroundings) -> Sink:
    sinks = surroundings.sinks
    sink = Sink(
        sinks.shards.shard(export.shard),
        codec_for(tuple(t.base for t in export.desc.types)),
        sinks,
        surroundings.scheduler,
        surroundings.location.blob,
        surroundings.epoch,
        lambda: surroundings.report(id),
    )
    sinks.add(sink)
    return sink


def _source(id: GlobalId, export: SourceExport, surroundings: Surroundings) -> LoadGeneratorSource:
    return LoadGeneratorSource(
        export,
        surroundings.sinks,
        surroundings.location,
        surroundings.scheduler,
        surroundings.epoch,
        lambda: surroundings.report(id),
    )
