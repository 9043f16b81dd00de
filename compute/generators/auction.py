"""AUCTION: a house where one auction after the other takes bids.

Organizations, users and accounts are there from the start. Every tenth tick begins an auction, the
others bid in it.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

from compute.generators.updates import GeneratedUpdate, timestamp

ORGANIZATIONS: Final = 100
USERS_PER_ORGANIZATION: Final = 10
TICKS_PER_AUCTION: Final = 10
MOST_BID: Final = 100
MOST_BALANCE: Final = 100_000
ITEMS: Final = (
    "Gift Basket",
    "Signed Memorabilia",
    "City Bar Crawl",
    "Best Pizza in Town",
    "Custom Art",
)
FIRST_NAMES: Final = (
    "Ada",
    "Bela",
    "Chidi",
    "Dora",
    "Emil",
    "Fumi",
    "Greta",
    "Hugo",
    "Ines",
    "Jon",
)
COMPANY_WORDS: Final = ("Granite", "Harbor", "Juniper", "Lantern", "Meadow", "Orchard", "Quarry")
COMPANY_FORMS: Final = ("Works", "Partners", "Supply", "Labs", "Trading")


class Auction:
    """A `Generator`. `tick_us` is how long a tick takes, which auctions' ends are counted in."""

    def __init__(self, tick_us: int) -> None:
        self._tick_us = tick_us

    def start(self, now_us: int) -> Iterator[GeneratedUpdate]:
        for org in range(1, ORGANIZATIONS + 1):
            random = Random(f"organization {org}")
            name = f"{random.choice(COMPANY_WORDS)} {random.choice(COMPANY_FORMS)} {org}"
            yield GeneratedUpdate("organizations", (org, name))
            yield GeneratedUpdate("accounts", (org, org, random.randint(0, MOST_BALANCE)))
            for number in range(USERS_PER_ORGANIZATION):
                user = (org - 1) * USERS_PER_ORGANIZATION + number + 1
                yield GeneratedUpdate("users", (user, org, f"{random.choice(FIRST_NAMES)} {user}"))

    def tick(self, number: int, now_us: int) -> Iterator[GeneratedUpdate]:
        random = Random(f"tick {number}")
        auction, place = divmod(number, TICKS_PER_AUCTION)
        user = random.randint(1, ORGANIZATIONS * USERS_PER_ORGANIZATION)
        if place == 0:
            end = timestamp(now_us + TICKS_PER_AUCTION * self._tick_us)
            row = (auction + 1, user, random.choice(ITEMS), end)
            yield GeneratedUpdate("auctions", row)
        else:
            bid = auction * (TICKS_PER_AUCTION - 1) + place
            amount = random.randint(1, MOST_BID)
            yield GeneratedUpdate("bids", (bid, user, auction + 1, amount, timestamp(now_us)))
