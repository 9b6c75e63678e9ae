//! What the command line asks of `run`, checked.

use std::time::Duration;

use humantime::format_duration;

use crate::cli;
use crate::commands::misused;
use crate::config::fields::{misfit, parse_duration};
use crate::config::yaml::Wrong;
use crate::schedule::Ticks;

/// Shorter, nothing would be due more often: no interval is.
const SHORTEST: Duration = Duration::from_secs(1);
/// What is to go on for longer wants a timer, which starts a new promdrop.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The arguments of `run`.
#[derive(Debug)]
pub struct Order<'a> {
    /// The collectors to run; none: all that are due.
    pub names: &'a [String],
    /// How many at the same time.
    pub jobs: usize,
    /// The node_exporter that is to serve what was published.
    pub verify: Option<&'a str>,
    /// How often to look for what is due, and for how long.
    repeat: Option<(Duration, Duration)>,
}

impl<'a> Order<'a> {
    /// Checks every argument; says what is wrong with each.
    pub fn read(arguments: &'a cli::Run) -> Option<Self> {
        let told = |what: &str, text: &str, low: Duration| {
            duration(text, low).map_err(|wrong| misused(what, &wrong)).ok()
        };
        let repeat = match (&arguments.every, &arguments.length) {
            (Some(every), Some(length)) => {
                let every = told("--every", every, SHORTEST);
                let length = told("--for", length, every.unwrap_or(SHORTEST));
                Some((every?, length?))
            }
            _ => None,
        };
        let verify = arguments.verify.as_deref();
        Some(Self { names: &arguments.names, jobs: usize::from(arguments.jobs), verify, repeat })
    }

    /// Whether `name` is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// When to look for what is due, where that is to be repeated; `start` is in ms since the epoch.
    pub fn ticks(&self, start: u64) -> Option<Ticks> {
        self.repeat.map(|(every, length)| Ticks::new(start, every, length))
    }
}

/// A duration from `low` to a day.
fn duration(text: &str, low: Duration) -> Result<Duration, Wrong> {
    let duration = parse_duration(text)?;
    let Some(fault) = misfit(duration, low, LONGEST) else { return Ok(duration) };
    let cure = format!("give {} to {}; `m` is a minute", format_duration(low), format_duration(LONGEST));
    Err(Wrong::new(format!("{text} is too {fault}"), cure))
}
