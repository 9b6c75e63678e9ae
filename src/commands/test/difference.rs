//! What a run would change of what is published. Pure.

use std::collections::HashMap;

use crate::exposition::{self, Family};

/// What differs between two sets of families.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// A line for each series that is new, gone, or has another value.
    pub lines: Vec<String>,
    /// How many are new, gone, of another value, and the same.
    pub counts: [usize; 4],
}

impl Difference {
    /// From what is published to what would be.
    pub fn between(before: &[Family], after: &[Family]) -> Self {
        let (before, after) = (text(before), text(after));
        let old: HashMap<&str, &str> = series(&before).collect();
        let mut difference = Self::default();
        let mut kept = std::collections::HashSet::new();
        for (name, value) in series(&after) {
            match old.get(name) {
                None => difference.add(0, format!("+ {name} {value}")),
                Some(was) if *was != value => difference.add(2, format!("~ {name} {was} -> {value}")),
                Some(_) => difference.counts[3] += 1,
            }
            kept.insert(name);
        }
        for (name, value) in series(&before).filter(|(name, _)| !kept.contains(name)) {
            difference.add(1, format!("- {name} {value}"));
        }
        difference
    }

    fn add(&mut self, kind: usize, line: String) {
        if let Some(count) = self.counts.get_mut(kind) {
            *count += 1;
        }
        self.lines.push(line);
    }
}

fn text(families: &[Family]) -> String {
    let mut text = String::new();
    exposition::render(families, &mut text);
    text
}

/// The series of a text that was rendered, and their values.
fn series(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families(text: &str) -> Vec<Family> {
        exposition::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn new_gone_changed_and_the_same() {
        let before = families("a{x=\"1 2\"} 1\na{x=\"3\"} 2\nb 3\nsame 4\n");
        let after = families("a{x=\"1 2\"} 1.5\na{x=\"4\"} 2\nsame 4\n");
        let difference = Difference::between(&before, &after);
        assert_eq!(
            difference.lines,
            ["~ a{x=\"1 2\"} 1 -> 1.5", "+ a{x=\"4\"} 2", "- a{x=\"3\"} 2", "- b 3"]
        );
        assert_eq!(difference.counts, [1, 2, 1, 1]);
    }
}
