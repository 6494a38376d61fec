use super::*;

fn insert(source: &str) -> Insert {
    match parse(source.as_bytes()) {
        Ok(Statement::Insert(insert)) => insert,
        other => panic!("{source}: {other:?}"),
    }
}

fn parts(source: &str) -> (String, String, String, &str) {
    let insert = insert(source);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
    (
        text(&insert.target),
        text(&insert.settings),
        insert.format.clone(),
        &source[insert.data_start..],
    )
}

#[test]
fn an_insert_is_split_at_its_data() {
    assert_eq!(
        parts("INSERT INTO db.`t;x`(a, `b`) FORMAT RowBinary\n\u{1};"),
        ("INSERT INTO db.`t;x`(a, `b`)".into(), String::new(), "RowBinary".into(), "\u{1};")
    );
    assert_eq!(
        parts("insert into t settings async_insert=1, x='FORMAT' values (1, ';')"),
        (
            "insert into t".into(),
            "settings async_insert=1, x='FORMAT'".into(),
            "Values".into(),
            " (1, ';')"
        )
    );
    assert_eq!(parts("INSERT INTO {t:Identifier} (* EXCEPT(a)) VALUES(1)").3, "(1)");
    assert_eq!(parts("INSERT INTO TABLE FUNCTION null('a Int8') VALUES (1)").2, "Values");
    assert_eq!(parts("/* x */ INSERT INTO values VALUES (1)").0, "/* x */ INSERT INTO values");
    assert_eq!(parts("INSERT INTO format FORMAT CSV 1\n").3, "1\n");
}

#[test]
fn only_one_line_end_behind_the_format_is_not_data() {
    assert_eq!(parts("INSERT INTO t FORMAT CSV \r\n\n1").3, "\n1");
    assert_eq!(parts("INSERT INTO t FORMAT CSV").3, "");
}

#[test]
fn an_insert_from_a_query_has_no_data() {
    for source in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) SELECT 1 AS format",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t WITH 1 AS a SELECT a",
    ] {
        assert!(matches!(parse(source.as_bytes()), Ok(Statement::Other(_))), "{source}");
    }
}

#[test]
fn the_rows_are_read_from_a_file_named_before_settings_and_format() {
    let insert = insert("INSERT INTO t (a) SETTINGS async_insert=1 FORMAT CSV 1");
    assert_eq!(
        String::from_utf8(insert.reading_file(b"/x/it's")).unwrap(),
        "INSERT INTO t (a) FROM INFILE '/x/it\\'s' COMPRESSION 'none'  SETTINGS async_insert=1 FORMAT CSV"
    );
}

#[test]
fn a_client_cannot_name_the_file() {
    for source in [
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "INSERT INTO t FROM INFILE '/etc/passwd' SETTINGS a=1 FORMAT CSV",
    ] {
        assert_eq!(parse(source.as_bytes()).map_err(|exception| exception.code), Err(497));
    }
}

#[test]
fn several_statements_are_refused_and_closing_semicolons_are_not() {
    for source in [
        "SELECT 1; SELECT 2",
        "SELECT 1;;; x",
        "DROP TABLE a; -- x\n DROP TABLE b",
        "INSERT INTO t VALUES (1, ';'); SELECT 1",
    ] {
        assert_eq!(
            parse(source.as_bytes()).map_err(|exception| exception.code),
            Err(62),
            "{source}"
        );
    }
    match parse(b"SELECT ';' ;; -- ;\n ;") {
        Ok(Statement::Select(query)) => assert_eq!(query.text, b"SELECT ';' "),
        other => panic!("{other:?}"),
    }
    assert!(parse(b" -- nothing\n;").is_err());
}

#[test]
fn the_closing_format_is_found() {
    let format = |source: &str| match parse(source.as_bytes()) {
        Ok(Statement::Select(query) | Statement::Other(query)) => query.format,
        other => panic!("{other:?}"),
    };
    assert_eq!(format("SELECT 1 FORMAT JSON").as_deref(), Some("JSON"));
    assert_eq!(format("SELECT 1 format CSV SETTINGS a = 1;").as_deref(), Some("CSV"));
    assert_eq!(format("SELECT 1 SETTINGS a = 1 FORMAT CSV").as_deref(), Some("CSV"));
    assert_eq!(format("SELECT f(1) FORMAT CSV").as_deref(), Some("CSV"));
    assert_eq!(format("SELECT a FROM t ORDER BY format DESC"), None);
    assert_eq!(format("SELECT a AS format FROM t"), None);
    assert_eq!(format("SELECT 'FORMAT CSV'"), None);
}

#[test]
fn kinds_are_told_apart() {
    for source in ["(SELECT 1)", "WITH 1 AS a SELECT a", "FROM t SELECT 1", "/**/ select 1"] {
        assert!(
            matches!(parse(source.as_bytes()), Ok(Statement::Select(query)) if query.reads_only)
        );
    }
    assert!(matches!(parse(b"SHOW TABLES"), Ok(Statement::Other(query)) if query.reads_only));
    assert!(matches!(parse(b"DROP TABLE t"), Ok(Statement::Other(query)) if !query.reads_only));
    assert!(
        matches!(parse(b"SELECT 1 GROUP BY 1 WITH TOTALS"), Ok(Statement::Select(query)) if query.has_framing)
    );
}
