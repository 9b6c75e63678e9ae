//! promdrop against the real parts: kernel sockets in network namespaces, netstat, ping, node_exporter, Prometheus.
//! Needs root and what `tests/run` installs.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout, dead_code)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod command;
mod concurrent;
mod crontabs;
mod cumulative;
mod debian_scripts;
mod defaults;
mod differential;
mod end_to_end;
mod examples;
mod exec;
mod exposition;
mod faults;
mod file;
mod help;
mod hostile;
mod identity;
mod kill;
mod limits;
mod lint;
mod many;
mod netstat;
mod packaging;
mod ping;
mod push;
mod reserved;
mod rollout;
mod scale;
mod scene;
mod scripts;
mod secrets;
mod textfile;
mod trust;
