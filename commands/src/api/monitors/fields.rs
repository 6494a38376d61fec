//! Reading an object field by field, so that every mistake in it is found at once.

use std::collections::BTreeMap;

use pulsetrail_domain::monitor::Violation;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::json_body::{escape, violation};

/// The fields of an object that were not read yet, and every mistake in those that were.
pub(super) struct Fields<'a> {
    /// The object's place in the body, as a JSON pointer.
    place: &'static str,
    fields: BTreeMap<String, Value>,
    violations: &'a mut Vec<Violation>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `place`; none, and a violation, where it is no object.
    pub(super) fn of(
        value: Value,
        place: &'static str,
        violations: &'a mut Vec<Violation>,
    ) -> Option<Self> {
        if let Value::Object(fields) = value {
            return Some(Self { place, fields: fields.into_iter().collect(), violations });
        }
        violations.push(Violation::new(place, "must be an object"));
        None
    }

    /// Whether the field of that name is there, unread, and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// The field of that name; none where it is left out, is null, or is not of its type, which is
    /// a violation.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        match serde_path_to_error::deserialize(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.violations.push(violation(&self.pointer(name), &error));
                None
            }
        }
    }

    /// The field of that name as it is; none where it is left out or null.
    pub(super) fn take_raw(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// The mistakes so far.
    pub(super) fn violations(&mut self) -> &mut Vec<Violation> {
        self.violations
    }

    /// The field of that name, which must be there.
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        if !self.has(name) {
            self.refuse(name, "is needed");
        }
        self.take(name)
    }

    /// Notes a mistake in the field of that name.
    pub(super) fn refuse(&mut self, name: &str, detail: &str) {
        self.violations.push(Violation::new(self.pointer(name), detail));
    }

    /// Refuses every field that was not read.
    pub(super) fn finish(self) {
        for name in self.fields.keys() {
            let pointer = format!("{}/{}", self.place, escape(name));
            self.violations.push(Violation::new(pointer, "is not a field of this object"));
        }
    }

    fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }
}

/// Refuses every text in `value`, which stands at `place`, that has a NUL character: the log would
/// take it, and Postgres' `jsonb` and `text`, which the read model is made of, would not.
pub(super) fn refuse_nul(value: &Value, place: &str, violations: &mut Vec<Violation>) {
    match value {
        Value::String(text) if text.contains('\0') => {
            violations.push(Violation::new(place, "must not have the character U+0000"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_nul(item, &format!("{place}/{index}"), violations);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                if name.contains('\0') {
                    violations.push(Violation::new(place, "has a name with the character U+0000"));
                }
                refuse_nul(field, &format!("{place}/{}", escape(name)), violations);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_mistake_in_an_object_is_found_at_once() {
        let mut violations = Vec::new();
        let object = json!({"count": "7", "list": [1, -1], "x/y": 1, "none": null, "good": 3});
        let mut fields = Fields::of(object, "/at", &mut violations).unwrap();
        assert_eq!(fields.take::<u32>("count"), None);
        assert_eq!(fields.take::<Vec<u32>>("list"), None);
        assert_eq!(fields.take::<u32>("none"), None);
        assert_eq!(fields.take::<u32>("missing"), None);
        assert_eq!(fields.take::<u32>("good"), Some(3));
        fields.finish();
        let pointers: Vec<&str> = violations.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/at/count", "/at/list/1", "/at/x~1y"]);
    }

    #[test]
    fn a_text_that_the_read_model_cannot_keep_is_refused() {
        let mut violations = Vec::new();
        let body = json!({"name": "a\0b", "tags": {"x\0": "1"}, "regions": ["a", "\0"], "n": 1});
        refuse_nul(&body, "", &mut violations);
        let mut pointers: Vec<&str> =
            violations.iter().map(|fault| fault.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/name", "/regions/1", "/tags"]);
    }
}
