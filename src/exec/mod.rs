//! `promdrop exec`: a job that runs as it would without promdrop, and what its file tells of it.
//!
//! [`job`] starts the program and waits for it, no longer than its [`limit`], passing on the [`signals`] that
//! are sent to promdrop alone; [`ending`] has promdrop end as it did. Nothing of that looks at the textfile
//! directory: a thread does, by [`board`]. What is told is decided in [`record`] and [`families`], which are
//! pure: the numbers live in the header's state, and [`life`] says whether a run of which the header tells
//! still goes on. [`output`] is the file for the job's own metrics, [`spool`] what it wrote, held back,
//! [`turn`] the lock of `--lock`.

pub mod board;
pub mod ending;
pub mod families;
pub mod job;
pub mod life;
pub mod limit;
pub mod output;
pub mod record;
pub mod signals;
pub mod spool;
pub mod turn;

use std::time::Duration;

use crate::config::fields::Stem;
use crate::exposition::Labels;

/// What a job's file says of it beside how its runs ended.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// The job's name.
    pub name: Stem,
    /// What else is on every sample.
    pub labels: Labels,
    /// How old the last run may get; `None`: as old as it likes.
    pub max_age: Option<Duration>,
    /// How often it should succeed.
    pub expect_every: Option<Duration>,
    /// The upper bounds of the buckets of a histogram, rising; none where there is to be none.
    pub buckets: Vec<Duration>,
}
