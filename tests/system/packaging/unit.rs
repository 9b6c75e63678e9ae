//! The section `[Service]` of a unit file, read as systemd.exec(5) says, so far as promdrop's needs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::shipped;
use crate::support::need;

/// A service and its drop-ins.
#[derive(Debug)]
pub struct Unit(Vec<(String, String)>);

impl Unit {
    /// promdrop.service as it is shipped.
    pub fn tight() -> Self {
        Self::read(&[shipped("systemd/promdrop.service")])
    }

    /// The same with the drop-in for commands.
    pub fn for_commands() -> Self {
        Self::read(&[shipped("systemd/promdrop.service"), shipped("systemd/commands.conf")])
    }

    /// The same with the drop-in for other network namespaces.
    pub fn for_netns() -> Self {
        Self::read(&[shipped("systemd/promdrop.service"), shipped("systemd/netns.conf")])
    }

    fn read(files: &[PathBuf]) -> Self {
        let mut settings = Vec::new();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            assert!(!text.contains("\\\n"), "{}: a line that goes on is not read here", file.display());
            let lines = text.lines().skip_while(|line| *line != "[Service]").skip(1);
            for line in lines.take_while(|line| !line.starts_with('[')) {
                if !line.is_empty() && !line.starts_with('#') {
                    let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no `=` in {line:?}"));
                    settings.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        Self(settings)
    }

    /// The same with one more line, as of a drop-in.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.0.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same without the last line that sets `key`.
    pub fn without(mut self, key: &str) -> Self {
        let at = self.0.iter().rposition(|(set, _)| set == key).expect("a line to take out");
        self.0.remove(at);
        self
    }

    /// Everything that is set.
    pub fn keys(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(key, _)| key.as_str()).collect()
    }

    /// The value of `key`; of several, the last one counts.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(set, _)| set == key).map(|(_, value)| value.as_str())
    }

    /// Whether `key` is set to yes.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some("yes")
    }

    /// The words of `key`, whose lines add up.
    pub fn words(&self, key: &str) -> BTreeSet<&str> {
        let lines = self.0.iter().filter(|(set, _)| set == key).map(|(_, value)| value.as_str());
        lines
            .inspect(|line| {
                assert!(!line.is_empty() && !line.starts_with('~'), "{key}={line}: not read here")
            })
            .flat_map(str::split_ascii_whitespace)
            .collect()
    }

    /// The system calls that are let through. The first line decides that what is not named is not; a line with `~`
    /// takes away what those before it let through.
    pub fn system_calls(&self) -> BTreeSet<String> {
        let mut calls = group("@default");
        let lines = self.0.iter().filter(|(key, _)| key == "SystemCallFilter").map(|(_, value)| value);
        for (number, line) in lines.enumerate() {
            let (is_taken, words) = match line.strip_prefix('~') {
                Some(words) => (true, words),
                None => (false, line.as_str()),
            };
            assert!(number > 0 || !is_taken, "a filter that begins with ~ lets everything else through");
            for word in words.split_ascii_whitespace() {
                let named = if word.starts_with('@') { group(word) } else { [word.to_owned()].into() };
                match is_taken {
                    true => calls.retain(|call| !named.contains(call)),
                    false => calls.extend(named),
                }
            }
        }
        calls
    }
}

/// What systemd knows as the group `name`, groups in it resolved.
fn group(name: &str) -> BTreeSet<String> {
    need("systemd-analyze");
    let output =
        Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", name]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // The name, then its members, indented; `#` begins an explanation.
    let members =
        text.lines().skip(1).map(str::trim).filter(|word| !word.is_empty() && !word.starts_with('#'));
    members
        .flat_map(|word| if word.starts_with('@') { group(word) } else { [word.to_owned()].into() })
        .collect()
}
