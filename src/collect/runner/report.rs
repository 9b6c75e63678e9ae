//! How a run ended, in words.

use crate::collect::{Failure, Outcome};
use crate::config::fields::Stem;
use crate::textfile::{self, Class};

/// How a collector's run ended, for those who started it.
#[derive(Debug)]
pub struct Report {
    /// The collector's name.
    pub collector: String,
    /// Its result.
    pub outcome: Outcome,
    /// Why it failed, in promdrop's words; empty on success.
    pub message: String,
    /// More on it, for the operator's eyes only.
    pub detail: String,
    /// What it wrote to stderr, bounded.
    pub stderr: String,
    /// Things worth saying whatever the result.
    pub notes: Vec<String>,
    /// Whether this is news: the result has changed since the last run, or an hour has begun since.
    pub news: bool,
    /// promdrop was told to end while it ran.
    pub stopped: bool,
}

impl Report {
    pub(super) fn success(stem: &Stem) -> Self {
        Self {
            collector: stem.to_string(),
            outcome: Outcome::Success,
            message: String::new(),
            detail: String::new(),
            stderr: String::new(),
            notes: Vec::new(),
            news: true,
            stopped: false,
        }
    }

    pub(super) fn failed(stem: &Stem, failure: Failure) -> Self {
        Self {
            outcome: failure.outcome,
            message: failure.message,
            detail: failure.detail,
            stopped: failure.stopped,
            ..Self::success(stem)
        }
    }

    /// That a fault in promdrop has ended the run of `stem`.
    pub fn fault(stem: &Stem) -> Self {
        Self::failed(stem, Failure::fault())
    }

    pub(super) fn skipped(stem: &Stem) -> Self {
        let failure = Failure::new(Outcome::Skipped, "it still runs, started by another promdrop");
        // Every tick of a long run finds it so: that the other promdrop will report on it is enough.
        Self { news: false, ..Self::failed(stem, failure) }
    }
}

/// What the directory refused, as a failure: the message is one line of promdrop's own words, the detail all of it.
pub fn refusal(error: &textfile::Error) -> Failure {
    let outcome = match error.class {
        Class::Invalid => Outcome::Invalid,
        Class::Refused | Class::Conflict => Outcome::Conflict,
        Class::Lock => Outcome::Lock,
        Class::Limit => Outcome::Limit,
        Class::Io => Outcome::Internal,
    };
    let message = match (error.class, error.problems.as_slice()) {
        // The problems quote what was collected.
        (Class::Invalid, [_]) => "its families break a rule of the text format".to_owned(),
        (Class::Invalid, problems) => {
            format!("its families break rules of the text format in {} places", problems.len())
        }
        // The names of the families come from what was collected.
        (Class::Conflict, problems) => {
            let places = if problems.len() == 1 { "place" } else { "places" };
            format!("its families contradict other files of the directory in {} {places}", problems.len())
        }
        (_, [problem, ..]) => problem.message.clone(),
        (_, []) => String::new(),
    };
    Failure { detail: error.to_string(), ..Failure::new(outcome, message) }
}
