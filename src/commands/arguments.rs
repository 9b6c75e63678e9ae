//! What several subcommands are told in the same way: names, labels, ages.

use std::time::Duration;

use crate::config::fields::{Stem, misfit, parse_duration, parse_label};
use crate::config::header::LONGEST_MAX_AGE;
use crate::config::yaml::Wrong;
use crate::exposition::Labels;

/// Shorter, a file would be gone before anyone reads it.
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(1);

/// The name of a file without `.prom`.
///
/// # Errors
/// Where it can't be one.
pub fn stem(text: &str) -> Result<Stem, Wrong> {
    Stem::parse(text).map_err(|wrong| match text.strip_suffix(".prom").map(Stem::parse) {
        Some(Ok(stem)) => Wrong::new("the name is given without `.prom`", format!("write `{stem}`")),
        _ => wrong,
    })
}

/// Labels as `NAME=VALUE`.
///
/// # Errors
/// Where one can't be used, or is there twice.
pub fn labels(texts: &[String]) -> Result<Labels, Wrong> {
    let mut labels = Labels::new();
    for text in texts {
        let (name, value) = parse_label(text)?;
        if labels.iter().any(|(taken, _)| *taken == name) {
            return Err(Wrong::new(format!("the label `{name}` is given twice"), "give it once"));
        }
        labels.push((name.into(), value.into()));
    }
    Ok(labels)
}

/// An age at which numbers are removed.
///
/// # Errors
/// Where it is no duration, or out of range.
pub fn max_age(text: &str) -> Result<Duration, Wrong> {
    let age = parse_duration(text)?;
    let Some(fault) = misfit(age, SHORTEST_MAX_AGE, LONGEST_MAX_AGE) else { return Ok(age) };
    Err(Wrong::new(
        format!("an age of {text} is too {fault}"),
        "an age is 1s to 35days; `m` is a minute, `M` a month",
    ))
}

/// A duration from `low` to `high`.
///
/// # Errors
/// Where it is none, or out of range.
pub fn duration(text: &str, low: Duration, high: Duration) -> Result<Duration, Wrong> {
    let duration = parse_duration(text)?;
    let Some(fault) = misfit(duration, low, high) else { return Ok(duration) };
    let cure = format!(
        "give {} to {}; `m` is a minute, `M` a month",
        humantime::format_duration(low),
        humantime::format_duration(high)
    );
    Err(Wrong::new(format!("{text} is too {fault}"), cure))
}
