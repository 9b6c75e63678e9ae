//! What the command line asks of `exec`, checked.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::time::Duration;

use crate::cli::Exec;
use crate::commands::arguments::{duration, labels, max_age, stem};
use crate::commands::misused;
use crate::config::yaml::Wrong;
use crate::exec::About;
use crate::exec::families::OWN_LABELS;
use crate::exec::turn::Lock;
use crate::exposition::Labels;

const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// A year and a day.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Each bucket is a series.
const MOST_BUCKETS: usize = 64;

/// The arguments.
pub struct Order<'a> {
    pub about: About,
    pub timeout: Option<Duration>,
    pub lock: Option<Lock>,
    /// Why the lock can't be had, once that has been said.
    pub unlocked: OnceCell<String>,
    pub quiet_success: bool,
    /// The program and its arguments.
    pub argv: &'a [OsString],
}

impl<'a> Order<'a> {
    /// Checks every argument; says what is wrong with each.
    pub fn read(arguments: &'a Exec) -> Option<Self> {
        let told = |what: &str, wrong: Wrong| misused(what, &wrong);
        let name = stem(&arguments.name).map_err(|wrong| told("NAME", wrong)).ok();
        let labels = own_labels(&arguments.labels).map_err(|wrong| told("--label", wrong)).ok();
        let max_age = arguments.max_age.as_deref().map(max_age).transpose();
        let max_age = max_age.map_err(|wrong| told("--max-age", wrong)).ok();
        let timeout = arguments.timeout.as_deref().map(|text| duration(text, SHORTEST_TIMEOUT, LONGEST));
        let timeout = timeout.transpose().map_err(|wrong| told("--timeout", wrong)).ok();
        let every = arguments.expect_every.as_deref().map(|text| duration(text, SHORTEST_INTERVAL, LONGEST));
        let every = every.transpose().map_err(|wrong| told("--expect-every", wrong)).ok();
        let bounds = arguments.buckets.as_deref().map(buckets).transpose();
        let bounds = bounds.map_err(|wrong| told("--buckets", wrong)).ok();
        Some(Self {
            about: About {
                name: name?,
                labels: labels?,
                max_age: max_age?,
                expect_every: every?,
                buckets: bounds?.unwrap_or_default(),
            },
            timeout: timeout?,
            lock: arguments.lock,
            unlocked: OnceCell::new(),
            quiet_success: arguments.quiet_success,
            argv: &arguments.command,
        })
    }
}

fn own_labels(texts: &[String]) -> Result<Labels, Wrong> {
    let labels = labels(texts)?;
    match labels.iter().find(|(name, _)| OWN_LABELS.contains(&name.as_str())) {
        Some((name, _)) => {
            Err(Wrong::new(format!("`{name}` is a label of promdrop's own series"), "choose another name"))
        }
        None => Ok(labels),
    }
}

fn buckets(text: &str) -> Result<Vec<Duration>, Wrong> {
    let bounds: Vec<Duration> = text
        .split(',')
        .map(|bound| duration(bound.trim(), SHORTEST_TIMEOUT, LONGEST))
        .collect::<Result<_, _>>()?;
    if bounds.len() > MOST_BUCKETS {
        return Err(Wrong::new(format!("there are more than {MOST_BUCKETS} bounds"), "keep the useful ones"));
    }
    if !bounds.is_sorted_by(|one, two| one < two) {
        return Err(Wrong::new("the bounds don't rise", "write them in rising order, each once: 1s,10s,1m"));
    }
    Ok(bounds)
}
