"""Load generators: the collections that each makes, and its options.

A generator's contents are a function of how many ticks it has made, so that it goes on after a
crash where it ended. That number is a collection of its own, the source's progress.
"""

from enum import StrEnum
from typing import Final

import msgspec

from core.sql_types import DATE, INT4, INT8, TEXT, TIMESTAMPTZ, UINT8, Column, RelationDesc, SqlType

DEFAULT_TICK_US: Final = 1_000_000
DEFAULT_SCALE_FACTOR: Final = 0.01
PROGRESS: Final = "progress"  # the output that holds the number of ticks made
PROGRESS_DESC: Final = RelationDesc((Column("offset", UINT8),))

_MONEY: Final = SqlType(1700, (15 << 16 | 2) + 4)  # numeric(15, 2)
_TYPES: Final = {
    "int": INT4,
    "bigint": INT8,
    "text": TEXT,
    "money": _MONEY,
    "date": DATE,
    "time": TIMESTAMPTZ,
}


class LoadGeneratorKind(StrEnum):
    """What is generated."""

    COUNTER = "counter"
    AUCTION = "auction"
    TPCH = "tpch"


class LoadGenerator(msgspec.Struct, frozen=True, array_like=True):
    """A generator that ticks every `tick_us` microseconds (0: never, after the first contents).
    `scale_factor` is for TPCH, `max_cardinality` for COUNTER: how many rows there are at most."""

    kind: LoadGeneratorKind
    tick_us: int = DEFAULT_TICK_US
    scale_factor: float = DEFAULT_SCALE_FACTOR
    max_cardinality: int | None = None


def _desc(columns: str) -> RelationDesc:
    pairs = (column.split() for column in columns.split(","))
    return RelationDesc(tuple(Column(name, _TYPES[kind], False) for name, kind in pairs))


OUTPUTS: Final[dict[LoadGeneratorKind, dict[str, RelationDesc]]] = {
    LoadGeneratorKind.COUNTER: {"counter": _desc("counter bigint")},
    LoadGeneratorKind.AUCTION: {
        "organizations": _desc("id bigint, name text"),
        "users": _desc("id bigint, org_id bigint, name text"),
        "accounts": _desc("id bigint, org_id bigint, balance bigint"),
        "auctions": _desc("id bigint, seller bigint, item text, end_time time"),
        "bids": _desc("id bigint, buyer bigint, auction_id bigint, amount int, bid_time time"),
    },
    LoadGeneratorKind.TPCH: {
        "region": _desc("r_regionkey int, r_name text, r_comment text"),
        "nation": _desc("n_nationkey int, n_name text, n_regionkey int, n_comment text"),
        "supplier": _desc(
            "s_suppkey int, s_name text, s_address text, s_nationkey int, s_phone text,"
            " s_acctbal money, s_comment text"
        ),
        "customer": _desc(
            "c_custkey int, c_name text, c_address text, c_nationkey int, c_phone text,"
            " c_acctbal money, c_mktsegment text, c_comment text"
        ),
        "part": _desc(
            "p_partkey int, p_name text, p_mfgr text, p_brand text, p_type text, p_size int,"
            " p_container text, p_retailprice money, p_comment text"
        ),
        "partsupp": _desc(
            "ps_partkey int, ps_suppkey int, ps_availqty int, ps_supplycost money, ps_comment text"
        ),
        "orders": _desc(
            "o_orderkey int, o_custkey int, o_orderstatus text, o_totalprice money,"
            " o_orderdate date, o_orderpriority text, o_clerk text, o_shippriority int,"
            " o_comment text"
        ),
        "lineitem": _desc(
            "l_orderkey int, l_partkey int, l_suppkey int, l_linenumber int, l_quantity money,"
            " l_extendedprice money, l_discount money, l_tax money, l_returnflag text,"
            " l_linestatus text, l_shipdate date, l_commitdate date, l_receiptdate date,"
            " l_shipinstruct text, l_shipmode text, l_comment text"
        ),
    },
}
