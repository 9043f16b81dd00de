"""An auction house: bids come in, two questions are always answered.

`auction_bids` has for each auction its number of bids, the highest and their sum; `category_top`
the ten auctions with the highest bids of each category. Two ways to have them in PostgreSQL stand
beside our views: triggers written by hand, and REFRESH. (pg_ivm knows no window functions.)
"""

from collections.abc import Iterator
from random import Random
from typing import Final

CATEGORIES: Final = 20
TABLES: Final = (
    "CREATE TABLE auctions (id int NOT NULL, category int NOT NULL)",
    "CREATE TABLE bids (id int NOT NULL, auction int NOT NULL, amount int NOT NULL)",
)
BIDS_QUERY: Final = (
    "SELECT auction, count(*) AS bids, max(amount) AS highest, sum(amount) AS total"
    " FROM bids GROUP BY auction"
)
TOP_QUERY: Final = (
    "SELECT category, auction, highest FROM (SELECT category, auction, highest, row_number()"
    " OVER (PARTITION BY category ORDER BY highest DESC, auction) AS place"
    " FROM {bids} b JOIN auctions a ON a.id = b.auction) ranked WHERE place <= 10"
)
BIDS_LOOKUP: Final = "SELECT bids, highest, total FROM auction_bids WHERE auction = {auction}"
TOP_LOOKUP: Final = "SELECT auction, highest FROM category_top WHERE category = {category}"

HEADWATER: Final = (
    f"CREATE MATERIALIZED VIEW auction_bids AS {BIDS_QUERY}",
    f"CREATE MATERIALIZED VIEW category_top AS {TOP_QUERY.format(bids='auction_bids')}",
    "CREATE INDEX auction_bids_by_auction ON auction_bids (auction)",
    "CREATE INDEX category_top_by_category ON category_top (category)",
)
_KEYS: Final = (
    "CREATE INDEX bids_by_id ON bids (id)",
    "CREATE INDEX bids_by_auction ON bids (auction, amount)",
    "CREATE UNIQUE INDEX auctions_by_id ON auctions (id)",
)
REFRESHED: Final = (
    *_KEYS,
    f"CREATE MATERIALIZED VIEW auction_bids AS {BIDS_QUERY}",
    f"CREATE MATERIALIZED VIEW category_top AS {TOP_QUERY.format(bids='auction_bids')}",
    "CREATE UNIQUE INDEX auction_bids_by_auction ON auction_bids (auction)",
    "CREATE INDEX category_top_by_category ON category_top (category)",
)
REFRESH: Final = (
    "REFRESH MATERIALIZED VIEW auction_bids",
    "REFRESH MATERIALIZED VIEW category_top",
)
_TOP_OF_TOUCHED: Final = TOP_QUERY.format(
    bids="(SELECT b.* FROM auction_bids b JOIN auctions c ON c.id = b.auction"
    " WHERE c.category = ANY (touched))"
)
TRIGGERS: Final = (
    *_KEYS,
    "CREATE TABLE auction_bids (auction int PRIMARY KEY, bids bigint, highest int, total bigint)",
    "CREATE TABLE category_top (category int, auction int, highest int)",
    "CREATE INDEX category_top_by_category ON category_top (category)",
    "CREATE INDEX auctions_by_category ON auctions (category)",
    f"INSERT INTO auction_bids {BIDS_QUERY}",
    f"INSERT INTO category_top {TOP_QUERY.format(bids='auction_bids')}",
    f"""CREATE FUNCTION rank_categories(touched int[]) RETURNS void LANGUAGE sql AS $$
        DELETE FROM category_top WHERE category = ANY (touched);
        INSERT INTO category_top {_TOP_OF_TOUCHED} $$""",
    """CREATE FUNCTION bids_inserted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO auction_bids SELECT auction, count(*), max(amount), sum(amount)
            FROM changed GROUP BY auction
        ON CONFLICT (auction) DO UPDATE SET bids = auction_bids.bids + excluded.bids,
            highest = greatest(auction_bids.highest, excluded.highest),
            total = auction_bids.total + excluded.total;
        PERFORM rank_categories(ARRAY(SELECT DISTINCT category FROM changed
            JOIN auctions ON auctions.id = changed.auction));
        RETURN NULL; END $$""",
    """CREATE FUNCTION bids_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE auction_bids SET bids = auction_bids.bids - gone.bids,
            total = auction_bids.total - gone.total,
            highest = CASE WHEN auction_bids.highest > gone.highest THEN auction_bids.highest
                ELSE (SELECT max(amount) FROM bids WHERE bids.auction = gone.auction) END
        FROM (SELECT auction, count(*) AS bids, max(amount) AS highest, sum(amount) AS total
            FROM changed GROUP BY auction) gone
        WHERE auction_bids.auction = gone.auction;
        DELETE FROM auction_bids WHERE bids = 0;
        PERFORM rank_categories(ARRAY(SELECT DISTINCT category FROM changed
            JOIN auctions ON auctions.id = changed.auction));
        RETURN NULL; END $$""",
    (
        "CREATE TRIGGER bids_inserted AFTER INSERT ON bids REFERENCING NEW TABLE AS changed"
        " FOR EACH STATEMENT EXECUTE FUNCTION bids_inserted()"
    ),
    (
        "CREATE TRIGGER bids_deleted AFTER DELETE ON bids REFERENCING OLD TABLE AS changed"
        " FOR EACH STATEMENT EXECUTE FUNCTION bids_deleted()"
    ),
)


def auction_rows(count: int) -> Iterator[tuple[int, int]]:
    """(id, category) of every auction."""
    return ((id, id % CATEGORIES) for id in range(count))


def bid_rows(first: int, count: int, auctions: int, random: Random) -> list[tuple[int, int, int]]:
    """`count` bids with ids from `first`."""
    return [
        (id, random.randrange(auctions), random.randint(1, 1_000_000))
        for id in range(first, first + count)
    ]
