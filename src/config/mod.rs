//! Collector files: what stands in `collectors.d/*.yaml`, read and checked; and `/etc/default/promdrop`, which says where
//! things are.
//!
//! Nothing here knows a module: the header is read here, and a module's own section is handed to a function that
//! the caller passes in, so that each module owns the structure of its section.

pub mod defaults;
pub mod fields;
pub mod header;
pub mod load;
pub mod pattern;
pub mod trust;
pub mod yaml;

use std::time::Duration;

use crate::exposition::family::Labels;
use fields::Stem;

/// What to do with a collector's last good numbers when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Remove them at once (the default).
    #[default]
    Drop,
    /// Leave them until they are older than `max_age`.
    Keep,
}

/// The keys that every collector file has, whatever its module.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The module's name.
    pub module: String,
    /// How often it is due. Default 1 minute.
    pub interval: Duration,
    /// When a run of it is ended. Default: the smaller of 10 seconds and the interval.
    pub timeout: Duration,
    /// Numbers older than this are removed. Default: 5 intervals.
    pub max_age: Duration,
    /// What a failure does to the last good numbers.
    pub on_failure: OnFailure,
    /// Whether its slots are moved by an offset that differs from host to host. Default `false`.
    pub splay: bool,
    /// `false`: the definition is checked but never run. Default `true`.
    pub enabled: bool,
    /// Who it runs as; `None`: as promdrop itself.
    pub user: Option<String>,
    /// More series than this are refused; `None`: as its module says.
    pub max_series: Option<usize>,
    /// The primary group it runs as; `None`: that of its user.
    pub group: Option<String>,
    /// Labels that every one of its samples gets.
    pub labels: Labels,
}

/// One collector: its name, its header, and what its module made of its own section.
#[derive(Debug)]
pub struct Definition<M> {
    /// The file's stem: the collector's name.
    pub stem: Stem,
    /// The header keys.
    pub header: Header,
    /// The module, ready to run.
    pub module: M,
    /// When the file was last changed, in ms since the epoch.
    pub modified: Option<u64>,
}
