//! What strace says of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The system calls of a run and all that it started: by name, the arguments of each.
#[derive(Debug)]
pub struct Trace(BTreeMap<String, Vec<String>>);

impl Trace {
    /// Reads what `strace --follow-forks --output=FILE` wrote.
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let mut calls = BTreeMap::<String, Vec<String>>::new();
        for line in text.lines() {
            let (_pid, event) = line.split_once(' ').unwrap_or_else(|| panic!("no process in {line:?}"));
            let event = event.trim_start();
            // Signals, ends of processes, and the second half of a call that was told of already.
            if event.starts_with(['-', '+']) || event.starts_with("<... ") {
                continue;
            }
            let (name, arguments) = event.split_once('(').unwrap_or_else(|| panic!("no call in {line:?}"));
            calls.entry(name.to_owned()).or_default().push(arguments.to_owned());
        }
        Self(calls)
    }

    /// The names of all.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The arguments of every call of one of these names.
    pub fn calls<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        names.iter().filter_map(|name| self.0.get(*name)).flatten().map(String::as_str)
    }
}
