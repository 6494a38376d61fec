use super::*;

#[test]
fn a_tag_is_known_in_a_list_weak_or_strong_and_another_one_is_not() {
    let tag = "W/\"0123\"";
    for known in ["W/\"0123\"", "\"0123\"", "\"x\", W/\"0123\"", "*", " \"0123\" "] {
        assert!(is_known(known, tag), "{known}");
    }
    for other in ["", "\"012\"", "W/\"01234\"", "0123"] {
        assert!(!is_known(other, tag), "{other}");
    }
}

#[test]
fn the_policy_allows_nothing_inline_and_nothing_from_elsewhere() {
    assert!(!POLICY.contains("unsafe") && !POLICY.contains("http") && !POLICY.contains('*'));
    for directive in POLICY.split(';').map(str::trim) {
        let allowed = directive.ends_with("'self'") || directive.ends_with("'none'");
        assert!(allowed || directive.contains("trusted-types"), "{directive}");
    }
}
