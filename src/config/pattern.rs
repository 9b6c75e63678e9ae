//! A regular expression in a definition: checked when it is read, compiled when it is first used, since most of what
//! is loaded is not due and compiling costs far more than checking.

use std::sync::OnceLock;

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

use super::yaml::{Node, Problems, Wrong, read_text};

/// A regular expression, in the syntax of the crate `regex`.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    groups: Vec<String>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Reads one that matches anywhere in a text.
    pub fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, Self::parse)
    }

    /// Reads one that matches nothing less than a whole text.
    pub fn read_whole(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| {
            // By itself first: `a)(b` is valid only with what is put around it.
            Self::parse(text).and_then(|_| Self::parse(&format!("^(?:{text})$")))
        })
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let hir = regex_syntax::parse(text).map_err(|error| wrong(&error))?;
        let mut groups = Vec::new();
        named_groups(&hir, &mut groups);
        Ok(Self { source: text.to_owned(), groups, compiled: OnceLock::new() })
    }

    /// Its named groups, in the order they stand.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// What it compiles to; `None` where that takes more memory than the crate allows (`\w{10000}`).
    pub fn compiled(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&self.source).ok()).as_ref()
    }
}

fn wrong(error: &regex_syntax::Error) -> Wrong {
    let (what, at) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(error.span().start.column)),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(error.span().start.column)),
        _ => (error.to_string(), None),
    };
    let place = at.map_or(String::new(), |column| format!(" at its character {column}"));
    Wrong::new(
        format!("not a regular expression: {what}{place}"),
        "see docs.rs/regex for the syntax; single quotes keep YAML from reading its backslashes",
    )
}

fn named_groups(hir: &Hir, found: &mut Vec<String>) {
    match hir.kind() {
        HirKind::Capture(capture) => {
            found.extend(capture.name.as_deref().map(str::to_owned));
            named_groups(&capture.sub, found);
        }
        HirKind::Repetition(repetition) => named_groups(&repetition.sub, found),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| named_groups(part, found));
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::decode;
    use super::*;

    fn read(text: &str, read: fn(&Node, &Problems) -> Option<Pattern>) -> Result<Pattern, String> {
        decode(&format!("'{text}'"), read).map_err(|found| found[0].message.clone())
    }

    #[test]
    fn groups_are_known_before_it_is_compiled() {
        let pattern = read(r"(?P<a>x(?<b>y)+)|(z)(?:(?P<c>w))?", Pattern::read).unwrap();
        assert_eq!(pattern.groups(), ["a", "b", "c"]);
        assert!(pattern.compiled().unwrap().is_match("-z-"));
    }

    #[test]
    fn the_whole_text_or_nothing() {
        let pattern = read("a|ab", Pattern::read_whole).unwrap();
        let matches = |text| pattern.compiled().unwrap().is_match(text);
        assert_eq!([matches("ab"), matches("a"), matches("abc"), matches("xa")], [true, true, false, false]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for read_as in [Pattern::read, Pattern::read_whole] {
            assert_eq!(
                read("ab(c", read_as).unwrap_err(),
                "not a regular expression: unclosed group at its character 3"
            );
            assert!(read("a)(b", read_as).is_err());
        }
    }

    #[test]
    fn one_that_is_too_large_is_none() {
        assert!(read(r"(\w{500}){500}", Pattern::read).unwrap().compiled().is_none());
    }
}
