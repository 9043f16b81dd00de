"""One query for each relational operator, over the tables of `queries.py`. Each has one answer in
one order; `tests.sql.queries` combines them at random."""

from typing import Final

OPERATORS: Final = {
    "filter and project": "SELECT a + 1, c FROM t WHERE b > 0 OR c IS NULL ORDER BY 1, 2",
    "inner join": "SELECT t.a, u.c FROM t JOIN u ON t.a = u.a ORDER BY 1, 2",
    "join USING": "SELECT * FROM t JOIN u USING (a, c) ORDER BY 1, 2, 3, 4, 5",
    "natural join": "SELECT count(*) FROM t NATURAL JOIN v",
    "join on an inequality": "SELECT t.a, v.b FROM t JOIN v ON t.a < v.b ORDER BY 1, 2",
    "left join": "SELECT t.a, v.d FROM t LEFT JOIN v ON t.b = v.b AND v.d > 1 ORDER BY 1, 2",
    "right join": "SELECT t.a, v.b FROM t RIGHT JOIN v ON t.b = v.b ORDER BY 1, 2",
    "full join": "SELECT t.a, u.a FROM t FULL JOIN u ON t.a = u.a AND t.c = u.c ORDER BY 1, 2",
    "cross join": "SELECT count(*), sum(t.a * v.b) FROM t CROSS JOIN v",
    "lateral": "SELECT t.a, s.m FROM t, LATERAL (SELECT max(u.c) AS m FROM u WHERE u.a = t.a) AS s "
    "ORDER BY 1, 2",
    "left join lateral with LIMIT": "SELECT t.a, s.c FROM t LEFT JOIN LATERAL (SELECT u.c FROM u "
    "WHERE u.a >= t.a ORDER BY u.a, u.c LIMIT 1) AS s ON true ORDER BY 1, 2",
    "lateral function": "SELECT a, g FROM t, generate_series(1, a) AS g ORDER BY 1, 2",
    "group": "SELECT a, count(*), count(b), sum(b), avg(b), min(c), max(c) FROM t GROUP BY a "
    "ORDER BY a",
    "group by an expression": "SELECT a % 2, sum(d) FROM t GROUP BY 1 ORDER BY 1",
    "no group": "SELECT count(*), sum(a), max(c), array_agg(a) FROM t WHERE false",
    "sums of every kind": "SELECT sum(a), sum(a::bigint), sum(d), sum(a::float8), "
    "sum(a::real) FROM t",
    "averages": "SELECT avg(a), avg(a::bigint), avg(d), avg(a::float8) FROM t",
    "deviations": "SELECT stddev(a), stddev_pop(d), variance(a), var_pop(d), stddev(a::float8) "
    "FROM t",
    "bool aggregates": "SELECT bool_and(f), bool_or(f), every(f IS NOT NULL) FROM u",
    "string_agg": "SELECT a, string_agg(c, ',' ORDER BY c DESC) FROM t GROUP BY a ORDER BY a",
    "array_agg": "SELECT a, array_agg(b ORDER BY b NULLS FIRST) FROM t GROUP BY a ORDER BY a",
    "aggregates FILTER": "SELECT count(*) FILTER (WHERE b = 2), sum(a) FILTER (WHERE c = "
    "'x') FROM t",
    "aggregates of DISTINCT": "SELECT count(DISTINCT b), sum(DISTINCT b), "
    "string_agg(DISTINCT c, '/' ORDER BY c) FROM t",
    "HAVING": "SELECT a FROM t GROUP BY a HAVING count(*) > 1 AND max(b) = 2 ORDER BY a",
    "DISTINCT": "SELECT DISTINCT b, c FROM t ORDER BY 1, 2",
    "DISTINCT ON": "SELECT DISTINCT ON (a) a, b, c FROM t ORDER BY a, b DESC NULLS LAST, c",
    "ORDER BY, LIMIT, OFFSET": "SELECT a, b FROM t ORDER BY b DESC, a, c NULLS FIRST LIMIT "
    "3 OFFSET 2",
    "UNION": "SELECT a FROM t UNION SELECT a FROM u ORDER BY 1",
    "UNION ALL": "SELECT a, 't' FROM t UNION ALL SELECT a, 'u' FROM u ORDER BY 1, 2",
    "INTERSECT": "SELECT a, c FROM t INTERSECT SELECT a, c FROM u ORDER BY 1, 2",
    "INTERSECT ALL": "SELECT b FROM t INTERSECT ALL SELECT b FROM v ORDER BY 1",
    "EXCEPT": "SELECT b FROM t EXCEPT SELECT b FROM v ORDER BY 1",
    "EXCEPT ALL": "SELECT b FROM t EXCEPT ALL SELECT b FROM v ORDER BY 1",
    "scalar subquery": "SELECT a, (SELECT max(d) FROM v) FROM t ORDER BY 1",
    "correlated scalar subquery": "SELECT a, (SELECT count(*) FROM u WHERE u.a = t.a) FROM t "
    "ORDER BY 1",
    "IN": "SELECT a FROM t WHERE b IN (SELECT b FROM v) ORDER BY 1",
    "NOT IN with nulls": "SELECT a FROM t WHERE b NOT IN (SELECT b FROM v) ORDER BY 1",
    "NOT IN": "SELECT a FROM t WHERE b NOT IN (SELECT b FROM v WHERE b > 1) ORDER BY 1",
    "EXISTS": "SELECT a FROM t WHERE EXISTS (SELECT FROM u WHERE u.a = t.a AND u.f) ORDER BY 1",
    "NOT EXISTS": "SELECT a FROM t WHERE NOT EXISTS (SELECT FROM v WHERE v.b = t.b) ORDER BY 1",
    "ANY": "SELECT a FROM t WHERE d > ANY (SELECT d FROM v WHERE d IS NOT NULL) ORDER BY 1",
    "ALL": "SELECT a FROM t WHERE d >= ALL (SELECT d FROM v WHERE d < 2) ORDER BY 1",
    "ANY of an array": "SELECT a FROM t WHERE b = ANY (ARRAY[0, 1]) ORDER BY 1",
    "row comparison": "SELECT a FROM t WHERE (a, c) IN (SELECT a, c FROM u) ORDER BY 1",
    "subquery in a CASE": "SELECT a, CASE WHEN a IN (SELECT a FROM u WHERE f) THEN 1 END FROM t "
    "ORDER BY 1, 2",
    "WITH": "WITH s AS (SELECT a, count(*) AS n FROM t GROUP BY a) SELECT * FROM s AS x "
    "JOIN s AS y "
    "USING (n) ORDER BY 1, 2, 3",
    "WITH RECURSIVE": "WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r "
    "WHERE n < 5) "
    "SELECT * FROM r ORDER BY 1",
    "VALUES": "VALUES (1, 'a'), (2, NULL) ORDER BY 1",
    "generate_series": "SELECT * FROM generate_series(10, 1, -3) AS g ORDER BY 1",
    "function in the select list": "SELECT a, generate_series(1, b) FROM t ORDER BY 1, 2",
    "window": "SELECT a, row_number() OVER (ORDER BY a, b, c), sum(a) OVER (PARTITION BY b) FROM t "
    "ORDER BY 1, 2, 3",
}
