//! The program as its user sees it: arguments, files, messages, exit status. Needs nothing but a Linux host.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout, dead_code)]

mod config;
mod lint;
mod man;
mod migrate;
mod outputs;
mod push;
mod run;
mod schema;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod sweep;

mod textfile;
mod time;
mod union;
mod write;
