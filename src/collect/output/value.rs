//! `format: value`: one number, as `wc -l` prints it.

use std::borrow::Cow;

use super::record::{Found, Record, Records, Take};
use super::{Reader, Unreadable, excerpt, metric};
use crate::config::yaml::{Section, Wrong};

#[derive(Debug)]
struct Value;

/// It has no keys of its own.
pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    metric::read(section, Some(Box::new(Value)))
}

/// The whole output, whose one field is `value`.
struct Whole<'a>(&'a str);

impl Records for Value {
    fn noun(&self) -> &'static str {
        ""
    }

    fn check_field(&self, field: &str) -> Result<(), Wrong> {
        match field {
            "value" => Ok(()),
            _ => Err(Wrong::new("the output is one value, it has no fields", "write `value`, or nothing")),
        }
    }

    fn each(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable> {
        take(&Whole(output.trim()))
    }
}

impl Record for Whole<'_> {
    fn place(&self) -> Cow<'static, str> {
        "its output".into()
    }

    fn quote(&self, _: &str) -> String {
        format!("its output: {}", excerpt(self.0))
    }

    fn field(&self, _: &str) -> Found<'_> {
        Found::Text(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read};

    const YAML: &str = "{format: value, name: a, type: counter, labels: {b: c}}";

    #[test]
    fn one_number_and_nothing_else() {
        assert_eq!(read(YAML, " 42\n").unwrap(), "# TYPE a counter\na{b=\"c\"} 42\n");
        assert_eq!(message(YAML, "1\n2\n"), "its output is not one number");
        assert_eq!(message(YAML, " \n"), "its output is empty where one number is expected");
        assert_eq!(message(YAML, "1e309"), "the number in its output is too large");
    }

    #[test]
    fn what_was_found_is_quoted_short_and_only_in_the_detail() {
        let (message, detail) = read(YAML, format!("\x1b{}", "x".repeat(10_000))).unwrap_err();
        assert_eq!(message, "its output is not one number");
        assert_eq!(detail, format!("its output: \"\\x1b{}\" ...", "x".repeat(59)));
    }

    #[test]
    fn it_has_no_fields() {
        let yaml = "{format: value, name: a, value: x}";
        assert_eq!(format(yaml).unwrap_err(), ["the output is one value, it has no fields"]);
    }
}
