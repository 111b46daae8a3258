"""Templates of changes: inserts, updates, deletes and changes of the schema, with what an agent looks at afterwards.

`;;` stands between the statements of one episode. The final rows of both tables are compared as well.
"""

from __future__ import annotations

INSERTS = {
    "insert_all": "INSERT INTO {t} VALUES ({row})«|;»",
    "insert_named": "INSERT INTO {t} ({key}, {name}, {num}, {dec}) VALUES ('99', {new}, "
    "«'12'|12|012|1.50|1e3|TRUE|-3|+4|'007'», «'1.5'|2.50|.5»)",
    "insert_bare": "INSERT INTO {t} ({name}, {note}) VALUES ({new}, «NULL|''|'it''s'|'a\\\\'b'|\"say "
    '\\"hi\\""|\'50%\'|DEFAULT»)',
    "insert_double_quotes": 'INSERT INTO {t} ({key}, {name}, {word}) VALUES ("77", "«New One|O\'Hara|Zoë»", '
    '"{word_text}")',
    "insert_two": "INSERT INTO {t} ({key}, {name}) VALUES ('98', {new}), («97|'97'», 'Second')",
    "insert_select": "INSERT INTO {t} ({key}, {name}, {num}) SELECT {key} + 100, CONCAT({name}, ' II'), {num} «|+ 1|* "
    "1.5» FROM {t} WHERE {key} <= 3",
    "insert_set": "INSERT INTO {t} SET {key} = '96', {name} = {new}, {num} = «3|'3'|1 + 2»",
    "insert_expression": "INSERT INTO {t} ({key}, {name}, {date}) VALUES («10 * 10|CONCAT('1', '2')|5 / 2|ROUND(2.567, "
    "1)», {new}, «'2020-01-01'|DATE('2020-01-01')|DATE_ADD('2020-01-31', INTERVAL 1 MONTH)»)",
    "insert_max": "INSERT INTO {t} ({key}, {name}) SELECT MAX({key} + 0) + 1, {new} FROM {t} ;; SELECT {key} FROM {t} "
    "WHERE {name} = {new}",
    "insert_ignore": "«INSERT IGNORE|REPLACE» INTO {t} ({key}, {name}) VALUES ('1', {new}) ;; SELECT COUNT(*) FROM {t} "
    "WHERE {key} = 1",
    "insert_wrong_count": "INSERT INTO {t} «({key}, {name}) VALUES ('1')|VALUES ('1', '2')|({key}) VALUES (1, 2)»",
    "insert_wrong_column": "INSERT INTO {t} ({name}, «missing|{name}») VALUES ('a', 'b')",
    "insert_side": "INSERT INTO {s} VALUES («'West', 'Rome', 3|'West', NULL, '3'|\"West\", 'Rome', 3.0») ;; SELECT * "
    "FROM {s}",
}

UPDATES = {
    "update_equal": "UPDATE {t} SET {note} = «'checked'|NULL|''|5|1.50» WHERE {name} = {a_name}«|;»",
    "update_two": "UPDATE {t} SET {num} = «'10'|10|{num} + 1», {note} = {num} WHERE {word} = {a_word}",
    "update_number": "UPDATE {t} SET {num} = {num} «+ 1|* 2|- 5|/ 2|* 1.1|+ '3'|% 10» WHERE {num} > {n}",
    "update_decimal": "UPDATE {t} SET {dec} = «{dec} * 1.10|ROUND({dec} * 1.1, 2)|{dec} + 0.5|FLOOR({dec})|{dec} / "
    "3|CAST({dec} AS DECIMAL(10,1))»",
    "update_concat": "UPDATE {t} SET {name} = «CONCAT({name}, ' *')|UPPER({name})|REPLACE({name}, ' ', "
    "'_')|TRIM({name})|REVERSE({name})» WHERE {key} «<|>» 4",
    "update_case": "UPDATE {t} SET {note} = CASE WHEN {num} > {n} THEN 'high' WHEN {num} < 20 THEN 'low' ELSE {note} "
    "END",
    "update_if": "UPDATE {t} SET {note} = IF({dec} > {x}, 'yes', 'no'), {pct} = REPLACE({pct}, '%', '') WHERE {key} <> "
    "'2'",
    "update_in": "UPDATE {t} SET {word} = 'Merged' WHERE {word} «IN ({a_word}, {a_word2})|LIKE '«%o%|N%»'|NOT IN "
    "({a_word})»",
    "update_limit": "UPDATE {t} SET {note} = 'first' ORDER BY {key} + 0 «|DESC» LIMIT «1|3»",
    "update_date": "UPDATE {t} SET {date} = «DATE_ADD({date}, INTERVAL 1 YEAR)|'2000-01-01'|STR_TO_DATE({spoken}, '%M "
    "%d, %Y')|DATE_FORMAT({date}, '%d/%m/%Y')» WHERE {key} <= 5",
    "update_join": "UPDATE {t} a JOIN {s} b ON a.{word} = b.{s_word} SET a.{note} = b.{s_place}",
    "update_subquery": "UPDATE {t} SET {note} = (SELECT {s_place} FROM {s} WHERE {s_word} = {t}.{word} LIMIT 1) WHERE "
    "{key} > 2",
    "update_self": "UPDATE {t} SET {num} = 0 WHERE {num} = (SELECT MIN({num}) FROM {t})",
    "update_derived": "UPDATE {t} SET {num} = 0 WHERE {key} IN (SELECT k FROM (SELECT {key} AS k FROM {t} WHERE {dec} "
    "> {x}) AS x)",
    "update_nothing": "UPDATE {t} SET {note} = 'x' WHERE {name} = 'nobody' ;; SELECT COUNT(*) FROM {t} WHERE {note} = "
    "'x'",
    "update_wrong": "UPDATE {t} SET «missing = 1|{num} = missing|{num} == 3|{num} = 3 AND {note} = 'x'|{num} 3» WHERE "
    "{key} = 1",
    "update_null_safe": "UPDATE {t} SET {note} = «IFNULL({note}, 'none')|COALESCE(NULLIF({note}, ''), 'blank')» ;; "
    "SELECT COUNT(*) FROM {t} WHERE {note} «= 'none'|IS NULL|= 'blank'»",
    "update_alias": "UPDATE {t} AS a SET a.{note} = 'seen' WHERE a.{num} BETWEEN {low} AND {n}",
    "update_length": "UPDATE {t} SET {num} = «LENGTH({name})|CHAR_LENGTH({name})|POW(2, 3)|SQRT(16)|10 / 4|TRUE|{num} "
    "> 5|0.1 + 0.2|1 / 3»",
}

DELETES = {
    "delete_equal": "DELETE FROM {t} WHERE {name} = {a_name}«|;»",
    "delete_number": "DELETE FROM {t} WHERE {num} «<|>|<=» «{n}|'{n}'»",
    "delete_like": "DELETE FROM {t} WHERE {note} «LIKE '%n%'|= ''|IS NULL|NOT LIKE '%a%'|LIKE '%\\\\_%'|LIKE "
    "'100\\\\%%'»",
    "delete_limit": "DELETE FROM {t} ORDER BY «{dec} + 0|{key} + 0» «|DESC» LIMIT 2",
    "delete_subquery": "DELETE FROM {t} WHERE {word} «IN|NOT IN» (SELECT {s_word} FROM {s} WHERE {s_count} > 10)",
    "delete_self": "DELETE FROM {t} WHERE {num} = (SELECT MAX({num}) FROM {t})",
    "delete_join": "DELETE a FROM {t} a JOIN {s} b ON a.{word} = b.{s_word} WHERE b.{s_count} < 20",
    "delete_all": "«DELETE FROM|TRUNCATE TABLE|TRUNCATE» {t} ;; SELECT COUNT(*), MAX({key}) FROM {t}",
    "rolled_back": "«START TRANSACTION|BEGIN» ;; DELETE FROM {t} WHERE {key} > 3 ;; «ROLLBACK|COMMIT» ;; SELECT "
    "COUNT(*) FROM {t}",
}

SCHEMAS = {
    "add_column": "ALTER TABLE {t} ADD «COLUMN |»extra «INT|VARCHAR(20)|TEXT|INT DEFAULT 7» ;; UPDATE {t} SET extra = "
    "{key} «|+ 1» ;; SELECT {key}, extra FROM {t}",
    "drop_column": "ALTER TABLE {t} DROP «COLUMN |»{pct} ;; SELECT * FROM {t} WHERE {key} < 4",
    "rename_column": "ALTER TABLE {t} «RENAME COLUMN {note} TO comment|CHANGE {note} comment TEXT» ;; SELECT {key}, "
    "comment FROM {t}",
    "modify_column": "ALTER TABLE {t} MODIFY «COLUMN |»{name} VARCHAR(100) ;; SELECT {name} FROM {t}",
    "create_table": "CREATE TABLE «IF NOT EXISTS |»summary (w VARCHAR(50), n INT) ;; INSERT INTO summary SELECT "
    "{word}, COUNT(*) FROM {t} WHERE {word} <> 'north' GROUP BY {word} ;; SELECT * FROM summary",
    "create_select": "CREATE TABLE copy AS SELECT {name}, {num} FROM {t} WHERE {key} < «3|6» ;; SELECT COUNT(*), "
    "MAX({num}) FROM copy ;; DROP TABLE copy",
    "create_view": "CREATE VIEW v AS SELECT {name} AS nm, {num} + 0 AS n FROM {t} ;; SELECT nm FROM v WHERE n > {n} ;; "
    "DROP VIEW v",
    "create_index": "CREATE INDEX idx ON {t} ({name}(20)) ;; SELECT COUNT(*) FROM {t} WHERE {name} = {a_name}",
    "drop_table": "DROP TABLE «IF EXISTS |»«{s}|nothing» ;; SHOW TABLES",
    "rename_table": "«RENAME TABLE {s} TO other|ALTER TABLE {s} RENAME TO other» ;; SELECT COUNT(*) FROM other",
    "create_twice": "CREATE TABLE {t} (a INT)",
    "auto_increment": "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, txt VARCHAR(30)) ;; INSERT INTO log (txt) "
    "VALUES ('a'), ('b') ;; INSERT INTO log (txt) SELECT {name} FROM {t} WHERE {key} = 1 ;; SELECT * "
    "FROM log",
}

WRITES = {**INSERTS, **UPDATES, **DELETES, **SCHEMAS}
