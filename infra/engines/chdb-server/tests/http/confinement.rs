//! What a client with the password still cannot do.

use super::server::{ask, database};

/// Functions of the engine that give tables without leaving the data directory, in lower case.
const HARMLESS: [&str; 33] = [
    "dictionary",
    "format",
    "fuzzjson",
    "fuzzquery",
    "generate_series",
    "generaterandom",
    "generateseries",
    "input",
    "loop",
    "merge",
    "mergetreeanalyzeindexes",
    "mergetreeanalyzeindexesuuid",
    "mergetreeindex",
    "mergetreeprojection",
    "mergetreetextindex",
    "null",
    "numbers",
    "numbers_mt",
    "primes",
    "prometheusquery",
    "prometheusqueryrange",
    "sqlstandardvalues",
    "timeseriesdata",
    "timeseriesmetrics",
    "timeseriesselector",
    "timeseriestags",
    "values",
    "view",
    "viewexplain",
    "viewifpermitted",
    "zeros",
    "zeros_mt",
    "arrowstream",
];

#[tokio::test]
async fn local_files_and_the_network_are_out_of_reach() {
    let (_, database) = database().await;
    let in_database = [("database", database.as_str())];
    for query in [
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "INSERT INTO FUNCTION file('/tmp/written', 'CSV', 'a UInt8') VALUES (1)",
        "SELECT file('/etc/hostname')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM remote('127.0.0.1:1', system.one)",
        "SELECT * FROM s3('http://127.0.0.1:1/a.csv')",
        "SELECT * FROM sqlite('/tmp/x', 't')",
        "SELECT * FROM default.`/etc/hostname`",
        "SELECT * FROM default.{t: Identifier}",
        "SELECT 1 INTO OUTFILE '/tmp/written'",
        "INSERT INTO t FROM INFILE '/etc/hostname' FORMAT CSV",
        "CREATE TABLE f (a String) ENGINE = File(CSV, '/etc/hostname')",
        "CREATE TABLE f (a String) ENGINE = URL('http://127.0.0.1:1/', 'CSV')",
        "CREATE DATABASE f ENGINE = Filesystem('/')",
        "CREATE DATABASE f ENGINE = SQLite('/tmp/x')",
        "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT CSV)) LAYOUT(FLAT()) LIFETIME(0)",
        "BACKUP DATABASE default TO File('/tmp/written')",
        "SYSTEM SHUTDOWN",
        "ATTACH TABLE f FROM '/nowhere/at/all' (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE TABLE f (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/nowhere/')",
        "SET input_format_values_interpret_expressions = 1",
    ] {
        let parameters = [in_database[0], ("param_t", "/etc/hostname")];
        let (status, text) = ask(query, &parameters).await;
        assert_eq!(status, 403, "{query}: {text}");
    }
    let default = ask("SELECT * FROM '/etc/hostname'", &[]).await;
    assert_eq!(default.0, 403, "{default:?}");
}

#[tokio::test]
async fn rows_are_values_and_no_expressions() {
    let (_, database) = database().await;
    let in_database = [("database", database.as_str())];
    assert_eq!(ask("CREATE TABLE t (a String) ENGINE = Memory", &in_database).await.0, 200);
    for expression in ["file('/etc/hostname')", "1 + 1", "(SELECT file('/etc/hostname'))"] {
        let insert = format!("INSERT INTO t VALUES ({expression})");
        let (status, text) = ask(&insert, &in_database).await;
        assert!(status >= 400 && text.contains("Code: 344"), "{expression}: {status} {text}");
    }
    let allowing = [in_database[0], ("input_format_values_interpret_expressions", "1")];
    assert_eq!(ask("INSERT INTO t VALUES (1 + 1)", &allowing).await.0, 403);
    // The control.
    assert_eq!(ask("INSERT INTO t VALUES ('a'), ('b')", &in_database).await.0, 200);
    assert_eq!(ask("SELECT count() FROM t", &in_database).await.1, "2\n");
}

#[tokio::test]
async fn every_table_function_of_the_engine_is_known() {
    let (_, names) = ask("SELECT lower(name) FROM system.table_functions", &[]).await;
    let names: Vec<&str> = names.lines().filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let (status, text) =
            ask(&format!("EXPLAIN AST SELECT * FROM {name}('/nowhere')"), &[]).await;
        assert_eq!(status == 403, !HARMLESS.contains(&name), "{name}: {status} {text}");
    }
}

#[tokio::test]
async fn a_materialized_view_is_filled_and_a_database_dropped() {
    let (client, database) = database().await;
    for query in [
        "CREATE TABLE a (x UInt64) ENGINE = MergeTree ORDER BY x",
        "CREATE TABLE b (n AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY tuple()",
        "CREATE MATERIALIZED VIEW v TO b AS SELECT sumState(x) AS n FROM a",
        "INSERT INTO a SELECT number FROM numbers(10)",
        "ALTER TABLE a ADD COLUMN y DateTime DEFAULT now(), MODIFY TTL y + INTERVAL 1 DAY",
        "OPTIMIZE TABLE a FINAL",
    ] {
        client.query(query).execute().await.unwrap();
    }
    let sum = client.query("SELECT sumMerge(n) FROM b").fetch_one::<u64>().await.unwrap();
    assert_eq!(sum, 45);
    client.query(&format!("DROP DATABASE {database} SYNC")).execute().await.unwrap();
}
