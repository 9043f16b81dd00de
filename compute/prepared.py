"""Compiled work, found again by its description's bytes."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

from compute.dataflow_messages import CollectionSource
from compute.encode import ResultEncoder, result_encoder
from compute.measure import MeasuredQuery, measured_query
from compute.metrics import RENDERED_PLANS
from compute.protocol import (
    CopyWork,
    PeekWork,
    ProtocolError,
    StageWork,
    decode_work,
)
from compute.render import render
from compute.result import FinishedQuery, finished_query
from compute.stage import PreparedStage, prepare_stage
from core.ids import GlobalId
from core.rows import Row, codec_for
from core.sql_types import SqlType
from expr.relation import Get, Lookup, Relation, children

MAX_PREPARED: Final = 1024
MAX_REMEMBERED_BYTES: Final = 64 * 1024  # of one description

Compiled = TypeVar("Compiled")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What running needs to know of any work: the collections it reads and their types, and those
    of its parameters."""

    sources: tuple[tuple[CollectionSource, tuple[SqlType, ...]], ...]
    parameter_types: tuple[SqlType, ...]

    def parameters(self, encoded: tuple[bytes, ...]) -> Row:
        """The values of the parameters of one run. Raises ProtocolError."""
        if len(encoded) != len(self.parameter_types):
            raise ProtocolError("a work must have a value for each parameter")
        return tuple(
            codec_for((sql_type.base,)).decode(data)[0]
            for data, sql_type in zip(encoded, self.parameter_types, strict=True)
        )


@dataclass(frozen=True, slots=True)
class PreparedPeek(Prepared):
    """A compiled `PeekWork`."""

    query: FinishedQuery | MeasuredQuery
    encoder: ResultEncoder


class PreparedWorks:
    """The most recently used compiled peeks and staged queries."""

    def __init__(self) -> None:
        self._peeks: OrderedDict[bytes, PreparedPeek] = OrderedDict()
        self._stages: OrderedDict[bytes, tuple[Prepared, PreparedStage]] = OrderedDict()

    def peek(self, data: bytes) -> PreparedPeek:
        """The compiled form of an encoded `PeekWork`. Raises SqlError, ProtocolError."""
        prepared = self._peeks.get(data)
        if prepared is not None:
            self._peeks.move_to_end(data)
            return prepared
        work = decode_work(data)
        if not isinstance(work, PeekWork):
            raise ProtocolError("a peek's work must be a query")
        RENDERED_PLANS.inc()
        context = work.output.context
        query: FinishedQuery | MeasuredQuery
        if work.is_analyzed:
            query = measured_query(work.relation, work.finishing, context)
        else:
            query = finished_query(render(work.relation, context), work.finishing)
        prepared = PreparedPeek(
            _sources(work.relation, work.sources),
            work.parameter_types,
            query,
            result_encoder(work.output),
        )
        if not work.is_analyzed:
            _keep(self._peeks, data, prepared)
        return prepared

    def stage(self, data: bytes) -> tuple[Prepared, PreparedStage]:
        """The compiled form of an encoded `StageWork`. Raises SqlError, ProtocolError."""
        prepared = self._stages.get(data)
        if prepared is not None:
            self._stages.move_to_end(data)
            return prepared
        work = decode_work(data)
        if not isinstance(work, StageWork):
            raise ProtocolError("a stage's work must be a staged query")
        RENDERED_PLANS.inc()
        needed = Prepared(_sources(work.relation, work.sources), work.parameter_types)
        prepared = needed, prepare_stage(work)
        _keep(self._stages, data, prepared)
        return prepared

    def copy(self, data: bytes) -> CopyWork:
        """Decode a `CopyWork`. Raises ProtocolError."""
        work = decode_work(data)
        if not isinstance(work, CopyWork):
            raise ProtocolError("a copy's work must be a COPY")
        return work


def _keep(works: OrderedDict[bytes, Compiled], data: bytes, prepared: Compiled) -> None:
    if len(data) <= MAX_REMEMBERED_BYTES:
        works[data] = prepared
        if len(works) > MAX_PREPARED:
            works.popitem(last=False)


def _sources(
    relation: Relation, sources: tuple[CollectionSource, ...]
) -> tuple[tuple[CollectionSource, tuple[SqlType, ...]], ...]:
    """Every collection that `relation` reads, once, with its column types; a lookup reads the
    source that is named by its index.

    Raises ProtocolError when one has no source.
    """
    source_of = {source.id: source for source in sources}
    found: dict[GlobalId, tuple[SqlType, ...]] = {}
    stack: list[Relation] = [relation]
    while stack:
        node = stack.pop()
        match node:
            case Get(id=id, types=types) | Lookup(index=id, types=types):
                found[id] = types
        stack.extend(children(node))
    missing = [id for id in found if id not in source_of]
    if missing:
        raise ProtocolError(f"no source was given for {', '.join(missing)}")
    return tuple((source_of[id], tuple(t.base for t in types)) for id, types in found.items())
