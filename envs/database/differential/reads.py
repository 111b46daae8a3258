"""Templates of questions: what agents write to look around, to count, to compare, to convert, and to make mistakes.

In braces stand a table, a column by its role or a value; `«a|b»` is a choice, `¦` a bar that is none. `cases` has them
all.
"""

from __future__ import annotations

LOOKING = {
    "show_tables": "SHOW «TABLES|tables|FULL TABLES|TABLES LIKE {t_text}»«|;»",
    "describe": "«DESCRIBE|DESC|describe|SHOW COLUMNS FROM|SHOW FIELDS FROM|SHOW FULL COLUMNS FROM|EXPLAIN» {t}«|;»",
    "columns_of": "SELECT «COLUMN_NAME|column_name, data_type|COLUMN_NAME, IS_NULLABLE, ORDINAL_POSITION» FROM "
    "information_schema.«columns|COLUMNS» WHERE «table_name|TABLE_NAME» = {t_text}",
    "tables_of": "SELECT «table_name|TABLE_NAME|COUNT(*)» FROM information_schema.tables WHERE table_schema = "
    "DATABASE()",
    "first_rows": "SELECT * FROM {t} LIMIT «1000|200|500»",
    "some_columns": "SELECT {any}, {any2} FROM {t} WHERE {key} = «'{k}'|{k}|\"{k}\"»",
    "constant": "SELECT «1+1|'a' 'b'|1 = '1'|'abc' = 'ABC'|NULL IS NULL|5/2|7 DIV 2|-7 % 3|2 * '3'|'5 apples' + 1|1 "
    "AND 0|NOT 0|3 > '10'|'3' > '10'|1.0/3|10/4*2|0.1+0.2|1e3|TRUE|'a' ¦¦ 'b'|ROUND(2.5)|ROUND(-1.455, "
    "2)|5 <=> NULL|TRUNCATE(-1.999, 1)|CEIL(1.2)|FLOOR(-1.2)|ABS('-3')|POW(2, 10)|SQRT(16)|MOD(10, "
    "3)|SIGN(-2)|1 XOR 1|'1e2' + 0|CONV('ff', 16, 10)|GREATEST(1, 2.5)|COALESCE(NULL, 'x')|NULLIF(1, "
    "1)|IF(0, 'y', 'n')|10 IN (1, '10')»",
}

COUNTING = {
    "count_equal": "SELECT COUNT(*) FROM {t} WHERE {word} = {a_word}«|;»",
    "count_lower": "SELECT COUNT(*) AS n FROM {t} WHERE «LOWER|UPPER»({word}) = «LOWER|UPPER»({a_word})",
    "count_number": "SELECT COUNT(*) FROM {t} WHERE {num} «=|<|>|<=|>=|<>|!=» {n}",
    "count_text_number": "SELECT COUNT({num}) FROM {t} WHERE {num} «=|<|>|<=|>=» '{n}'",
    "count_cast": "SELECT COUNT(*) FROM {t} WHERE CAST({num} AS «UNSIGNED|SIGNED|DECIMAL|DECIMAL(10,2)») «<|>|>=» {n}",
    "count_between": "SELECT COUNT(*) FROM {t} WHERE {num} «BETWEEN|NOT BETWEEN» {low} AND {n}",
    "count_decimal": "SELECT COUNT(*) FROM {t} WHERE {dec} «<|>|<=» {x} «AND|OR» {num} «<|>» {n}",
    "count_like": "SELECT COUNT(*) FROM {t} WHERE {name} «LIKE|NOT LIKE» '«%{part}%|{part}%|%{part}»'",
    "count_in": "SELECT COUNT(*) FROM {t} WHERE {word} «IN|NOT IN» ({a_word}, {a_word2})",
    "count_in_numbers": "SELECT COUNT(*) FROM {t} WHERE {num} «IN|NOT IN» ({low}, {n}, «5|'5'|NULL»)",
    "count_null": "SELECT COUNT(*), COUNT({note}) FROM {t} WHERE {note} «IS NULL|IS NOT NULL|= ''|<> ''|<> '-'»",
    "count_distinct": "SELECT COUNT(DISTINCT {word}«|, {note}») FROM {t}",
    "count_year": "SELECT COUNT(*) FROM {t} WHERE «YEAR({date})|LEFT({date}, 4)|SUBSTRING({date}, 1, 4)|EXTRACT(YEAR "
    "FROM {date})» «=|>|<=» «{year}|'{year}'»",
    "count_date": "SELECT COUNT(*) FROM {t} WHERE {date} «>|<|>=|<=» '{a_date}'",
    "count_date_between": "SELECT COUNT(*) FROM {t} WHERE {date} BETWEEN '{year}-01-01' AND "
    "'«{year}-12-31|2020-06-30»'",
    "count_month": "SELECT COUNT(*) FROM {t} WHERE MONTH({date}) «= 3|IN (1, 5, 10)|BETWEEN 2 AND 6»",
    "count_spoken": "SELECT COUNT(*) FROM {t} WHERE {spoken} LIKE '«%{year}|March%|%, 20__|May __, %»'",
    "count_regexp": "SELECT COUNT(*) FROM {t} WHERE {name} «REGEXP|RLIKE|NOT REGEXP» '«^[A-M]|son$|{part}|[^a-z "
    "]|^.{5,9}$|(ll¦ss)|\\\\.»'",
    "sum_if": "SELECT SUM(IF({num} > {n}, 1, 0)), SUM({word} = {a_word}), COUNT(CASE WHEN {dec} > {x} THEN 1 END) FROM "
    "{t}",
    "count_subquery": "SELECT COUNT(*) FROM (SELECT {word}, COUNT(*) AS c FROM {t} GROUP BY {word} HAVING COUNT(*) > "
    "«1|2») AS sub",
    "count_exists": "SELECT COUNT(*) FROM {t} a WHERE «EXISTS|NOT EXISTS» (SELECT 1 FROM {s} b WHERE b.{s_word} = "
    "a.{word})",
    "count_length": "SELECT COUNT(*) FROM {t} WHERE «LENGTH|CHAR_LENGTH»({name}) «>|<|=» 9",
}

AGGREGATES = {
    "sum": "SELECT SUM({num}) FROM {t}«| WHERE {word} = {a_word}»",
    "avg": "SELECT AVG({num})«| AS average» FROM {t}«| WHERE {num} > 10»",
    "sum_cast": "SELECT SUM(CAST({num} AS «UNSIGNED|SIGNED|DECIMAL(12,2)|DECIMAL»)) AS total FROM {t}",
    "avg_cast": "SELECT AVG(CAST({«num|dec»} AS «SIGNED|DECIMAL(10,2)|DOUBLE»)) FROM {t}",
    "sum_commas": "SELECT «SUM|AVG|MAX|MIN»(CAST(REPLACE({money}, ',', '') AS «UNSIGNED|SIGNED|DECIMAL(15,2)»)) FROM "
    "{t}",
    "sum_plus": "SELECT SUM(REPLACE({money}, ',', '') + 0), MAX({num} + 0), MIN({num} * 1) FROM {t}",
    "minmax_text": "SELECT «MAX|MIN»({«num|dec|date|name»}) FROM {t}",
    "minmax_cast": "SELECT MAX(CAST({num} AS «SIGNED|UNSIGNED»)), MIN(CAST({dec} AS DECIMAL(6,«0|1|2»))) FROM {t}",
    "avg_percent": "SELECT «AVG|SUM|MAX»(«REPLACE({pct}, '%', '')|TRIM(TRAILING '%' FROM {pct})|{pct} + 0») FROM {t}",
    "round_avg": "SELECT ROUND(AVG({«num|dec»}), «0|1|2|3») FROM {t}",
    "arithmetic": "SELECT SUM({num}) «/|*|-|+» COUNT(*), SUM({dec} * {num}), AVG({dec}) / 0 FROM {t}",
    "share": "SELECT COUNT(*) * 100«|.0» / (SELECT COUNT(*) FROM {t}) FROM {t} WHERE {word} = {a_word}",
    "distinct_aggregate": "SELECT «SUM|AVG|COUNT»(DISTINCT {num}) FROM {t}",
    "empty_aggregate": "SELECT SUM({num}), AVG({dec}), MAX({date}), COUNT(*) FROM {t} WHERE {name} = 'Nobody at all'",
    "spread": "SELECT ROUND(«STDDEV|STD|VARIANCE|STDDEV_SAMP|VAR_SAMP|VAR_POP»({num}), 4) FROM {t}",
    "group_concat_all": "SELECT GROUP_CONCAT({name} ORDER BY {key} + 0 «|DESC» SEPARATOR '«, |;|-|/»') FROM {t}",
}

GROUPS = {
    "group_count": "SELECT {word}, COUNT(*) «|AS cnt» FROM {t} GROUP BY {word}",
    "group_having": "SELECT COUNT(*) c, «SUM|AVG|MAX»({num} + 0) FROM {t} GROUP BY {word} HAVING «c|COUNT(*)» «>|>=|=» "
    "2",
    "group_year": "SELECT YEAR({date}) AS y, COUNT(*) FROM {t} GROUP BY «y|YEAR({date})»",
    "group_length": "SELECT LENGTH({score}) l, MIN({key} + 0), MAX({key} + 0) FROM {t} GROUP BY l",
    "group_case": "SELECT CASE WHEN {num} < 40 THEN 'low' WHEN {num} < 80 THEN 'mid' ELSE 'high' END AS bucket, "
    "COUNT(*) FROM {t} GROUP BY bucket",
    "group_two": "SELECT LEFT({date}, 3) AS decade, COUNT(*), COUNT(DISTINCT {word}) FROM {t} GROUP BY decade",
    "group_rollup": "SELECT MONTH({date}) m, COUNT(*) FROM {t} GROUP BY MONTH({date})«| WITH ROLLUP»",
    "not_grouped": "SELECT «{name}|{word}, {name}|*», COUNT(*) FROM {t} GROUP BY {word}",
    "mixed": "SELECT {name}, «MAX({num})|COUNT(*)|SUM({dec})» FROM {t}",
    "aggregate_in_where": "SELECT {name} FROM {t} WHERE «MAX({num}) = {num}|COUNT(*) > 1|{num} > AVG({num})»",
}

TEXTS = {
    "concat": "SELECT «CONCAT({name}, ' (', {word}, ')')|CONCAT_WS(', ', {name}, {note}, {num})|CONCAT({note}, '!')» "
    "FROM {t}",
    "substring": "SELECT «SUBSTRING|SUBSTR|MID»({name}, «1, 3|2|-4|-4, 2|3, 100»), «LEFT|RIGHT»({name}, 4) FROM {t}",
    "substring_index": "SELECT SUBSTRING_INDEX({«name|spoken|score»}, '« |, |-|a»', «1|-1|2») FROM {t}",
    "change_case": "SELECT UPPER({name}), LOWER({word}), «TRIM|LTRIM|RTRIM|REVERSE»(CONCAT(' ', {note}, ' ')) FROM {t}",
    "measure": "SELECT CHAR_LENGTH({name}), LENGTH({name}), «LOCATE('{part}', {name})|INSTR({name}, "
    "'{part}')|POSITION('a' IN {name})|LOCATE('a', {name}, 3)» FROM {t}",
    "pad": "SELECT «LPAD({num}, 5, '0')|RPAD({word}, 12, '.')|REPEAT({key}, 3)|SPACE(3)|LPAD({name}, 3, 'x')» FROM {t}",
    "replace": "SELECT REPLACE({name}, '«a|A| |é»', '«|_»'), REPLACE(REPLACE({money}, ',', ''), '0', 'o') FROM {t}",
    "null_functions": "SELECT «IFNULL({note}, 'none')|COALESCE({note}, {word}, 'x')|NULLIF({note}, "
    "'')|ISNULL({note})|IF({note} IS NULL OR {note} = '', 'blank', {note})» FROM {t}",
    "regexp_functions": "SELECT «REGEXP_REPLACE({money}, '[^0-9]', '')|REGEXP_SUBSTR({spoken}, "
    "'[0-9]+')|REGEXP_INSTR({name}, '[ -]')|REGEXP_REPLACE({name}, '([A-Z])', '_')» FROM {t}",
    "field_and_set": "SELECT «FIELD({word}, {a_word}, {a_word2})|FIND_IN_SET({key}, '1,3,5')|ELT({key}, 'a', "
    "'b')|STRCMP({name}, "
    "'M')|ASCII({name})|HEX({key})|MD5({name})|SHA1({key})|QUOTE({name})|INSERT({name}, 1, 1, '*')» "
    "FROM {t}",
    "number_format": "SELECT FORMAT({num} * 1234.5, «0|1|2»), FORMAT({dec}, 1), ROUND({dec}), ROUND({dec}, 1), "
    "CEILING({dec}), FLOOR({dec}), TRUNCATE({dec}, 1) FROM {t}",
    "text_arithmetic": "SELECT {num} + 1, {dec} * 2, {num} / 3, -{num}, {num} % 7, {num} DIV 4, {money} + 0, {pct} * 1 "
    "FROM {t}",
    "casts": "SELECT CAST({«num|dec|money|pct|note»} AS «SIGNED|UNSIGNED|DECIMAL(8,1)|DECIMAL|CHAR|CHAR(3)|DOUBLE») "
    "FROM {t}",
    "converts": "SELECT CONVERT({«num|dec|date»}, «SIGNED|UNSIGNED INTEGER|DECIMAL(6,2)|CHAR|DATE») FROM {t}",
    "compare_columns": "SELECT {key} FROM {t} WHERE {num} «<|>|=» {dec}",
    "greatest": "SELECT GREATEST({num}, {dec}), LEAST({num} + 0, {dec} + 0, 50) FROM {t}",
    "score_parts": "SELECT {score}, SUBSTRING_INDEX({score}, '-', 1) + SUBSTRING_INDEX({score}, '-', -1) AS total FROM "
    "{t}",
    "booleans": "SELECT {word} = {a_word}, {num} > {n}, {note} IS NULL, {name} LIKE '%a%', NOT {num}, {num} && 1 FROM "
    "{t}",
}

DATES = {
    "date_parts": "SELECT YEAR({date}), MONTH({date}), DAY({date}), "
    "«DAYOFWEEK|DAYOFYEAR|WEEKDAY|QUARTER|DAYNAME|MONTHNAME|LAST_DAY|WEEK|TO_DAYS»({date}) FROM {t}",
    "str_to_date": "SELECT STR_TO_DATE({spoken}, '%M %«d|e», %Y')«| AS d» FROM {t}",
    "str_to_date_where": "SELECT {key} FROM {t} WHERE STR_TO_DATE({spoken}, '%M %d, %Y') «<|>=» "
    "'«{a_date}|{year}-01-01»'",
    "date_format": "SELECT DATE_FORMAT({date}, '«%Y-%m|%d/%m/%Y|%M %e, %Y|%b %Y|%W|%y|%H:%i|%j»') FROM {t}",
    "datediff": "SELECT DATEDIFF('«{a_date}|2023-01-01»', {date}), TIMESTAMPDIFF(«YEAR|MONTH|DAY», {date}, "
    "'2023-06-15') FROM {t}",
    "date_add": "SELECT «DATE_ADD({date}, INTERVAL 1 «MONTH|DAY|YEAR»)|DATE_SUB({date}, INTERVAL 10 DAY)|{date} + "
    "INTERVAL 1 WEEK» FROM {t}",
    "date_bad": "SELECT «YEAR({note})|STR_TO_DATE({note}, '%Y-%m-%d')|DATE({spoken})|MONTH({word})|DATE({date})» FROM "
    "{t}",
}

TABLES = {
    "inner_join": "SELECT a.{name}, b.{s_place} FROM {t} a «JOIN|INNER JOIN» {s} b ON a.{word} = b.{s_word}",
    "left_join": "SELECT a.{key}, «b.{s_place}|IFNULL(b.{s_count}, 0)» FROM {t} AS a LEFT JOIN {s} AS b ON b.{s_word} "
    "= a.{word}",
    "right_join": "SELECT b.{s_word}, COUNT(a.{key}) FROM {t} a RIGHT JOIN {s} b ON a.{word} = b.{s_word} GROUP BY "
    "b.{s_word}",
    "comma_join": "SELECT COUNT(*) FROM {t} a, {s} b WHERE a.{word} = b.{s_word} AND b.{s_count} > «5|20»",
    "using_join": "SELECT {s_place}, COUNT(*) FROM {t} JOIN {s} USING ({word}) GROUP BY {s_place}",
    "self_join": "SELECT COUNT(*) FROM {t} a JOIN {t} b ON a.{word} = b.{word} AND a.{key} «<|<>|>» b.{key}",
    "in_subquery": "SELECT {name} FROM {t} WHERE {word} «IN|NOT IN» (SELECT {s_word} FROM {s}«| WHERE {s_count} > 10»)",
    "equal_subquery": "SELECT {name} FROM {t} WHERE {num} = (SELECT «MAX|MIN»({num}«| + 0») FROM {t})",
    "above_average": "SELECT {key} FROM {t} WHERE {«num|dec»} > (SELECT AVG({«num|dec»}) FROM {t})",
    "correlated": "SELECT a.{key} FROM {t} a WHERE a.{num} + 0 = (SELECT MAX(b.{num} + 0) FROM {t} b WHERE b.{word} = "
    "a.{word})",
    "any_all": "SELECT {key} FROM {t} WHERE {dec} + 0 «> ALL|>= ALL|< ANY|= SOME» (SELECT {dec} + 0 FROM {t} WHERE "
    "{key} < 5)",
    "union": "SELECT {word} FROM {t} «UNION|UNION ALL» SELECT {s_word} FROM {s}",
    "except": "SELECT {word} FROM {t} «INTERSECT|EXCEPT» SELECT {s_word} FROM {s}",
    "cte": "WITH x AS (SELECT {word} AS w, {num} + 0 AS n FROM {t}) SELECT COUNT(*), SUM(n) FROM x WHERE n > {n}",
    "recursive": "WITH RECURSIVE seq AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM seq WHERE n < «5|10») SELECT n, "
    "(SELECT COUNT(*) FROM {t} WHERE {key} = n) FROM seq",
    "distinct": "SELECT DISTINCT «{word}|{note}|LEFT({date}, 4)|{num} > 50» FROM {t}",
    "window_sum": "SELECT {key}, «SUM({num} + 0)|COUNT(*)|AVG({dec} + 0)» OVER (PARTITION BY {word}«| ORDER BY {key} + "
    "0») FROM {t}",
    "window_rank": "SELECT {key}, «ROW_NUMBER()|RANK()|DENSE_RANK()» OVER (ORDER BY «{num}|{dec}|{date}|{dec} + 0» "
    "«|DESC», {key} + 0) FROM {t}",
    "lag": "SELECT {key}, «LAG|LEAD»({name}«|, 1|, 2») OVER (ORDER BY {key} + 0) FROM {t}",
    "top_of_group": "SELECT * FROM (SELECT {key}, ROW_NUMBER() OVER (PARTITION BY {word} ORDER BY {dec} + 0 DESC, "
    "{key} + 0) AS rn FROM {t}) z WHERE rn = 1",
}

MISTAKES = {
    "unknown_column": "SELECT «{name}, salary_2|wins|COUNT(nothing)|x.{name}» FROM {t}",
    "unknown_in_where": "SELECT COUNT(*) FROM {t} WHERE «Naam = 'x'|city_code > 3|b.{word} = 1»",
    "unknown_table": "SELECT * FROM «people|`{t_bare} table`|data|{t_other_case}»",
    "bare_spaces": "SELECT Home Team FROM {t} WHERE Away Team = 'x'",
    "brackets": "SELECT [{name_bare}] FROM {t}",
    "quoted_name": "SELECT '{name_bare}' FROM {t}",
    "double_quoted": 'SELECT "{name_bare}", COUNT(*) FROM {t}«| WHERE "{word_bare}" = {a_word}»',
    "text_table": "SELECT * FROM «'{t_bare}'|\"{t_bare}\"»",
    "reserved": "SELECT rank, group FROM {t}",
    "unclosed": "SELECT COUNT(*) FROM {t} WHERE {name} = 'O'Neil'",
    "half": "SELECT «|COUNT( FROM {t}|* FORM {t}|{name} FROM {t} WHERE|{name} FROM {t} GROUP|{name}, FROM {t}»",
    "two_statements": "SELECT 1; SELECT COUNT(*) FROM {t}",
    "no_function": "SELECT «MEDIAN({num})|NVL2({note}, 1, 2)|TO_NUMBER({num})|LEN({name})|STRFTIME('%Y', "
    "{date})|ILIKE({name})» FROM {t}",
    "arguments": "SELECT «LEFT({name})|CONCAT()|ROUND()|COUNT(DISTINCT)|IF(1)» FROM {t}",
    "other_dialects": "SELECT «TOP 3 *|{num}::int|{name} ILIKE 'a%'|DISTINCT ON ({word}) *» FROM {t}",
}

READS = {**LOOKING, **COUNTING, **AGGREGATES, **GROUPS, **TEXTS, **DATES, **TABLES, **MISTAKES}

ORDERED = {
    "sort_text": "SELECT {name} FROM {t} ORDER BY {name}«| ASC| DESC»",
    "sort_number_text": "SELECT {num}, {key} FROM {t} ORDER BY {num}«| DESC», {key} + 0«| LIMIT 3»",
    "sort_cast": "SELECT {name} FROM {t} ORDER BY CAST({«num|dec»} AS «SIGNED|UNSIGNED|DECIMAL(10,2)») «|DESC», {key} "
    "LIMIT «1|2|5»",
    "sort_plus": "SELECT {name}, {num} FROM {t} ORDER BY {num} + 0 «|DESC», {name} LIMIT «1|3|2, 3|1 OFFSET 1|5 OFFSET "
    "20»",
    "sort_commas": "SELECT {name} FROM {t} ORDER BY CAST(REPLACE({money}, ',', '') AS «UNSIGNED|SIGNED») «ASC|DESC», "
    "{key} LIMIT 3",
    "sort_date": "SELECT {key}, {date} FROM {t} ORDER BY {date} «|DESC», {key} LIMIT 4",
    "sort_spoken": "SELECT {spoken} FROM {t} ORDER BY STR_TO_DATE({spoken}, '%M %d, %Y') «|DESC», {key}",
    "sort_group": "SELECT {word}, COUNT(*) AS cnt FROM {t} WHERE {word} <> 'north' GROUP BY {word} ORDER BY cnt DESC, "
    "{word} «|LIMIT 1|LIMIT 2»",
    "sort_expression": "SELECT {key}, {num} * {dec} AS v FROM {t} ORDER BY «v|2|{num} * {dec}» DESC, {key}",
    "sort_position": "SELECT {score}, {key} FROM {t} ORDER BY «1|{score}», 2",
    "sort_nulls": "SELECT {note}, {key} FROM {t} ORDER BY {note} IS NULL, {note}, {key} + 0",
    "sort_field": "SELECT {key} FROM {t} ORDER BY «FIELD({word}, {a_word}) DESC|LENGTH({name})|{word} = {a_word} "
    "DESC|{note}», {key} + 0",
    "sort_case": "SELECT {key} FROM {t} ORDER BY CASE WHEN {num} > 50 THEN 1 ELSE 2 END, {key} + 0 LIMIT 6",
    "nth": "SELECT DISTINCT {num} FROM {t} WHERE {num} REGEXP '^[0-9]+$' ORDER BY {num} + 0 DESC LIMIT «1|1 OFFSET "
    "1|2, 1»",
    "sort_union": "(SELECT {word} AS w FROM {t} WHERE {word} <> 'north') UNION (SELECT {s_word} FROM {s} WHERE "
    "{s_word} <> 'north') ORDER BY w«| LIMIT 3»",
}
