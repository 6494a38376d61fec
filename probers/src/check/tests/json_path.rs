//! JSON paths against documents: what they select, as serde_json_path says it, and that they end.

use std::ops::ControlFlow;

use proptest::prelude::*;
use pulsetrail_domain::monitor::JsonPath;
use pulsetrail_domain::monitor::json_path::MAX_PATH_DEPTH;
use serde_json::{Value, json};

use super::{Evaluation, Node, read};
use crate::check::pattern::Patterns;
use crate::check::work::{Budget, Exceeded, MAX_STEPS};

/// The values that a path selects, and the steps that it took.
fn selected(path: &str, document: &str, steps: u64) -> Result<(Vec<Value>, u64), Exceeded> {
    let path = JsonPath::parse(path).unwrap();
    let root = read(document, &mut Budget::of_steps(MAX_STEPS)).unwrap();
    let mut budget = Budget::of_steps(steps);
    let mut nodes = Vec::new();
    Evaluation::of(&root, &mut budget, &mut Patterns::default()).select(
        &path,
        &mut |_, node| {
            nodes.push(value(node));
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok((nodes, steps - budget.steps_left()))
}

fn value(node: &Node<'_>) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => json!(value),
        Node::Number(written) => serde_json::from_str(written).unwrap(),
        Node::Text(text) => json!(text),
        Node::Array(written, _) | Node::Object(written, _) => {
            serde_json::from_str(written).unwrap()
        }
    }
}

/// As the library for JSON paths selects them.
fn by_library(path: &str, document: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(document).unwrap();
    let path = serde_json_path::JsonPath::parse(path).unwrap();
    path.query(&document).all().into_iter().cloned().collect()
}

const STORE: &str = r#"{"a": [1, 2, {"b": "x", "c": null}, [3, [4]], "text", -0.5, true],
    "b": {"a": {"b": 1.0, "d": "axb"}, "c": [], "ä": "ä"}, "c": 1, "d": "a.b"}"#;

#[test]
fn paths_select_what_the_library_selects() {
    for path in [
        "$",
        "$.a",
        "$['b'].a.*",
        "$.a[0, -1, 7, -8]",
        "$.a[1:5:2, ::-2, 5:1:-1, -3:, :2, 9:, ::0]",
        "$..b",
        "$..*",
        "$..[0]",
        "$..[*, 0]..b",
        "$.a[?@ > 1]",
        "$.a[?@ >= 1 && @ < 2 || @ == 'text']",
        "$.a[?!@.b]",
        "$.a[?!(@.b == 'x' || @ == true)]",
        "$.a[?@.c == null]",
        "$.a[?@.nothing == $.nothing]",
        "$.*[?@ == $.c]",
        "$[?@.a]",
        "$[?@..b]",
        "$[?length(@) == 3]",
        "$[?count(@.*) > 2]",
        "$[?count(@..*) != count($.a[*])]",
        "$[?value(@..d) == 'axb']",
        "$..[?match(@, 'a.b')]",
        "$..[?search(@, 'ex|x')]",
        "$..[?match(@, $.d)]",
        "$..[?match(@, '(')]",
        "$.a[?@ != @]",
        "$['b']['\\u00e4']",
    ] {
        let (ours, _) = selected(path, STORE, MAX_STEPS).unwrap();
        assert_eq!(ours, by_library(path, STORE), "{path}");
    }
}

/// Comparisons of RFC 9535, 2.3.5.3, which the library decides in another way.
#[test]
fn what_has_no_order_is_at_most_and_at_least_only_itself() {
    for (condition, is_true) in [
        ("$.a <= $.a", true),
        ("$.a >= $.b.c", false),
        ("$.a < $.b", false),
        ("$.x <= $.y", true),
        ("$.x < $.y", false),
        ("$.x <= 1", false),
        ("true >= true", true),
        ("1 <= 1.0", true),
        ("'a' < 'b'", true),
        ("'10' < 9", false),
    ] {
        let (nodes, _) = selected(&format!("$[?{condition}]"), STORE, MAX_STEPS).unwrap();
        assert_eq!(nodes.len(), if is_true { 4 } else { 0 }, "{condition}");
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..4_i32).prop_map(Value::from),
        Just(json!(1.5)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Segments; each may have a filter with queries of its own.
fn segments() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        "[abc]".prop_map(|name| format!("'{name}'")),
        Just("*".to_owned()),
        (-3..4_i32).prop_map(|index| index.to_string()),
        (-3..4_i32, -3..4_i32, -2..3_i32)
            .prop_map(|(start, end, step)| format!("{start}:{end}:{step}")),
    ];
    let segment = |selector: BoxedStrategy<String>| {
        (any::<bool>(), prop::collection::vec(selector, 1..3)).prop_map(|(deep, selectors)| {
            format!("{}[{}]", if deep { ".." } else { "" }, selectors.join(","))
        })
    };
    let path = |selector: BoxedStrategy<String>| {
        prop::collection::vec(segment(selector), 0..3).prop_map(|segments| segments.concat())
    };
    let single = prop::collection::vec("\\.[abc]|\\[[012]\\]", 0..3).prop_map(|all| all.concat());
    let start = prop_oneof![Just("@"), Just("$")];
    let query =
        (start.clone(), path(plain.clone().boxed())).prop_map(|(at, rest)| at.to_owned() + &rest);
    let operand = prop_oneof![
        (start, single).prop_map(|(at, rest)| at.to_owned() + &rest),
        (-2..3_i32).prop_map(|number| number.to_string()),
        "[ab]{0,1}".prop_map(|text| format!("'{text}'")),
        Just("null".to_owned()),
        query.clone().prop_map(|query| format!("count({query})")),
        query.clone().prop_map(|query| format!("value({query})")),
        "@\\.[abc]".prop_map(|query| format!("length({query})")),
    ];
    let equality = prop_oneof![Just("=="), Just("!=")];
    let order = prop::sample::select(vec!["<", "<=", ">", ">="]);
    let condition = prop_oneof![
        query.clone(),
        query.prop_map(|query| format!("!{query}")),
        (operand.clone(), equality, operand.clone())
            .prop_map(|(a, how, b)| format!("{a} {how} {b}")),
        (operand, order, -2..3_i32).prop_map(|(a, how, b)| format!("{a} {how} {b}")),
        ("@(\\.[abc])?", "[ab.*]{0,2}")
            .prop_map(|(text, pattern)| format!("match({text}, '{pattern}')")),
    ];
    let joined = (condition.clone(), prop_oneof![Just("&&"), Just("||")], condition)
        .prop_map(|(one, with, other)| format!("{one} {with} !({other})"));
    let filter = joined.prop_map(|condition| format!("?{condition}"));
    path(prop_oneof![plain, filter].boxed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn any_path_selects_what_the_library_selects(segments in segments(), document in document()) {
        let (path, document) = (format!("${segments}"), document.to_string());
        let (ours, _) = selected(&path, &document, MAX_STEPS).unwrap();
        prop_assert_eq!(ours, by_library(&path, &document));
    }
}

fn array(elements: usize) -> String {
    json!(vec![0; elements]).to_string()
}

#[test]
fn a_path_that_multiplies_is_stopped_by_its_steps_and_by_nothing_else() {
    let slices = format!("[{}]", vec!["::1"; 40].join(","));
    let twice = "[*,*]".repeat(4);
    for path in [
        "$[?count($[?count($[*])>0])>0]".to_owned(),
        "$[?count($[*])>0]".to_owned(),
        "$..[?count($..*)>0]".to_owned(),
        "$[?count($[?@==value($[0])])>0]".to_owned(),
        "$[?count($[?match('aaaa', 'a*b')])>0]".to_owned(),
        "$[?length(value($..[?count($..*)>0]))>0]".to_owned(),
        format!("$[?count(${slices})>0]"),
        format!("$[?count($..{slices})>0 && count($[9007199254740991,-9007199254740991])==0]"),
        format!("$[?count($[?count(${twice})==0])>0]"),
    ] {
        let document = array(20_000);
        let stopped = selected(&path, &document, 1_000_000);
        assert_eq!(stopped.unwrap_err(), Exceeded::Steps, "{path}");
        // Positive control: with fewer values the same path ends within as many steps.
        let (_, few) = selected(&path, &array(20), 1_000_000).unwrap();
        let (_, more) = selected(&path, &array(40), 1_000_000).unwrap();
        assert!(more * 10 > few * 25, "{path}: it grows faster than the document, {few}, {more}");
    }
}

#[test]
fn a_path_that_looks_far_does_not_exhaust_the_stack() {
    let depth = 127;
    let document = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let nested = MAX_PATH_DEPTH / 2;
    let path = format!("${}..*{}", "..[?count($".repeat(nested), ")>0]".repeat(nested));
    let deep = format!("${}", "[0]".repeat(depth));
    let queries = move || {
        assert_eq!(selected(&path, &document, 20_000_000).unwrap_err(), Exceeded::Steps);
        assert_eq!(selected(&deep, &document, MAX_STEPS).unwrap().0, [json!(1)]);
    };
    // As much as a thread of the runtime has.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(queries).unwrap();
    thread.join().unwrap();
}

#[test]
fn reading_a_document_is_counted_and_its_depth_is_bounded() {
    let mut budget = Budget::of_steps(1_000);
    for (document, is_good) in [
        (format!("{}{}", "[".repeat(128), "]".repeat(128)), true),
        (format!("{}{}", "[".repeat(129), "]".repeat(129)), false),
        (format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129)), false),
        ("[".repeat(1_000_000), false),
        (r#"["\ud800"]"#.to_owned(), false),
        ("[1,]".to_owned(), false),
        ("\u{feff}1".to_owned(), false),
        ("01".to_owned(), false),
        (r#"{"a":1,"a":2}"#.to_owned(), true),
    ] {
        let found = read(&document, &mut Budget::of_steps(MAX_STEPS));
        assert_eq!(found.is_ok(), is_good, "{document:.40}");
    }
    let many = format!("[{}]", vec!["[]"; 100_000].join(","));
    assert!(
        read(&many, &mut budget)
            .is_err_and(|fault| fault == super::Fault::Exceeded(Exceeded::Steps))
    );
    assert!(read(&many, &mut Budget::of_steps(MAX_STEPS)).is_ok());
    // Each level is read once more for those around it.
    let (steps, flat) = (10_000_000, array(500_000));
    assert!(read(&flat, &mut Budget::of_steps(steps)).is_ok());
    let deep = format!("{}{flat}{}", "[".repeat(127), "]".repeat(127));
    let fault = read(&deep, &mut Budget::of_steps(steps)).unwrap_err();
    assert_eq!(fault, super::Fault::Exceeded(Exceeded::Steps));
}

#[test]
fn of_two_members_of_one_name_the_last_one_counts() {
    assert_eq!(selected("$.a", r#"{"a":1,"a":2}"#, 100).unwrap().0, [json!(2)]);
}
