//! Whole numbers that a collector carries from run to run, kept in the header of its own file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use super::header::whole_number;

/// The version of the state line. A state of another version can't be read: its counters start again.
const VERSION: &str = "1";

/// Named counters, apart from the exposed samples, so that they outlive a failed run.
///
/// Keys are printable ASCII with no blank and no `=`; [`State::key`] makes one from any texts. Other keys are not
/// carried over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<String, u64>);

impl State {
    /// A key of `parts`, joined by `/`, each with its blanks, `=`, `/`, `%`, control and non-ASCII bytes as `%XX`.
    pub fn key(parts: &[&str]) -> String {
        let mut key = String::new();
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                key.push('/');
            }
            for byte in part.bytes() {
                if byte.is_ascii_graphic() && !matches!(byte, b'=' | b'/' | b'%') {
                    key.push(char::from(byte));
                } else {
                    key.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        key
    }

    /// The number at `key`; 0 where there is none.
    pub fn get(&self, key: &str) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// Sets the number at `key`.
    pub fn set(&mut self, key: impl Into<String>, value: u64) {
        self.0.insert(key.into(), value);
    }

    /// Adds `n` to the number at `key` and returns the sum, which stays at its largest value rather than wrap.
    pub fn add(&mut self, key: impl Into<String>, n: u64) -> u64 {
        let value = self.0.entry(key.into()).or_insert(0);
        *value = value.saturating_add(n);
        *value
    }

    /// Puts all of `other` under `prefix`.
    pub fn put(&mut self, prefix: &str, other: &State) {
        for (key, value) in other.iter() {
            self.set(format!("{prefix}/{key}"), value);
        }
    }

    /// What was put under `prefix`.
    pub fn part(&self, prefix: &str) -> State {
        let under = |key: &str| key.strip_prefix(prefix)?.strip_prefix('/').map(str::to_owned);
        State(self.0.iter().filter_map(|(key, value)| Some((under(key)?, *value))).collect())
    }

    /// All of it, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(k, v)| (k.as_str(), *v))
    }

    /// Whether there is nothing to carry over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The state as one line, without the line's end: `1 key=123 key=456`.
    pub(super) fn render(&self) -> String {
        let mut line = VERSION.to_owned();
        for (key, value) in self.iter().filter(|(key, _)| is_key(key)) {
            // Writing to a String can't fail.
            let _ = write!(line, " {key}={value}");
        }
        line
    }

    /// Reads what [`State::render`] wrote; `None` on any doubt.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let mut state = Self::default();
        for word in words {
            let (key, value) = word.split_once('=')?;
            let Entry::Vacant(entry) = state.0.entry(key.to_owned()) else { return None };
            if !is_key(key) {
                return None;
            }
            entry.insert(whole_number(value)?);
        }
        Some(state)
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_in_doubt_is_no_state() {
        for bad in [
            "",
            "2 a=1",
            "a=1",
            "1 a",
            "1 =1",
            "1 a=",
            "1 a=-1",
            "1 a=+1",
            "1 a=1.5",
            "1 a=1 a=1",
            "1  a=1",
            "1 a=1 ",
            "1 a=18446744073709551616",
            "1 a=b=1",
            "1 \u{e9}=1",
            "1 a\u{7f}=1",
        ] {
            assert_eq!(State::parse(bad), None, "{bad:?}");
        }
        assert_eq!(State::parse("1"), Some(State::default()));
    }

    #[test]
    fn a_key_that_would_break_the_line_is_left_out() {
        let mut state = State::default();
        for key in ["good", "", "a b", "a=b", "a\nb 1", "\u{e9}"] {
            state.set(key, 3);
        }
        assert_eq!(state.render(), "1 good=3");
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was_written(map: std::collections::BTreeMap<String, u64>) {
            let mut state = State::default();
            for (key, value) in map {
                state.set(State::key(&["x", &key]), value);
            }
            prop_assert_eq!(State::parse(&state.render()), Some(state));
        }
    }
}
