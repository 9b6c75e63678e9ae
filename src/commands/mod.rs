//! One file a subcommand; the only place that prints.

pub mod check;
