//! `format: regex`: a sample for each match; named groups are its value and its labels.

use std::borrow::Cow;

use regex::Captures;

use super::mapping::too_large;
use super::metric;
use super::record::{Found, Record, Records, Take, line_place};
use super::{Reader, Unreadable, excerpt};
use crate::config::pattern::Pattern;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, nearest, quote};

#[derive(Debug)]
struct Regex {
    pattern: Pattern,
    over: Over,
    /// Whether every line has to match.
    strict: bool,
}

/// What the pattern is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Each line.
    Lines,
    /// The whole output.
    Text,
}

impl Field for Over {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let words = [("lines", Self::Lines), ("text", Self::Text)];
        metric::read_word(node, problems, "something to search in", &words)
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let node = section.required_node("pattern", "write `pattern: '(?P<value>[0-9.]+)'`");
    let pattern = node.and_then(|node| Pattern::read(node, section.problems()));
    let over = section.optional::<Over>("over").unwrap_or(Over::Lines);
    let strict = section.optional::<bool>("strict").unwrap_or(false);
    if strict && over == Over::Text {
        let wrong = Wrong::new("`strict` is about lines, of which `over: text` knows nothing", "remove it");
        section.report("strict", wrong);
    }
    let regex = pattern.map(|pattern| Box::new(Regex { pattern, over, strict }) as Box<dyn Records>);
    metric::read(section, regex)
}

impl Records for Regex {
    fn noun(&self) -> &'static str {
        "group"
    }

    fn check_field(&self, field: &str) -> Result<(), Wrong> {
        let groups: Vec<&str> = self.pattern.groups().iter().map(String::as_str).collect();
        if groups.contains(&field) {
            return Ok(());
        }
        let cure = match nearest(field, &groups) {
            Some(near) => format!("did you mean `{near}`?"),
            None if groups.is_empty() => "name a part of it: `(?P<value>...)`".to_owned(),
            None => format!("its groups: {}", groups.join(", ")),
        };
        Err(Wrong::new(format!("the pattern has no group {}", quote(field)), cure))
    }

    fn own_labels(&self) -> &[String] {
        self.pattern.groups()
    }

    fn each(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable> {
        let pattern = self.pattern.compiled().ok_or_else(|| too_large("pattern"))?;
        if self.over == Over::Text {
            let (mut line, mut counted) = (1, 0);
            for captures in pattern.captures_iter(output) {
                let start = captures.get(0).map_or(0, |all| all.start());
                line += output.get(counted..start).unwrap_or_default().matches('\n').count();
                counted = start;
                take(&Match { line, captures })?;
            }
            return Ok(());
        }
        for (at, text) in output.lines().enumerate() {
            match pattern.captures(text) {
                Some(captures) => take(&Match { line: at + 1, captures })?,
                None if self.strict && !text.trim().is_empty() => {
                    let message = format!("{} does not match the pattern", line_place(at + 1));
                    return Err(Unreadable {
                        message,
                        detail: format!("line {}: {}", at + 1, excerpt(text)),
                    });
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// One match, and the line it begins in.
struct Match<'t> {
    line: usize,
    captures: Captures<'t>,
}

impl Record for Match<'_> {
    fn place(&self) -> Cow<'static, str> {
        line_place(self.line)
    }

    fn quote(&self, _: &str) -> String {
        let matched = self.captures.get(0).map_or("", |all| all.as_str());
        format!("line {}: {}", self.line, excerpt(matched))
    }

    fn field(&self, name: &str) -> Found<'_> {
        Found::or_missing(self.captures.name(name).map(|group| group.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read};

    #[test]
    fn over_the_whole_text_a_match_may_be_many_lines() {
        let yaml =
            r"{format: regex, over: text, pattern: 'disk (?P<disk>\w+)\n +temp (?P<value>\d+)', name: a}";
        let output = "disk sda\n temp 40\n\ndisk sdb\n  temp 41\n";
        assert_eq!(read(yaml, output).unwrap(), "# TYPE a gauge\na{disk=\"sda\"} 40\na{disk=\"sdb\"} 41\n");
        let yaml =
            r"{format: regex, over: text, pattern: 'disk (?P<disk>\w+)\n +temp (?P<value>\w+)', name: a}";
        let output = "disk sda\n temp 40\n\ndisk sdb\n  temp hot\n";
        assert_eq!(message(yaml, output), "group `value` in line 4 of its output is not one number");
    }

    #[test]
    fn a_line_that_does_not_match_is_passed_over_or_told() {
        let yaml = r"{format: regex, pattern: '(?P<value>\d+)', name: a}";
        assert_eq!(read(yaml, "# n\n\n7\n").unwrap(), "# TYPE a gauge\na 7\n");
        let yaml = r"{format: regex, pattern: '(?P<value>\d+)', name: a, strict: true}";
        let (message, detail) = read(yaml, "\n7\nSECRET\n").unwrap_err();
        assert_eq!(message, "line 3 of its output does not match the pattern");
        assert_eq!(detail, "line 3: \"SECRET\"");
    }

    #[test]
    fn a_pattern_needs_a_group_for_its_value() {
        assert_eq!(
            format("{format: regex, pattern: 'a', name: a}").unwrap_err(),
            ["the pattern has no group `value`"]
        );
    }

    #[test]
    fn a_pattern_too_large_is_told_when_it_is_used() {
        let yaml = r"{format: regex, pattern: '(?P<value>(\w{500}){500})', name: a}";
        assert_eq!(message(yaml, "x"), "a pattern of `pattern` is too large: repeat less in it");
    }
}
