//! Whole numbers that a collector carries from run to run, kept in the header of its own file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use super::header::whole_number;
use crate::fnv;

/// The version of the state line. A state of another version can't be read: its counters start again.
const VERSION: &str = "1";

/// Named counters, apart from the exposed samples, so that they outlive a failed run. A name has one number, or
/// several that belong together.
///
/// Keys are printable ASCII with no blank and no `=`, and don't begin with `/`; [`State::key`] makes one from any
/// texts. Other keys are not carried over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<String, Vec<u64>>);

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
        match self.numbers(key) {
            Some([number]) => *number,
            _ => 0,
        }
    }

    /// Sets the number at `key`.
    pub fn set(&mut self, key: impl Into<String>, value: u64) {
        self.set_numbers(key, vec![value]);
    }

    /// Adds `n` to the number at `key` and returns the sum, which stays at its largest value rather than wrap.
    pub fn add(&mut self, key: impl Into<String>, n: u64) -> u64 {
        let key = key.into();
        let value = self.get(&key).saturating_add(n);
        self.set(key, value);
        value
    }

    /// The numbers at `key`.
    pub fn numbers(&self, key: &str) -> Option<&[u64]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// Sets the numbers at `key`, at least one.
    pub fn set_numbers(&mut self, key: impl Into<String>, numbers: Vec<u64>) {
        self.0.insert(key.into(), numbers);
    }

    /// Puts all of `other` under `prefix`.
    pub fn put(&mut self, prefix: &str, other: &State) {
        for (key, numbers) in other.iter() {
            self.set_numbers(format!("{prefix}/{key}"), numbers.to_vec());
        }
    }

    /// What was put under `prefix`.
    pub fn part(&self, prefix: &str) -> State {
        let own = |key: &str| key.strip_prefix(prefix)?.strip_prefix('/').map(str::to_owned);
        State(self.under(prefix).filter_map(|(key, numbers)| Some((own(key)?, numbers.to_vec()))).collect())
    }

    /// Of all keys those under `prefix`, in full, with their numbers.
    pub fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &[u64])> {
        let prefix = format!("{prefix}/");
        let from = self.0.range(prefix.clone()..);
        from.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(k, n)| (k.as_str(), n.as_slice()))
    }

    /// All of it, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.0.iter().map(|(k, n)| (k.as_str(), n.as_slice()))
    }

    /// Whether there is nothing to carry over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The state as one line, without the line's end: `1 CHECKSUM a/b/key=123 /key=456,7`. A key that begins with `/`
    /// stands for its last part, after all other parts of the key before it: thousands of targets are long enough.
    pub(crate) fn render(&self) -> String {
        let mut words = String::new();
        let mut above = None;
        for (key, numbers) in self.iter().filter(|(key, numbers)| is_key(key) && !numbers.is_empty()) {
            words.push(' ');
            match key.rsplit_once('/') {
                Some((parts, last)) if above == Some(parts) => {
                    words.push('/');
                    words.push_str(last);
                }
                _ => words.push_str(key),
            }
            above = parts_above(key);
            for (i, number) in numbers.iter().enumerate() {
                // Writing to a String can't fail.
                let _ = write!(words, "{}{number}", if i == 0 { '=' } else { ',' });
            }
        }
        format!("{VERSION} {}{words}", checksum(&words))
    }

    /// Reads what [`State::render`] wrote; `None` on any doubt.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(VERSION)?.strip_prefix(' ')?;
        let (sum, words) = rest.split_at_checked(CHECKSUM)?;
        // A damaged digit would be a lower number, or a higher one, which nobody would take for a new start.
        if sum != checksum(words) {
            return None;
        }
        let mut state = Self::default();
        if words.is_empty() {
            return Some(state);
        }
        let mut above: Option<String> = None;
        for word in words.strip_prefix(' ')?.split(' ') {
            let (key, numbers) = word.split_once('=')?;
            let key = match key.strip_prefix('/') {
                Some(last) => format!("{}/{last}", above.as_deref()?),
                None => key.to_owned(),
            };
            if !is_key(&key) {
                return None;
            }
            above = parts_above(&key).map(str::to_owned);
            let Entry::Vacant(entry) = state.0.entry(key) else { return None };
            entry.insert(numbers.split(',').map(whole_number).collect::<Option<_>>()?);
        }
        Some(state)
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with('/')
        && key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
}

/// All parts of `key` but the last.
fn parts_above(key: &str) -> Option<&str> {
    key.rsplit_once('/').map(|(parts, _)| parts)
}

/// Length of a checksum in digits.
const CHECKSUM: usize = 16;

fn checksum(words: &str) -> String {
    format!("{:016x}", fnv::hash(words.bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_checksum(words: &str) -> String {
        format!("1 {}{words}", checksum(words))
    }

    #[test]
    fn what_is_in_doubt_is_no_state() {
        let good = with_checksum(" a=1");
        assert!(State::parse(&good).is_some());
        for bad in ["", "1", "1 ", "1 a=1", "a=1", &good[2..], &good[..good.len() - 1]] {
            assert_eq!(State::parse(bad), None, "{bad:?}");
        }
        assert_eq!(State::parse(&good.replacen('1', "2", 1)), None, "another version");
        for bad in [
            "a=1",
            "  a=1",
            " a=1 ",
            " ",
            " a",
            " =1",
            " a=",
            " a=-1",
            " a=+1",
            " a=1.5",
            " a=1,",
            " a=,1",
            " a=1 a=1",
            " a=18446744073709551616",
            " a=b=1",
            " \u{e9}=1",
            " a\u{7f}=1",
            " /a=1",
            " a=1 /b=1",
            " x/a=1 /a=1",
        ] {
            assert_eq!(State::parse(&with_checksum(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn nothing_is_a_state_too() {
        let empty = State::default();
        assert_eq!(empty.render(), with_checksum(""));
        assert_eq!(State::parse(&empty.render()), Some(empty));
    }

    #[test]
    fn what_would_break_the_line_is_left_out() {
        let mut state = State::default();
        for key in ["good", "", "/a", "a b", "a=b", "a\nb 1", "\u{e9}"] {
            state.set(key, 3);
        }
        state.set_numbers("none", Vec::new());
        assert_eq!(state.render(), with_checksum(" good=3"));
    }

    #[test]
    fn parts_that_a_key_shares_with_the_one_before_are_written_once() {
        let mut state = State::default();
        for key in ["a/b/", "a/b/x", "a/b/y", "a/b/y/z", "a/b/z", "a/c", "b", "c"] {
            state.set(key, 1);
        }
        state.set_numbers("a/d", vec![1, 0, u64::MAX]);
        let words = " a/b/=1 /x=1 /y=1 a/b/y/z=1 a/b/z=1 a/c=1 /d=1,0,18446744073709551615 b=1 c=1";
        assert_eq!(state.render(), with_checksum(words));
        assert_eq!(State::parse(&state.render()), Some(state));
    }

    #[test]
    fn under_a_prefix_is_what_was_put_there() {
        let mut state = State::default();
        for key in ["a", "a-b/c", "a.b/c", "a/c", "a/d/e", "a0/c", "b/a/c"] {
            state.set(key, 1);
        }
        assert_eq!(state.part("a").iter().map(|(key, _)| key).collect::<Vec<_>>(), ["c", "d/e"]);
    }

    #[test]
    fn several_numbers_are_no_counter() {
        let mut state = State::default();
        state.set_numbers("a", vec![3, 4]);
        assert_eq!(state.get("a"), 0);
        assert_eq!((state.add("b", u64::MAX), state.add("b", 1)), (u64::MAX, u64::MAX));
    }

    fn states() -> impl Strategy<Value = State> {
        let numbers = proptest::collection::vec(any::<u64>(), 1..4);
        let parts = proptest::collection::vec(prop_oneof![any::<String>(), "[ab]{0,2}"], 0..3);
        proptest::collection::btree_map(parts, numbers, 0..8).prop_map(|map| {
            let mut state = State::default();
            for (parts, numbers) in map {
                let parts: Vec<&str> = ["x"].into_iter().chain(parts.iter().map(String::as_str)).collect();
                state.set_numbers(State::key(&parts), numbers);
            }
            state
        })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was_written(state in states()) {
            prop_assert_eq!(State::parse(&state.render()), Some(state));
        }

        /// A lower number would be a reset that nobody meant, a higher one a leap.
        #[test]
        fn one_edit_leaves_the_same_state_or_none(
            state in states(), at in any::<proptest::sample::Index>(),
            byte in prop_oneof![any::<u8>(), proptest::sample::select(b"0123456789abcdef/=, ".to_vec())],
        ) {
            let line = state.render().into_bytes();
            let at = at.index(line.len());
            let edits: [(usize, &[u8]); 4] = [(1, &[byte]), (1, &[]), (0, &[byte]), (line.len() - at, &[])];
            for (length, new) in edits {
                let mut edited = line.clone();
                edited.splice(at..at + length, new.iter().copied());
                let read = std::str::from_utf8(&edited).ok().and_then(State::parse);
                prop_assert!(read.is_none() || read.as_ref() == Some(&state), "{:?}", edited);
            }
        }

        #[test]
        fn any_words_are_read_without_panic(words in "( ?[ab/=,0-9%é]{0,6}){0,5}") {
            if let Some(state) = State::parse(&with_checksum(&words)) {
                prop_assert_eq!(State::parse(&state.render()), Some(state));
            }
        }
    }
}
