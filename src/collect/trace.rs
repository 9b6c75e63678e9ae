//! What a run leaves for the eyes of whoever asks, whether it succeeded or not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Filled while a collector runs, so that a failure loses none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// As what a command was started.
    pub start: Option<Start>,
    /// What it wrote to stderr, bounded.
    pub stderr: String,
    /// Things worth saying, a line each ("ended 1 process that it left behind").
    pub notes: Vec<String>,
    /// What it wrote to stdout, as it came, bounded.
    pub output: Vec<u8>,
    /// How a command ended, in words.
    pub ended: Option<String>,
    /// What it used, where that is known.
    pub usage: Option<Usage>,
}

/// As what a command was started, in words; no secret in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The path of its program.
    pub program: String,
    /// Its arguments.
    pub argv: Vec<String>,
    /// Its user: name, ids and groups.
    pub user: String,
    /// Where.
    pub directory: String,
    /// The permissions that files it makes don't get.
    pub umask: u32,
    /// What else its definition sets: "nice 10", "memory at most 256 MiB".
    pub limits: Vec<String>,
    /// Its whole environment; a secret's value is `[secret]`.
    pub environment: Vec<(String, String)>,
}

/// What a command and all that it started used of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time, in user and kernel mode, of all processes together that somebody waited for.
    pub cpu: Duration,
    /// The peak resident memory of the largest process, in bytes.
    pub memory_peak: u64,
}
