//! Whole numbers that a collector carries from run to run, kept in the header of its own file.

use std::collections::BTreeMap;

/// Named counters, apart from the exposed samples, so that they outlive a failed run.
///
/// Keys hold no blank and no `=`; [`State::key`] makes one from any texts.
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

    /// All of it, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(k, v)| (k.as_str(), *v))
    }
}
