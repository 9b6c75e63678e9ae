//! How far a reading may go: output is hostile until it is read.

use std::cell::Cell;

use super::Unreadable;
use crate::collect::{Failure, Outcome};

/// The bounds of one reading, and which of them it has met.
pub struct Bounds<'a> {
    series: Option<usize>,
    over: &'a dyn Fn() -> bool,
    met: Cell<Option<Outcome>>,
}

impl<'a> Bounds<'a> {
    /// No more than so many series, if any, and not on once `over` says so.
    pub fn new(series: Option<usize>, over: &'a dyn Fn() -> bool) -> Self {
        Self { series, over, met: Cell::new(None) }
    }

    /// None.
    pub fn none() -> Self {
        Self::new(None, &|| false)
    }

    /// Whether to go on with so many series.
    ///
    /// # Errors
    /// Where a bound is met.
    pub fn check(&self, series: usize) -> Result<(), Unreadable> {
        let (outcome, message) = if let Some(most) = self.series.filter(|most| series > *most) {
            (
                Outcome::Limit,
                format!("it has more than {most} series, its `max_series`: drop a label, or raise it"),
            )
        } else if (self.over)() {
            (Outcome::Timeout, "reading its output did not end within its `timeout`".to_owned())
        } else {
            return Ok(());
        };
        self.met.set(Some(outcome));
        Err(Unreadable { message, detail: String::new() })
    }

    /// What `unreadable`, which came of a reading within these, is for a run.
    pub fn failure(&self, unreadable: Unreadable) -> Failure {
        let outcome = self.met.get().unwrap_or(Outcome::Output);
        Failure { detail: unreadable.detail, ..Failure::new(outcome, unreadable.message) }
    }
}
