//! promdrop runs a host's custom checks and drops their results, proven harmless, as `.prom` files where
//! node_exporter's textfile collector picks them up.
//!
//! The way of a number, and the folders it passes:
//!
//! ```text
//! collectors.d/*.yaml -> config -> schedule -> collect -> exposition -> textfile -> node_exporter
//! stdin of `promdrop write`, `push`; a job of `exec` -------^
//! ```
//!
//! Who may use whom, from the bottom up; nothing uses what stands below it in this list:
//!
//! - [`diagnostic`]: a problem at a spot of a text, and how it is shown.
//! - [`fnv`]: a hash that outlives a process.
//! - [`exposition`]: families, text to families, families to text, the rules. Pure.
//! - [`exporter`]: a live node_exporter, asked what it serves.
//! - [`textfile`]: the directory: headers, locks, atomic publishing. The one door.
//! - [`verify`]: what a live node_exporter serves beside what the directory holds.
//! - [`config`]: collector files: YAML, checked types, who may write them. Knows no module.
//! - [`schedule`]: slots and what is due. Pure.
//! - [`collect`]: the modules (netstat, ping, command, file), their table, and the runner around each.
//! - [`push`]: groups as a Pushgateway has them. Pure, but for the host's own names.
//! - [`exec`]: a job of `promdrop exec`: how it is started and waited for, and what its file tells of it.
//! - [`migrate`]: a crontab to collectors and jobs of promdrop's. Pure.
//! - [`doctor`]: what is broken on a host, from the definitions to a scrape.
//! - [`cli`] and [`commands`]: arguments, and one file a subcommand; the only place that prints.

pub mod cli;
pub mod collect;
pub mod commands;
pub mod config;
pub mod diagnostic;
pub mod doctor;
pub mod exec;
pub mod exporter;
pub mod exposition;
pub mod fnv;
pub mod migrate;
pub mod push;
pub mod schedule;
pub mod textfile;
pub mod verify;
