"""TPCH: the tables of TPC-H at a scale, and orders that are replaced tick by tick.

The keys, domains and correlations are the benchmark's (TPC-H specification, clause 4.2); texts and
distributions are simpler. Every row is a function of its key, and an order, with its lines, of how
often it was replaced: tick `n` replaces order `n` modulo the number of orders.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from compute.generators.updates import GeneratedUpdate
from core.rows import Row

SUPPLIERS: Final = 10_000  # at scale factor 1
CUSTOMERS: Final = 150_000
PARTS: Final = 200_000
ORDERS_PER_CUSTOMER: Final = 10
SUPPLIERS_PER_PART: Final = 4
MOST_LINES: Final = 7
FIRST_DAY: Final = date(1992, 1, 1)
LAST_ORDER_DAY: Final = 2_405
CURRENT_DAY: Final = date(1995, 6, 17)
EPOCH_DAY: Final = date(2000, 1, 1)
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
COLOURS: Final = tuple(
    "almond azure beige blue chocolate coral cyan forest green ivory lemon linen maroon navy olive"
    " orchid peach plum puff rose salmon sienna sky steel tan tomato violet wheat".split()
)
TYPE_SIZES: Final = ("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO")
TYPE_FINISHES: Final = ("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED")
TYPE_METALS: Final = ("TIN", "NICKEL", "BRASS", "STEEL", "COPPER")
CONTAINER_SIZES: Final = ("SM", "LG", "MED", "JUMBO", "WRAP")
CONTAINERS: Final = ("CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM")
WORDS: Final = tuple(
    "accounts asymptotes blithely bold brave careful deposits drums even express final fluffy foxes"
    " furiously ideas ironic packages pending pinto quick quiet regular requests sauternes silent"
    " slyly special theodolites unusual".split()
)


class Tpch:
    """A `Generator`."""

    def __init__(self, scale_factor: float) -> None:
        self._suppliers = max(SUPPLIERS_PER_PART, int(SUPPLIERS * scale_factor))
        self._customers = max(3, int(CUSTOMERS * scale_factor))
        self._parts = max(1, int(PARTS * scale_factor))
        self._orders = self._customers * ORDERS_PER_CUSTOMER

    def start(self, now_us: int) -> Iterator[GeneratedUpdate]:
        for key, name in enumerate(REGIONS):
            yield GeneratedUpdate("region", (key, name, _text(Random(name))))
        for key, (name, region) in enumerate(NATIONS):
            yield GeneratedUpdate("nation", (key, name, region, _text(Random(name))))
        for key in range(1, self._suppliers + 1):
            yield GeneratedUpdate("supplier", _supplier(key))
        for key in range(1, self._customers + 1):
            yield GeneratedUpdate("customer", _customer(key))
        for key in range(1, self._parts + 1):
            yield from self._part(key)
        for number in range(self._orders):
            yield from self._order(number, 0, 1)

    def tick(self, number: int, now_us: int) -> Iterator[GeneratedUpdate]:
        version, order = divmod(number, self._orders)
        yield from self._order(order, version, -1)
        yield from self._order(order, version + 1, 1)

    def _part(self, key: int) -> Iterator[GeneratedUpdate]:
        random = Random(f"part {key}")
        choice, maker = random.choice, random.randint(1, 5)
        name = " ".join(random.sample(COLOURS, 5))
        brand = f"Brand#{maker}{random.randint(1, 5)}"
        kind = f"{choice(TYPE_SIZES)} {choice(TYPE_FINISHES)} {choice(TYPE_METALS)}"
        container = f"{choice(CONTAINER_SIZES)} {choice(CONTAINERS)}"
        head: Row = (key, name, f"Manufacturer#{maker}", brand, kind, random.randint(1, 50))
        yield GeneratedUpdate("part", (*head, container, _price(key), _text(random)))
        for index in range(SUPPLIERS_PER_PART):
            supplier, available = self._supplier_of(key, index), random.randint(1, 9_999)
            cost = _money(random, 100, 100_000)
            yield GeneratedUpdate("partsupp", (key, supplier, available, cost, _text(random)))

    def _supplier_of(self, part: int, index: int) -> int:
        step = self._suppliers // SUPPLIERS_PER_PART
        return (part + index * step) % self._suppliers + 1

    def _order(self, number: int, version: int, diff: int) -> Iterator[GeneratedUpdate]:
        """One version of an order and its lines, added or taken away."""
        random = Random(f"order {number} {version}")
        key = number // 8 * 32 + number % 8 + 1  # as in the benchmark keys are sparse
        customer = random.randint(1, self._customers)
        customer -= customer % 3 == 0  # a third of the customers never order
        day = FIRST_DAY + timedelta(random.randint(0, LAST_ORDER_DAY))
        total, statuses = Decimal(0), set()
        for line in range(1, random.randint(1, MOST_LINES) + 1):
            row = self._line(random, key, line, day)
            total += (row[5] * (1 + row[7]) * (1 - row[6])).quantize(Decimal("0.01"))
            statuses.add(row[9])
            yield GeneratedUpdate("lineitem", row, diff)
        status = statuses.pop() if len(statuses) == 1 else "P"
        clerk = f"Clerk#{random.randint(1, max(1, self._customers // 150)):09d}"
        head: Row = (key, customer, status, total, _days(day), random.choice(PRIORITIES), clerk)
        yield GeneratedUpdate("orders", (*head, 0, _text(random)), diff)

    def _line(self, random: Random, order: int, number: int, day: date) -> Row:
        part = random.randint(1, self._parts)
        supplier = self._supplier_of(part, random.randrange(SUPPLIERS_PER_PART))
        quantity = random.randint(1, 50)
        discount, tax = _cents(random.randint(0, 10)), _cents(random.randint(0, 8))
        shipped = day + timedelta(random.randint(1, 121))
        committed = day + timedelta(random.randint(30, 90))
        received = shipped + timedelta(random.randint(1, 30))
        returned = random.choice("RA") if received <= CURRENT_DAY else "N"
        status = "O" if shipped > CURRENT_DAY else "F"
        amounts: Row = (_cents(100 * quantity), quantity * _price(part), discount, tax)
        days = _days(shipped), _days(committed), _days(received)
        sent = random.choice(INSTRUCTIONS), random.choice(MODES), _text(random)
        return (order, part, supplier, number, *amounts, returned, status, *days, *sent)


def _supplier(key: int) -> Row:
    random = Random(f"supplier {key}")
    nation = random.randrange(len(NATIONS))
    address, phone = _address(random), _phone(random, nation)
    balance = _money(random, -99_999, 999_999)
    return key, f"Supplier#{key:09d}", address, nation, phone, balance, _text(random)


def _customer(key: int) -> Row:
    random = Random(f"customer {key}")
    nation = random.randrange(len(NATIONS))
    address, phone = _address(random), _phone(random, nation)
    balance, segment = _money(random, -99_999, 999_999), random.choice(SEGMENTS)
    return key, f"Customer#{key:09d}", address, nation, phone, balance, segment, _text(random)


def _price(part: int) -> Decimal:
    return _cents(90_000 + part // 10 % 20_001 + 100 * (part % 1_000))


def _cents(count: int) -> Decimal:
    return Decimal(count).scaleb(-2)


def _money(random: Random, least_cents: int, most_cents: int) -> Decimal:
    return _cents(random.randint(least_cents, most_cents))


def _days(day: date) -> int:
    return (day - EPOCH_DAY).days


def _phone(random: Random, nation: int) -> str:
    parts = random.randint(100, 999), random.randint(100, 999), random.randint(1_000, 9_999)
    return "-".join(map(str, (nation + 10, *parts)))


def _address(random: Random) -> str:
    return f"{random.randint(1, 999)} {random.choice(COLOURS).title()} Street"


def _text(random: Random) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(3, 8)))
