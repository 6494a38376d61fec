use super::*;

fn code(statement: &str) -> Result<(), u16> {
    check(statement.as_bytes()).map_err(|exception| exception.code)
}

/// Statements in hostile spellings. `{` stands for nothing special here: each is given as it is.
const REFUSED: &[&str] = &[
    // Directories that become tables, and tables that come back from anywhere.
    "ATTACH TABLE t FROM '/home/x' (a UInt8) ENGINE = MergeTree ORDER BY a",
    "attach table t from '/home/x' (a UInt8) engine = MergeTree order by a",
    "AtTaCh TaBlE t FROM '/home/x' (a UInt8)",
    "/* SELECT */ ATTACH TABLE t FROM '/home/x'",
    "-- SELECT 1\nATTACH TABLE t FROM '/home/x'",
    "# SELECT 1\nATTACH TABLE t FROM '/home/x'",
    "// SELECT 1\nATTACH TABLE t FROM '/home/x'",
    "\u{feff}ATTACH TABLE t FROM '/home/x'",
    "\u{a0}ATTACH\u{2003}TABLE\u{3000}t FROM '/home/x'",
    "ATTACH/**/TABLE/**/t/**/FROM/**/'/home/x'",
    "ATTACH TABLE `t` FROM {p: String}",
    "ATTACH TABLE t FROM $x$/home/x$x$",
    "ATTACH TABLE t",
    "ATTACH TABLE t UUID '00000000-0000-0000-0000-000000000000' (a UInt8)",
    "ATTACH DATABASE d ENGINE = Atomic",
    "ATTACH DICTIONARY d",
    "ATTACH VIEW v AS SELECT 1",
    "(ATTACH TABLE t FROM '/home/x')",
    "((ATTACH TABLE t FROM '/home/x'))",
    "DETACH TABLE t",
    "DETACH TABLE t PERMANENTLY",
    "DROP TABLE a PARALLEL WITH ATTACH TABLE t FROM '/home/x'",
    "DROP TABLE a PARALLEL/**/WITH DROP TABLE b",
    "CREATE TABLE a (x UInt8) ENGINE = Memory PARALLEL WITH DROP TABLE b",
    "REPLACE TABLE t (a UInt8) ENGINE = Memory",
    "UNDROP TABLE t",
    // Disks that a statement brings along.
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/home/x/')",
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 1, DISK=disk(type=local)",
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS `disk` = disk(type = local)",
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS \"disk\" = 'x'",
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS `di\\x73k` = 'x'",
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'x'",
    "ALTER TABLE t MODIFY SETTING storage_policy = 'x'",
    "ALTER TABLE t MODIFY SETTING disk = disk(type = local)",
    "SET storage_policy = 'x'",
    "SELECT 1 SETTINGS disk = 'x'",
    // Engines of tables and databases.
    "CREATE TABLE f (a String) ENGINE = File(CSV, '/etc/hostname')",
    "CREATE TABLE f (a String) ENGINE File(CSV, '/etc/hostname')",
    "CREATE TABLE f (a String) ENGINE = `File`(CSV)",
    "CREATE TABLE f (a String) ENGINE = \"File\"(CSV)",
    "CREATE TABLE f (a String) ENGINE = `Fi\\x6ce`(CSV)",
    "CREATE TABLE f (a String)/**/ENGINE/**/=/**/URL('http://127.0.0.1:1/')",
    "CREATE TABLE f ENGINE = S3('http://127.0.0.1:1/a') AS SELECT 1",
    "CREATE TABLE f AS g ENGINE = Distributed(c, d, t)",
    "CREATE OR REPLACE TABLE f (a String) ENGINE = EmbeddedRocksDB(0, '/home/x') PRIMARY KEY a",
    "CREATE TEMPORARY TABLE f (a String) ENGINE = SQLite('/home/x', 't')",
    "CREATE TABLE IF NOT EXISTS d.f (a String) ENGINE = FileLog('/home/x', 'CSV')",
    "CREATE TABLE f (a String) ENGINE = Executable('x', CSV)",
    "CREATE TABLE f (a String) ENGINE = ReplicatedMergeTree('/a', 'b') ORDER BY a",
    "CREATE TABLE f (a String) ENGINE = {e: Identifier}",
    "CREATE MATERIALIZED VIEW v ENGINE = File(CSV) AS SELECT 1",
    "CREATE WINDOW VIEW v AS SELECT 1",
    "CREATE LIVE VIEW v AS SELECT 1",
    "CREATE DATABASE d ENGINE = Filesystem('/')",
    "CREATE DATABASE IF NOT EXISTS d ENGINE SQLite('/x')",
    "CREATE DATABASE d ENGINE = Overlay",
    "CREATE DATABASE d ENGINE = Backup('d', File('/x'))",
    // Functions.
    "SELECT file('/etc/passwd')",
    "SELECT FILE /* */ ('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    "SELECT `fi\\x6ce`('/etc/passwd')",
    "SELECT “file”\u{2003}('/etc/passwd')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM (SELECT * FROM (SELECT file('/etc/passwd')))",
    "WITH file('/etc/passwd') AS x SELECT x",
    "FROM file('/etc/passwd') SELECT *",
    "(SELECT 1) UNION ALL (SELECT * FROM url('http://127.0.0.1:1/'))",
    "SELECT * FROM numbers(1), s3('http://127.0.0.1:1/a')",
    "SELECT * FROM numbers(1) JOIN remote('127.0.0.1', system.one) USING a",
    "SELECT * FROM icebergLocal('/home/x')",
    "SELECT * FROM deltaLakeLocal('/home/x')",
    "SELECT * FROM filesystem('/home')",
    "SELECT * FROM executable('x', CSV, 'a String')",
    "SELECT * FROM loop(file('/etc/passwd'))",
    "SELECT * FROM view(SELECT * FROM file('/etc/passwd'))",
    "DESCRIBE TABLE file('/etc/passwd')",
    "DESC file('/etc/passwd')",
    "EXPLAIN SELECT file('/etc/passwd')",
    "SHOW CREATE TABLE FUNCTION file('/etc/passwd')",
    "EXISTS TABLE FUNCTION file('/etc/passwd')",
    "CREATE TABLE t AS file('/etc/passwd')",
    "CREATE TABLE t AS s3Cluster('c', 'http://127.0.0.1:1/a')",
    "CREATE TABLE t (a String DEFAULT file('/etc/passwd')) ENGINE = Memory",
    "CREATE VIEW v AS SELECT * FROM file('/etc/passwd')",
    "ALTER TABLE t ADD COLUMN a String DEFAULT file('/etc/passwd')",
    "ALTER TABLE t UPDATE a = file('/etc/passwd') WHERE 1",
    "INSERT INTO t SELECT file('/etc/passwd')",
    "INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a UInt8') SELECT 1",
    "INSERT INTO TABLE FUNCTION url('http://127.0.0.1:1/') SELECT 1",
    "INSERT INTO FUNCTION `file`('/tmp/x')",
    "INSERT INTO TABLE/**/FUNCTION/**/remote('127.0.0.1', d.t) SELECT 1",
    // Clauses.
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 INTO/**/OUTFILE '/tmp/x' TRUNCATE",
    "SHOW TABLES INTO OUTFILE '/tmp/x'",
    "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
    "CREATE TABLE t ON CLUSTER c (a UInt8) ENGINE = Memory",
    // Settings.
    "SELECT 1 SETTINGS format_schema = '/etc/passwd:x'",
    "SELECT 1 SETTINGS max_threads = 1, Format_Schema='/etc/passwd:x'",
    "SET input_format_record_errors_file_path = '/tmp/x'",
    "SET input_format_values_interpret_expressions = 1",
    "INSERT INTO t SETTINGS input_format_values_interpret_expressions = 1 VALUES (1)",
    // Parts that go and come.
    "ALTER TABLE t ATTACH PARTITION 1 FROM u",
    "ALTER TABLE t ATTACH PART 'x'",
    "ALTER TABLE d.t FETCH PARTITION 1 FROM '/a'",
    "ALTER TABLE `t` FREEZE WITH NAME 'x'",
    "ALTER TABLE t ADD COLUMN a UInt8, FREEZE",
    "ALTER TABLE t (ADD COLUMN a UInt8), (ATTACH PARTITION 1)",
    "ALTER TABLE t MOVE PARTITION 1 TO DISK 'x'",
    "ALTER TABLE t MODIFY TTL a TO DISK 'x'",
    "ALTER DATABASE d MODIFY SETTING x = 1",
    "ALTER USER u IDENTIFIED BY 'x'",
    // Everything else.
    "BACKUP DATABASE default TO File('/tmp/x')",
    "RESTORE TABLE t FROM Disk('d', 'x')",
    "SYSTEM SHUTDOWN",
    "SYSTEM RELOAD CONFIG",
    "SYSTEM UNFREEZE WITH NAME 'x'",
    "SYSTEM SYNC FILE CACHE",
    "CREATE FUNCTION f AS x -> file(x)",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT CSV)) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE NAMED COLLECTION c AS a = 1",
    "CREATE USER u",
    "CREATE RESOURCE r (READ ANY DISK)",
    "CREATE WORKLOAD w",
    "DROP DICTIONARY d",
    "DROP FUNCTION f",
    "DROP USER u",
    "RENAME DICTIONARY a TO b",
    "EXCHANGE DICTIONARIES a AND b",
    "GRANT ALL ON *.* TO u",
    "REVOKE ALL ON *.* FROM u",
    "WATCH v",
    "KILL TRANSACTION WHERE 1",
    "BEGIN TRANSACTION",
    "EXECUTE AS u SELECT 1",
    "MOVE USER u TO x",
];

#[test]
fn hostile_statements_are_refused_however_they_are_written() {
    for statement in REFUSED {
        assert_eq!(code(statement), Err(497), "{statement}");
    }
}

#[test]
fn what_is_no_statement_is_refused_as_the_engine_would() {
    for statement in [
        "nonsense",
        "1 + 1",
        "'ATTACH'",
        "`select` 1",
        "`ATTACH` TABLE t FROM '/x'",
        "COPY t FROM '/x'",
        "INSTALL x",
    ] {
        assert_eq!(code(statement), Err(62), "{statement}");
    }
}

/// What clients need, with the words of the other table in harmless places.
const SERVED: &[&str] = &[
    "SELECT 1",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "WITH 1 AS a SELECT a",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "FROM numbers(3) SELECT number",
    "SELECT version(), timezone(), displayName()",
    "SELECT file, url FROM t WHERE file IN ('a') -- file('x')",
    "SELECT disk, `attach`, 'ATTACH TABLE t FROM' FROM t WHERE disk = 'x' /* INTO OUTFILE */",
    "SELECT 'file(1)', `infile` FROM outfile",
    "SELECT format('{}', a), extractURLParameter(url, 'x') FROM t SETTINGS max_threads = 1",
    "INSERT INTO t (a, b)",
    "INSERT INTO file (a)",
    "INSERT INTO d.url (a) SELECT 1",
    "INSERT INTO FUNCTION null('a Int8') SELECT 1",
    "INSERT INTO t SELECT number FROM numbers(10)",
    "CREATE DATABASE d",
    "CREATE DATABASE IF NOT EXISTS d ENGINE = Atomic",
    "CREATE DATABASE engine",
    "CREATE TABLE file (file String, disk String, engine String) ENGINE = MergeTree ORDER BY file",
    "CREATE TABLE IF NOT EXISTS d.url (a UInt8) ENGINE = ReplacingMergeTree(a) PARTITION BY a ORDER BY a TTL b + INTERVAL 1 DAY SETTINGS index_granularity = 1024",
    "CREATE OR REPLACE TABLE t (a UInt8) ENGINE Memory",
    "CREATE TEMPORARY TABLE t (a UInt8)",
    "CREATE TABLE t ENGINE = `MergeTree` ORDER BY a AS SELECT 1 AS a",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MATERIALIZED VIEW v TO t AS SELECT sumState(x) AS n FROM a",
    "ALTER TABLE d.t ADD COLUMN IF NOT EXISTS a String CODEC(ZSTD), MODIFY TTL y + INTERVAL 1 DAY",
    "ALTER TABLE t DELETE WHERE a = 1",
    "DROP DATABASE IF EXISTS d SYNC",
    "DROP TABLE t",
    "TRUNCATE TABLE t",
    "OPTIMIZE TABLE t FINAL",
    "RENAME TABLE a TO b",
    "EXCHANGE TABLES a AND b",
    "SHOW TABLES",
    "DESCRIBE TABLE t",
    "EXISTS TABLE t",
    "EXPLAIN SELECT 1",
    "SET max_block_size = 77",
    "USE d",
    "KILL QUERY WHERE query_id = 'x'",
    "DELETE FROM t WHERE a = 1",
    "",
];

#[test]
fn the_same_words_elsewhere_are_let_through() {
    for statement in SERVED {
        assert_eq!(code(statement), Ok(()), "{statement}");
    }
}

/// Of each part of the schema, its statements.
fn schema() -> Vec<String> {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/clickhouse");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    files.flat_map(|text| text.split(";\n").map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_statement_of_the_schema_is_let_through() {
    let statements = schema();
    assert!(statements.len() >= 5, "{statements:?}");
    for statement in statements {
        assert_eq!(code(&statement), Ok(()), "{statement}");
    }
}
