"""Random data in the shape of TPC-H's, and changes to it, the same for the same seed.

The domains are wide enough that each of the 22 queries finds rows even at small scale; they are not
the benchmark's exact distributions.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Final

Value = int | str | Decimal | datetime.date
Row = tuple[Value, ...]

SCHEMA: Final = """
CREATE TABLE region (r_regionkey int NOT NULL, r_name text NOT NULL, r_comment text NOT NULL);
CREATE TABLE nation (
    n_nationkey int NOT NULL, n_name text NOT NULL, n_regionkey int NOT NULL,
    n_comment text NOT NULL
);
CREATE TABLE supplier (
    s_suppkey int NOT NULL, s_name text NOT NULL, s_address text NOT NULL,
    s_nationkey int NOT NULL, s_phone text NOT NULL, s_acctbal numeric(15, 2) NOT NULL,
    s_comment text NOT NULL
);
CREATE TABLE customer (
    c_custkey int NOT NULL, c_name text NOT NULL, c_address text NOT NULL,
    c_nationkey int NOT NULL, c_phone text NOT NULL, c_acctbal numeric(15, 2) NOT NULL,
    c_mktsegment text NOT NULL, c_comment text NOT NULL
);
CREATE TABLE part (
    p_partkey int NOT NULL, p_name text NOT NULL, p_mfgr text NOT NULL, p_brand text NOT NULL,
    p_type text NOT NULL, p_size int NOT NULL, p_container text NOT NULL,
    p_retailprice numeric(15, 2) NOT NULL, p_comment text NOT NULL
);
CREATE TABLE partsupp (
    ps_partkey int NOT NULL, ps_suppkey int NOT NULL, ps_availqty int NOT NULL,
    ps_supplycost numeric(15, 2) NOT NULL, ps_comment text NOT NULL
);
CREATE TABLE orders (
    o_orderkey int NOT NULL, o_custkey int NOT NULL, o_orderstatus text NOT NULL,
    o_totalprice numeric(15, 2) NOT NULL, o_orderdate date NOT NULL,
    o_orderpriority text NOT NULL, o_clerk text NOT NULL, o_shippriority int NOT NULL,
    o_comment text NOT NULL
);
CREATE TABLE lineitem (
    l_orderkey int NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL,
    l_linenumber int NOT NULL, l_quantity numeric(15, 2) NOT NULL,
    l_extendedprice numeric(15, 2) NOT NULL, l_discount numeric(15, 2) NOT NULL,
    l_tax numeric(15, 2) NOT NULL, l_returnflag text NOT NULL, l_linestatus text NOT NULL,
    l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct text NOT NULL, l_shipmode text NOT NULL, l_comment text NOT NULL
);
"""
TABLES: Final = (
    "region",
    "nation",
    "supplier",
    "customer",
    "part",
    "partsupp",
    "orders",
    "lineitem",
)
REGIONS: Final = ("AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST")
NATIONS: Final = (
    *(("ALGERIA", 0), ("ARGENTINA", 1), ("BRAZIL", 1), ("CANADA", 1), ("EGYPT", 4)),
    *(("ETHIOPIA", 0), ("FRANCE", 3), ("GERMANY", 3), ("INDIA", 2), ("INDONESIA", 2)),
    *(("IRAN", 4), ("IRAQ", 4), ("JAPAN", 2), ("JORDAN", 4), ("KENYA", 0), ("MOROCCO", 0)),
    *(("MOZAMBIQUE", 0), ("PERU", 1), ("CHINA", 2), ("ROMANIA", 3), ("SAUDI ARABIA", 4)),
    *(("VIETNAM", 2), ("RUSSIA", 3), ("UNITED KINGDOM", 3), ("UNITED STATES", 1)),
)
SEGMENTS: Final = ("AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD")
PRIORITIES: Final = ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")
INSTRUCTIONS: Final = ("DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN")
MODES: Final = ("REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB")
COLOURS: Final = ("almond", "azure", "forest", "green", "ivory", "lemon", "navy", "plum", "rose")
TYPE_SIZES: Final = ("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO")
TYPE_FINISHES: Final = ("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED")
TYPE_METALS: Final = ("TIN", "NICKEL", "BRASS", "STEEL", "COPPER")
CONTAINER_SIZES: Final = ("SM", "LG", "MED", "JUMBO", "WRAP")
CONTAINERS: Final = ("CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM")
REMARKS: Final = (
    "carefully packed",
    "special handling requests noted",
    "Customer of old with Complaints",
    "quick and quiet",
    "final deposits",
)
FIRST_DAY: Final = datetime.date(1992, 1, 1)
LAST_ORDER_DAY: Final = 2_405  # days after the first
CURRENT_DAY: Final = datetime.date(1995, 6, 17)
SUPPLIERS_PER_PART: Final = 4


@dataclass(slots=True)
class Changes:
    """One refresh: whole rows to insert, and keys of orders to delete with their lines."""

    orders: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    deleted_orders: list[int] = field(default_factory=list)
    updates: list[str] = field(default_factory=list)  # UPDATE statements


class Generator:
    """Rows at a scale factor (1: 1.5 million orders), then changes."""

    def __init__(self, scale: float, seed: int) -> None:
        self._random = Random(seed)
        self.suppliers = max(20, round(10_000 * scale))
        self.customers = max(30, round(150_000 * scale))
        self.parts = max(40, round(200_000 * scale))
        self._order_count = max(100, round(1_500_000 * scale))
        self._next_order = 1
        self._live_orders: list[int] = []

    def tables(self) -> Iterator[tuple[str, list[Row]]]:
        """Every table with its first rows."""
        yield "region", [(i, name, self._remark()) for i, name in enumerate(REGIONS)]
        yield (
            "nation",
            [(i, name, region, self._remark()) for i, (name, region) in enumerate(NATIONS)],
        )
        yield "supplier", [self._supplier(key) for key in range(1, self.suppliers + 1)]
        yield "customer", [self._customer(key) for key in range(1, self.customers + 1)]
        yield "part", [self._part(key) for key in range(1, self.parts + 1)]
        yield (
            "partsupp",
            [row for key in range(1, self.parts + 1) for row in self._part_suppliers(key)],
        )
        orders, lines = self._new_orders(self._order_count)
        yield "orders", orders
        yield "lineitem", lines

    def refresh(self, count: int) -> Changes:
        """`count` new orders, as many deleted, and a few rows of every kind updated."""
        random = self._random
        orders, lines = self._new_orders(count)
        deleted = [
            self._live_orders.pop(random.randrange(len(self._live_orders))) for _ in range(count)
        ]
        updates = [
            (
                f"UPDATE customer SET c_acctbal = {self._money(-999, 9_999)},"
                f" c_mktsegment = '{random.choice(SEGMENTS)}'"
                f" WHERE c_custkey = {random.randint(1, self.customers)}"
            ),
            (
                f"UPDATE supplier SET s_acctbal = s_acctbal + {self._money(-50, 50)},"
                f" s_nationkey = {random.randrange(len(NATIONS))}"
                f" WHERE s_suppkey = {random.randint(1, self.suppliers)}"
            ),
            (
                f"UPDATE partsupp SET ps_availqty = {random.randint(1, 9_999)},"
                f" ps_supplycost = {self._money(1, 1_000)}"
                f" WHERE ps_partkey = {random.randint(1, self.parts)}"
            ),
            (
                f"UPDATE lineitem SET l_receiptdate = l_receiptdate + {random.randint(-5, 5)},"
                f" l_quantity = {random.randint(1, 50)}"
                f" WHERE l_orderkey = {random.choice(self._live_orders)}"
            ),
            (
                f"UPDATE part SET p_size = {random.randint(1, 50)}"
                f" WHERE p_partkey = {random.randint(1, self.parts)}"
            ),
        ]
        return Changes(orders, lines, deleted, updates)

    def _remark(self) -> str:
        return self._random.choice(REMARKS)

    def _money(self, low: int, high: int) -> Decimal:
        return Decimal(self._random.randint(low * 100, high * 100)).scaleb(-2)

    def _phone(self, nation: int) -> str:
        digits = self._random.randint(0, 9_999_999)
        return f"{nation + 10}-{digits // 10_000:03d}-{digits % 1_000:03d}-{digits % 10_000:04d}"

    def _supplier(self, key: int) -> Row:
        nation = self._random.randrange(len(NATIONS))
        name = f"Supplier#{key:09d}"
        balance = self._money(-999, 9_999)
        return (
            *(key, name, f"{key} Quay", nation, self._phone(nation)),
            *(balance, self._remark()),
        )

    def _customer(self, key: int) -> Row:
        nation = self._random.randrange(len(NATIONS))
        name = f"Customer#{key:09d}"
        balance, segment = self._money(-999, 9_999), self._random.choice(SEGMENTS)
        return (
            *(key, name, f"{key} Street", nation, self._phone(nation)),
            *(balance, segment, self._remark()),
        )

    def _part(self, key: int) -> Row:
        choice = self._random.choice
        maker = self._random.randint(1, 5)
        name = " ".join(self._random.sample(COLOURS, 3))
        kind = f"{choice(TYPE_SIZES)} {choice(TYPE_FINISHES)} {choice(TYPE_METALS)}"
        container = f"{choice(CONTAINER_SIZES)} {choice(CONTAINERS)}"
        return (
            *(key, name, f"Manufacturer#{maker}"),
            *(f"Brand#{maker}{self._random.randint(1, 5)}", kind, self._random.randint(1, 50)),
            *(container, self._price(key), self._remark()),
        )

    def _price(self, part: int) -> Decimal:
        return Decimal(90_000 + part // 10 % 20_001 + 100 * (part % 1_000)).scaleb(-2)

    def _supplier_of(self, part: int, index: int) -> int:
        return (part + index * (self.suppliers // SUPPLIERS_PER_PART + 1)) % self.suppliers + 1

    def _part_suppliers(self, part: int) -> Iterator[Row]:
        for index in range(SUPPLIERS_PER_PART):
            supplier = self._supplier_of(part, index)
            available = self._random.randint(1, 9_999)
            yield part, supplier, available, self._money(1, 1_000), self._remark()

    def _new_orders(self, count: int) -> tuple[list[Row], list[Row]]:
        orders: list[Row] = []
        lines: list[Row] = []
        for key in range(self._next_order, self._next_order + count):
            day = self._random.randint(0, LAST_ORDER_DAY)
            own = [self._line(key, number, day) for number in range(self._random.randint(1, 7))]
            orders.append(self._order(key, day, own))
            lines += own
            self._live_orders.append(key)
        self._next_order += count
        return orders, lines

    def _order(self, key: int, day: int, lines: Sequence[Row]) -> Row:
        # As in the benchmark a third of the customers never order.
        customer = self._random.randint(1, self.customers)
        customer -= customer % 3 == 0
        statuses = {line[9] for line in lines}
        status = "P" if len(statuses) > 1 else str(next(iter(statuses)))
        total = sum((line[5] for line in lines if isinstance(line[5], Decimal)), Decimal(0))
        return (
            *(key, customer, status, total, FIRST_DAY + datetime.timedelta(day)),
            *(self._random.choice(PRIORITIES), f"Clerk#{key % 10:09d}", 0, self._remark()),
        )

    def _line(self, order: int, number: int, day: int) -> Row:
        random = self._random
        part = random.randint(1, self.parts)
        supplier = self._supplier_of(part, random.randrange(SUPPLIERS_PER_PART))
        quantity = random.randint(1, 50)
        shipped = FIRST_DAY + datetime.timedelta(day + random.randint(1, 121))
        committed = FIRST_DAY + datetime.timedelta(day + random.randint(30, 90))
        received = shipped + datetime.timedelta(random.randint(1, 30))
        returned = random.choice("RA") if received <= CURRENT_DAY else "N"
        status = "O" if shipped > CURRENT_DAY else "F"
        return (
            *(order, part, supplier, number + 1, Decimal(quantity), quantity * self._price(part)),
            *(Decimal(random.randint(0, 10)).scaleb(-2), Decimal(random.randint(0, 8)).scaleb(-2)),
            *(returned, status, shipped, committed, received),
            *(random.choice(INSTRUCTIONS), random.choice(MODES), self._remark()),
        )
