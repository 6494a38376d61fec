use super::*;

#[test]
fn paths_of_the_grammar_are_read() {
    for good in [
        "$",
        "$.status",
        "$ .a ['b'] [\"c\"]",
        "$..items[?@.price < 10].name",
        "$[0, -1, 1:5:2, ::-1, *, 'x', ?@]",
        "$[?!@.a && (@.b || $.c == null) && @.d >= -0.5e-3]",
        "$[?length(@.a) > 3 && count(@..x) == 0 && value(@.*) != 'y']",
        r"$[?match(@.a, 'b.*') || search(@['k'], $.pattern)]",
        "$['\\u00e4\\ud83d\\ude00\\'']",
        "$.ä_1",
        "$..*..*..*",
    ] {
        assert!(JsonPath::parse(good).is_ok(), "{good}: {:?}", JsonPath::parse(good));
    }
}

#[test]
fn what_is_no_path_is_refused_with_its_place() {
    for bad in [
        "",
        "status",
        "$.",
        "$ ",
        " $",
        "$[01]",
        "$[-0]",
        "$[9007199254740992]",
        "$[?1]",
        "$[?@.* == 1]",
        "$[?!@.a == 1]",
        "$[?(@.a) == 1]",
        "$[?length(@.*) == 1]",
        "$[?count(@.a)]",
        "$[?match(@.a, 'b') == true]",
        "$[?unknown(@.a)]",
        "$['\\ud800']",
        "$['\n']",
        "$[\"\\'\"]",
    ] {
        let fault = JsonPath::parse(bad).unwrap_err();
        assert!(fault.starts_with("is no JSON path (RFC 9535) from byte"), "{bad:?}: {fault}");
    }
    let fault = JsonPath::parse("$.a[?@.b=1]").unwrap_err();
    assert_eq!(fault, "is no JSON path (RFC 9535) from byte 8 on");
    assert!(JsonPath::parse(&format!("$.{}", "a".repeat(MAX_PATH_BYTES))).is_err());
}

#[test]
fn nesting_is_bounded_before_it_costs_stack_or_time() {
    let repeated = |open: &str, times: usize, middle: &str, close: &str| {
        format!("${}{middle}{}", open.repeat(times), close.repeat(times))
    };
    // Each is closed, left open, and left open as far as a path may be long.
    for (open, middle, close) in [
        ("[?@", "", "]"),
        ("[?(@", "", ")]"),
        ("[?!(@", "", ")]"),
        ("[?$", "", "]"),
        ("[?count($", "", ")>0]"),
        ("[?count(@..", "a", ")>0]"),
        ("[?@.a==1||@", "", "]"),
    ] {
        let most = if open.contains('(') { MAX_PATH_DEPTH / 2 } else { MAX_PATH_DEPTH };
        let good = repeated(open, most, middle, close);
        assert!(JsonPath::parse(&good).is_ok(), "{good}: {:?}", JsonPath::parse(&good));
        for times in [most + 1, 20, 340, MAX_PATH_BYTES / open.len() - 1] {
            for close in [close, ""] {
                let bad = repeated(open, times, middle, close);
                let bad: String = bad.chars().take(MAX_PATH_BYTES).collect();
                let expected = format!("must be nested at most {MAX_PATH_DEPTH} deep");
                assert_eq!(JsonPath::parse(&bad).unwrap_err(), expected, "{open} {times}");
            }
        }
    }
    for (open, close) in [("(", ")"), ("!(", ")"), ("length(", ")"), ("value($[?", "])")] {
        for close in [close, ""] {
            let bad = format!("$[?{}@{}]", open.repeat(200), close.repeat(200));
            assert!(JsonPath::parse(&bad).unwrap_err().contains("nested"), "{open}");
        }
    }
}
