"""Templates of the second round, written when the emulation had been mended after the first, and before they were run.

Their writer had not opened the emulation's code, but had read the project's notes on it. The form is that of `reads`.
"""

from __future__ import annotations

QUESTIONS = {
    "oldest_per_group": "SELECT {word}, MIN({date}) AS first_date, MAX({date}) AS last_date FROM {t} GROUP BY {word} "
    "HAVING MIN({date}) «<|>=» '{a_date}'",
    "weekday_count": "SELECT DAYNAME({date}) AS d, COUNT(*) AS c FROM {t} GROUP BY DAYNAME({date}) HAVING c > «0|1»",
    "decade_label": "SELECT CONCAT(FLOOR(YEAR({date}) / 10) * 10, 's') AS decade, COUNT(*) FROM {t} GROUP BY decade",
    "month_name_group": "SELECT «MONTHNAME({date})|DATE_FORMAT({date}, '%b')|DATE_FORMAT({date}, '%Y-%m')» AS m, "
    "SUM({num} + 0) FROM {t} GROUP BY m",
    "quarter_report": "SELECT YEAR({date}) AS y, QUARTER({date}) AS q, COUNT(*) AS n FROM {t} WHERE {date} IS NOT NULL "
    "GROUP BY y, q",
    "age_years": "SELECT {name}, TIMESTAMPDIFF(YEAR, {date}, '«2024-02-29|2023-12-31|2022-07-01»') AS age FROM {t} "
    "HAVING age «>|<» 15",
    "days_apart": "SELECT a.{key}, b.{key}, ABS(DATEDIFF(a.{date}, b.{date})) AS gap FROM {t} a JOIN {t} b ON a.{key} "
    "< b.{key} WHERE ABS(DATEDIFF(a.{date}, b.{date})) < «365|1000»",
    "spoken_to_iso": "SELECT DATE_FORMAT(STR_TO_DATE({spoken}, '%M %e, %Y'), '«%Y-%m-%d|%d.%m.%y|%c/%e/%Y|%D %M|%a "
    "%d %b»') FROM {t}",
    "spoken_year": "SELECT «RIGHT({spoken}, 4)|SUBSTRING_INDEX({spoken}, ', ', -1)|YEAR(STR_TO_DATE({spoken}, '%M %d, "
    "%Y'))» AS y, COUNT(*) FROM {t} GROUP BY y",
    "end_of_month": "SELECT LAST_DAY({date}), DAY(LAST_DAY({date})), DATE_ADD({date}, INTERVAL «-1|3|12» MONTH) FROM "
    "{t}",
    "date_arith": "SELECT «DATE_ADD({date}, INTERVAL 36 HOUR)|ADDDATE({date}, 31)|SUBDATE({date}, INTERVAL 2 "
    "QUARTER)|{date} - INTERVAL 1 DAY|TIMESTAMPADD(WEEK, 2, {date})|FROM_DAYS(TO_DAYS({date}) + 1)» FROM {t}",
    "times": "SELECT TIME_FORMAT('«14:05:09|00:00:00|23:59:59»', '%h:%i %p'), TIME_TO_SEC('01:«02:03|30»'), "
    "SEC_TO_TIME({num} * 60), MINUTE('10:20:30') FROM {t} WHERE {num} > 0",
    "unix_time": "SELECT YEARWEEK({date}), WEEK({date}, «0|1|3»), WEEKOFYEAR({date}), DAYOFMONTH({date}) FROM {t}",
    "extract_parts": "SELECT EXTRACT(«MONTH|DAY|QUARTER|YEAR_MONTH» FROM {date}) AS p, COUNT(*) FROM {t} GROUP BY p",
    "in_period": "SELECT {name} FROM {t} WHERE {date} BETWEEN DATE('{a_date}') AND DATE_ADD('{a_date}', INTERVAL «5 "
    "YEAR|200 DAY»)",
    "initials": "SELECT CONCAT(LEFT({name}, 1), '.', LEFT(SUBSTRING_INDEX({name}, ' ', -1), 1), '.') FROM {t}",
    "last_first": "SELECT CONCAT(SUBSTRING_INDEX({name}, ' ', -1), ', ', SUBSTRING_INDEX({name}, ' ', 1)) AS n FROM "
    "{t} "
    "WHERE {name} LIKE '% %'",
    "word_total": "SELECT {name}, LENGTH({name}) - LENGTH(REPLACE({name}, '« |a|e»', '')) + 1 AS words FROM {t}",
    "capitalise": "SELECT CONCAT(UPPER(SUBSTRING({name}, 1, 1)), LOWER(SUBSTRING({name}, 2))) FROM {t}",
    "strip_unit": "SELECT {key}, CAST(REPLACE({pct}, '%', '') AS DECIMAL(«5,1|5,2|10,0»)) / 100 AS f FROM {t}",
    "dollar_text": "SELECT CONCAT('$', FORMAT(REPLACE({money}, ',', ''), «0|2»)) FROM {t}",
    "margin": "SELECT {score}, ABS(CAST(LEFT({score}, 1) AS SIGNED) - CAST(RIGHT({score}, 1) AS SIGNED)) AS margin "
    "FROM {t}",
    "split_score": "SELECT SUM(SUBSTRING({score}, 1, 1)), SUM(CASE WHEN LEFT({score}, 1) > RIGHT({score}, 1) THEN 1 "
    "ELSE 0 END) AS wins FROM {t}",
    "contains_any": "SELECT COUNT(*) FROM {t} WHERE {note} LIKE '%«won|lost|%|_»%' OR {name} REGEXP "
    "'«O.N|[éü]|^[A-M].*r»' "
    "OR LOCATE('{part}', {name}) > 0",
    "not_blank": "SELECT COUNT(*) FROM {t} WHERE {note} IS NOT NULL AND TRIM({note}) «<> ''|NOT IN ('', '-', "
    "'?')|NOT LIKE 'n/a'»",
    "numeric_only": "SELECT AVG({num}), COUNT(*) FROM {t} WHERE {num} REGEXP '^-?[0-9]+$' AND {num} NOT LIKE '0%'",
    "zero_pad": "SELECT LPAD({key}, 4, '0') AS code, CONCAT({word}, '-', LPAD({num}, 3, '0')) FROM {t} WHERE "
    "LENGTH({num}) "
    "<= 3",
    "compare_case": "SELECT {name} FROM {t} WHERE BINARY {word} = {a_word}",
    "safe_ratio": "SELECT {key}, ROUND({dec} / NULLIF({num}, 0), 3), IFNULL({dec} / NULLIF({num}, 0), -1) FROM {t}",
    "percent_of_total": "SELECT {word}, ROUND(100 * COUNT(*) / (SELECT COUNT(*) FROM {t}), «1|2») AS pct FROM {t} "
    "GROUP "
    "BY {word}",
    "running_share": "SELECT {key}, ROUND({dec} / SUM({dec}) OVER (), 4), ROUND({dec} - AVG({dec}) OVER (PARTITION BY "
    "{word}), 2) FROM {t}",
    "moving_average": "SELECT {key}, AVG({num} + 0) OVER (ORDER BY {key} + 0 ROWS BETWEEN «2 PRECEDING AND CURRENT "
    "ROW|1 PRECEDING AND 1 FOLLOWING|UNBOUNDED PRECEDING AND CURRENT ROW») AS ma FROM {t}",
    "window_extremes": "SELECT {key}, FIRST_VALUE({name}) OVER w AS f, LAST_VALUE({name}) OVER w, NTH_VALUE({name}, 2) "
    "OVER w FROM {t} WINDOW w AS (PARTITION BY {word} ORDER BY {key} + 0)",
    "quartiles": "SELECT {key}, NTILE(«2|3|4») OVER (ORDER BY {dec} + 0, {key} + 0) AS tile, ROUND(PERCENT_RANK() OVER "
    "(ORDER BY {dec} + 0), 3), CUME_DIST() OVER (ORDER BY {dec} + 0) FROM {t}",
    "difference_to_previous": "SELECT {key}, {num} - LAG({num}, 1, 0) OVER (ORDER BY {key} + 0) AS diff, "
    "DATEDIFF(LEAD({date}) OVER (ORDER BY {date}, {key}), {date}) FROM {t}",
    "rank_in_group": "SELECT {word}, {name} FROM (SELECT {word}, {name}, DENSE_RANK() OVER (PARTITION BY {word} ORDER "
    "BY {num} + 0 DESC) AS r FROM {t}) ranked WHERE r «= 1|<= 2»",
    "grouped_window": "SELECT {word}, COUNT(*) AS c, RANK() OVER (ORDER BY COUNT(*) DESC) AS rk FROM {t} WHERE {word} "
    "NOT LIKE 'north' GROUP BY {word}",
    "running_total_money": "SELECT {key}, SUM(REPLACE({money}, ',', '')) OVER (ORDER BY CAST({key} AS UNSIGNED)) FROM "
    "{t}",
    "best_of_each_join": "SELECT t1.{name}, t1.{word} FROM {t} t1 JOIN (SELECT {word}, MAX({dec} + 0) AS m FROM {t} "
    "GROUP BY {word}) t2 ON t1.{word} = t2.{word} AND t1.{dec} «= t2.m|+ 0 = t2.m»",
    "anti_join": "SELECT b.{s_word} FROM {s} b LEFT JOIN {t} a ON a.{word} = b.{s_word} WHERE a.{key} IS NULL",
    "join_sums": "SELECT b.{s_place}, SUM(a.{num}) AS total, b.{s_count} FROM {s} b «JOIN|LEFT JOIN» {t} a ON "
    "b.{s_word} "
    "= a.{word} GROUP BY b.{s_place}, b.{s_count}",
    "cross_count": "SELECT COUNT(*), COUNT(DISTINCT a.{word}, b.{s_place}) FROM {t} a CROSS JOIN {s} b WHERE "
    "{s_count} > "
    "{num}",
    "below_group_average": "SELECT {name} FROM {t} AS o WHERE {num} < (SELECT AVG({num}) FROM {t} WHERE {word} = "
    "o.{word})",
    "more_than_others": "SELECT COUNT(*) + 1 FROM {t} WHERE {dec} > (SELECT {dec} FROM {t} WHERE {name} = {a_name} "
    "LIMIT "
    "1)",
    "row_compare": "SELECT {name} FROM {t} WHERE ({word}, {num}) = (SELECT {word}, MAX({num}) FROM {t} WHERE {word} = "
    "{a_word} GROUP BY {word} LIMIT 1)",
    "scalar_pair": "SELECT (SELECT COUNT(*) FROM {t} WHERE {word} = {a_word}) - (SELECT COUNT(*) FROM {t} WHERE {word} "
    "= {a_word2}) AS diff",
    "cte_chain": "WITH a AS (SELECT {word} w, COUNT(*) c FROM {t} GROUP BY {word}), b AS (SELECT AVG(c) m FROM a) "
    "SELECT COUNT(*) FROM a, b WHERE a.c «>|<=» b.m",
    "calendar": "WITH RECURSIVE d AS (SELECT 2018 AS y UNION ALL SELECT y + 1 FROM d WHERE y < 2022) SELECT d.y, "
    "COUNT(a.{key}) FROM d LEFT JOIN {t} a ON YEAR(a.{date}) = d.y GROUP BY d.y",
    "having_distinct": "SELECT {word} FROM {t} GROUP BY {word} HAVING COUNT(DISTINCT {num}) = COUNT(*) AND MAX({dec} + "
    "0) > {x}",
    "concat_groups": "SELECT GROUP_CONCAT(DISTINCT {word} ORDER BY {word} SEPARATOR ' / ') FROM {t} WHERE {word} <> "
    "'north'",
    "concat_pairs": "SELECT {word}, GROUP_CONCAT(CONCAT({key}, ':', {num}) ORDER BY {key} + 0 «|DESC» SEPARATOR ' ') "
    "FROM {t} WHERE {word} <> 'north' GROUP BY {word}",
    "any_value": "SELECT MAX(CASE WHEN {word} = {a_word} THEN {num} END) AS a, MIN(IF({word} = {a_word2}, {dec}, "
    "NULL)) "
    "AS b FROM {t}",
    "pivot": "SELECT YEAR({date}) > 2005 AS late, SUM({word} = {a_word}) AS a, SUM({word} <> {a_word}) AS b FROM {t} "
    "GROUP BY late",
    "like_escape": "SELECT COUNT(*) FROM {t} WHERE {note} LIKE '«%\\\\%%|%!_%' ESCAPE '!|%(%)|n/_|_»'",
    "number_words": "SELECT {num}, CASE {num} % 2 WHEN 0 THEN 'even' WHEN 1 THEN 'odd' ELSE 'other' END FROM {t}",
    "round_variants": "SELECT ROUND({dec} * {num}, «0|1|-1»), CEIL({dec} / 2), MOD({num}, 5), TRUNCATE({dec} / 3, 2), "
    "ROUND(SQRT({dec}), 3), SIGN({num} - 50) FROM {t}",
    "alias_in_where": "SELECT {num} * 2 AS twice FROM {t} WHERE twice > 10",
    "wrong_count": "SELECT {word} FROM {t} UNION SELECT {s_word}, {s_place} FROM {s}",
    "ambiguous": "SELECT {word} FROM {t} JOIN {s} ON {t}.{word} = {s}.{s_word}",
    "two_row_subquery": "SELECT {name} FROM {t} WHERE {num} = (SELECT {num} FROM {t} WHERE {key} < 4)",
    "two_column_subquery": "SELECT COUNT(*) FROM {t} WHERE {word} IN (SELECT {s_word}, {s_count} FROM {s})",
    "order_in_half": "SELECT {name} FROM {t} WHERE ORDER BY {name}",
}

SORTED = {
    "top_share": "SELECT {name}, ROUND({num} / (SELECT SUM({num}) FROM {t}) * 100, 1) AS share FROM {t} ORDER BY share "
    "DESC, {key} + 0 LIMIT 3",
    "sort_two_keys": "SELECT {word}, {name} FROM {t} WHERE {word} <> 'north' ORDER BY {word} «|DESC», {dec} + 0 DESC",
    "sort_by_length": "SELECT {name} FROM {t} ORDER BY CHAR_LENGTH({name}) «|DESC», {key} * 1 LIMIT 5",
    "sort_margin": "SELECT {score} FROM {t} ORDER BY SUBSTRING({score}, 1, 1) - SUBSTRING({score}, 3, 1) DESC, {key} "
    "+ 0 "
    "LIMIT 4",
    "sort_month": "SELECT {key}, MONTH({date}) AS m FROM {t} ORDER BY m, DAY({date}) DESC, {key} + 0",
    "second_highest": "SELECT MAX({dec} + 0) FROM {t} WHERE {dec} + 0 < (SELECT MAX({dec} + 0) FROM {t})",
    "latest": "SELECT {name}, {date} FROM {t} ORDER BY STR_TO_DATE({date}, '%Y-%m-%d') DESC, {key} + 0 LIMIT «1|2|1, "
    "1»",
    "sort_by_aggregate": "SELECT YEAR({date}) AS y, COUNT(*) AS c FROM {t} GROUP BY y ORDER BY COUNT(*) DESC, y "
    "«|DESC» "
    "LIMIT 5",
    "sort_percent": "SELECT {pct} FROM {t} ORDER BY CAST(TRIM(TRAILING '%' FROM {pct}) AS DECIMAL(6,1)) DESC, {key} + "
    "0 "
    "LIMIT 5",
    "sort_if": "SELECT {key}, {note} FROM {t} ORDER BY IF({note} IS NULL OR {note} = '', 1, 0), {note} DESC, {key} + 0",
}

CHANGES = {
    "insert_next_key": "INSERT INTO {t} ({key}, {name}, {date}) VALUES ((SELECT m FROM (SELECT MAX({key} + 0) + 1 AS m "
    "FROM {t}) AS x), {new}, '«2021-03-04|March 4, 2021»') ;; SELECT MAX({key} + 0) FROM {t}",
    "insert_copied": "INSERT INTO {t} SELECT * FROM {t} WHERE {key} = «1|'2'» ;; SELECT COUNT(*) FROM {t}",
    "insert_grouped": "INSERT INTO {s} ({s_word}, {s_count}) SELECT {word}, COUNT(*) FROM {t} WHERE {word} <> 'north' "
    "GROUP BY {word} HAVING COUNT(*) > 1 ;; SELECT * FROM {s}",
    "insert_missing": "INSERT INTO {s} ({s_word}, {s_place}) SELECT DISTINCT {word}, 'unknown' FROM {t} WHERE {word} "
    "<> "
    "'north' AND {word} NOT IN (SELECT {s_word} FROM {s})",
    "insert_if_new": "INSERT INTO {s} SELECT 'Utopia', 'None', 0 FROM DUAL WHERE NOT EXISTS (SELECT * FROM {s} WHERE "
    "{s_word} = «'Utopia'|'Nowhere'»)",
    "update_commas": "UPDATE {t} SET {money} = «REPLACE({money}, ',', '')|FORMAT(REPLACE({money}, ',', '') + "
    "1000, 0)|CAST(REPLACE({money}, ',', '') AS UNSIGNED) * 2»",
    "update_percent": "UPDATE {t} SET {pct} = CONCAT(ROUND(REPLACE({pct}, '%', '') «+ 5|* 1.1|/ 2», 1), '%') WHERE "
    "{key} "
    "<= 6",
    "update_dates": "UPDATE {t} SET {date} = «DATE_SUB({date}, INTERVAL 1 MONTH)|LAST_DAY({date})|ADDDATE({date}, "
    "7)|CONCAT(YEAR({date}) + 1, SUBSTRING({date}, 5))» WHERE {date} < '{a_date}'",
    "update_ranked": "UPDATE {t} a JOIN (SELECT {key} AS k, RANK() OVER (ORDER BY {dec} + 0 DESC) AS r FROM {t}) b ON "
    "a.{key} = b.k SET a.{note} = b.r",
    "update_counts": "UPDATE {s} SET {s_count} = (SELECT COUNT(*) FROM {t} WHERE {t}.{word} = {s}.{s_word})",
    "update_swap": "UPDATE {t} SET {num} = {dec}, {dec} = {num} WHERE {key} «= 1|> 5»",
    "update_average": "UPDATE {t}, (SELECT AVG({num} + 0) AS m FROM {t}) AS x SET {note} = 'above' WHERE {num} > x.m",
    "update_coalesce": "UPDATE {t} SET {note} = CONCAT_WS('; ', NULLIF({note}, ''), 'checked') WHERE {word} LIKE "
    "'«%a%|N%|%y»'",
    "update_greatest": "UPDATE {t} SET {num} = GREATEST({num} - 10, 0) WHERE {num} REGEXP '^[0-9]+$'",
    "update_title": "UPDATE {t} SET {word} = CONCAT(UPPER(LEFT({word}, 1)), LOWER(SUBSTRING({word}, 2)))",
    "delete_duplicates": "DELETE a FROM {t} a JOIN {t} b ON a.{word} = b.{word} AND a.{key} + 0 > b.{key} + 0",
    "delete_old": "DELETE FROM {t} WHERE YEAR({date}) < «2000|2010» OR {date} IS NULL ;; SELECT COUNT(*) FROM {t}",
    "delete_not_latest": "DELETE FROM {t} WHERE {key} NOT IN (SELECT k FROM (SELECT MAX({key} + 0) AS k FROM {t} GROUP "
    "BY {word}) z)",
    "delete_and_insert": "DELETE FROM {t} WHERE {name} = {a_name} ;; INSERT INTO {t} ({key}, {name}, {num}) VALUES "
    "({k}, {a_name}, {n}) ;; SELECT {name}, {num} FROM {t} WHERE {num} = {n}",
    "add_computed": "ALTER TABLE {t} ADD COLUMN total DECIMAL(10,2) ;; UPDATE {t} SET total = {num} * {dec} WHERE "
    "{num} "
    "REGEXP '^[0-9]+$' ;; SELECT {key}, total FROM {t}",
    "table_with_types": "CREATE TABLE person (id INT PRIMARY KEY, born DATE, size DOUBLE, ok BOOLEAN) ;; INSERT INTO "
    "person VALUES (1, '2000-01-02', 1.5, TRUE), (2, NULL, 2, FALSE) ;; SELECT id, size, ok FROM person WHERE "
    "«size > 1.7|born IS NULL|ok»",
}

LATER = {**QUESTIONS, **SORTED, **CHANGES}
