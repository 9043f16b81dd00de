"""Work descriptions are encoded once for a plan, and anew for what differs."""

from compute.output_format import OutputFormat
from compute.protocol import PeekWork, Work, decode_work
from controllers.encoded_works import MAX_REMEMBERED_BYTES, EncodedWorks
from core.ids import GlobalId
from core.rows import codec_for
from core.sql_types import INT4, TEXT
from expr.relation import Constant, Finishing, Get, Relation


class Encoder:
    """Counts what is encoded."""

    def __init__(self) -> None:
        self.works = EncodedWorks()
        self.count = 0

    def encoded(self, relation: Relation, limit: int | None) -> bytes:
        finishing = Finishing(limit=limit)

        def make() -> Work:
            self.count += 1
            return PeekWork(relation, finishing, (), OutputFormat((INT4,)))

        return self.works.encoded(relation, (finishing,), make)


def test_the_same_relation_is_encoded_once() -> None:
    encoder = Encoder()
    relation = Get(GlobalId("u1"), (INT4,))
    data = encoder.encoded(relation, None)
    assert encoder.encoded(relation, None) is data
    assert encoder.count == 1
    assert encoder.encoded(relation, 5) != data
    assert encoder.encoded(relation, None) == data
    assert encoder.count == 3


def test_equal_relations_have_equal_encodings() -> None:
    encoder = Encoder()
    first, second = (Get(GlobalId("u1"), (INT4,)) for _ in range(2))
    assert encoder.encoded(first, 1) == encoder.encoded(second, 1)
    decoded = decode_work(encoder.encoded(first, 1))
    assert isinstance(decoded, PeekWork)
    assert decoded.relation == first


def test_large_ones_are_not_kept() -> None:
    encoder = Encoder()
    row = codec_for((TEXT,)).encode(("x" * MAX_REMEMBERED_BYTES,))
    relation = Constant(((row, 1),), (TEXT,))
    assert encoder.encoded(relation, None) == encoder.encoded(relation, None)
    assert encoder.count == 2
