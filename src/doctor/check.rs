//! What one step of the way came to.

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not for ever, or not as it is meant.
    Warning,
    /// Numbers are lost, or will be.
    Failure,
    /// Nothing is known of it, and the message says why.
    Skipped,
}

impl Verdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failure => "failure",
            Verdict::Skipped => "skipped",
        }
    }
}

/// The cure where an ordinary user can't look.
pub const AS_ROOT: &str = "run promdrop doctor as root";

/// A step, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The step.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, without a full stop.
    pub message: String,
    /// What to do about it; empty where nothing is to be done.
    pub cure: String,
}

impl Check {
    /// All is well.
    pub fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, message: message.into(), cure: String::new() }
    }

    /// It should be mended.
    pub fn warning(check: &'static str, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, message: message.into(), cure: cure.into() }
    }

    /// It must be mended.
    pub fn failure(check: &'static str, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failure, message: message.into(), cure: cure.into() }
    }

    /// It was not looked at.
    pub fn skipped(check: &'static str, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, message: why.into(), cure: cure.into() }
    }
}
