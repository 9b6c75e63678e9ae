//! The keys that every collector file has, whatever its module, with their defaults and bounds.

use std::time::Duration;

use humantime::format_duration;

use super::fields::{misfit, read_group, read_labels, read_user};
use super::yaml::{Field, Section, Wrong, read_integer};
use super::{Header, OnFailure};
use crate::exposition::Labels;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// In intervals.
const DEFAULT_MAX_AGE: u32 = 5;

/// Shorter, a run would be little but the start of a process.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Long enough for a weekly check; short enough to refuse `1M`, a month, where `1m`, a minute, is meant.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Shorter, a busy host fails it for nothing.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
/// The default for the longest interval.
pub const LONGEST_MAX_AGE: Duration = Duration::from_secs(5 * 7 * 24 * 60 * 60);

/// More than a file has room for.
const MOST_SERIES: i128 = 1_000_000;

impl Header {
    /// What a file says that has no other key than `module`.
    pub fn new(module: &str) -> Self {
        Self {
            module: module.to_owned(),
            interval: DEFAULT_INTERVAL,
            timeout: DEFAULT_TIMEOUT,
            max_age: DEFAULT_INTERVAL * DEFAULT_MAX_AGE,
            on_failure: OnFailure::default(),
            splay: false,
            enabled: true,
            user: None,
            max_series: None,
            group: None,
            labels: Labels::new(),
        }
    }
}

/// Reads the header keys of a collector file.
///
/// `None` only where the module can't be told. Any other wrong value is reported and stands replaced by a harmless
/// one, so that the module's section is checked in the same pass and all problems of a file come at once.
pub fn read(top: &mut Section<'_>) -> Option<Header> {
    let module = module(top);

    let cure = "an interval is 1s to 7days; `m` is a minute, `M` a month";
    let stated = duration(top, "interval", DEFAULT_INTERVAL, SHORTEST_INTERVAL, LONGEST_INTERVAL, cure);
    let interval = stated.unwrap_or(DEFAULT_INTERVAL);

    // Longer, a run would eat the next slot; Prometheus refuses such a scrape_timeout too.
    let most = stated.unwrap_or(LONGEST_INTERVAL);
    let cure = format!("a timeout is 100ms up to the interval, here {}", format_duration(interval));
    let timeout = duration(top, "timeout", DEFAULT_TIMEOUT.min(interval), SHORTEST_TIMEOUT, most, &cure);

    // Shorter, the numbers would be gone before the next run.
    let least = stated.unwrap_or(SHORTEST_INTERVAL);
    let cure = format!("a max_age is the interval, here {}, up to 35days", format_duration(interval));
    let default = interval.saturating_mul(DEFAULT_MAX_AGE);
    let max_age = duration(top, "max_age", default, least, LONGEST_MAX_AGE, &cure);

    let on_failure = top.optional("on_failure").unwrap_or_default();
    let splay = top.optional("splay").unwrap_or(false);
    let enabled = top.optional("enabled").unwrap_or(true);
    let user = top.node("user").and_then(|node| read_user(node, top.problems()));
    let max_series = top.node("max_series").and_then(|node| {
        read_integer(node, top.problems(), 1, MOST_SERIES).and_then(|most| usize::try_from(most).ok())
    });
    let group = top.node("group").and_then(|node| read_group(node, top.problems()));
    let labels = top.node("labels").and_then(|node| read_labels(node, top.problems())).unwrap_or_default();

    Some(Header {
        module: module?,
        interval,
        // In place of a wrong timeout the longest, so that no module finds it too short.
        timeout: timeout.unwrap_or(interval),
        max_age: max_age.unwrap_or(default),
        on_failure,
        splay,
        enabled,
        user,
        max_series,
        group,
        labels,
    })
}

fn module(top: &mut Section<'_>) -> Option<String> {
    let module = match top.node("module") {
        Some(node) => String::read(node, top.problems()),
        None => {
            top.report("module", Wrong::new("the file has no `module`", "add a line `module: NAME`"));
            None
        }
    };
    if module.is_none() {
        top.skip_maps();
    }
    module
}

/// The value of `key` between `low` and `high`, or `default` where the key is missing; `None` if it is wrong.
fn duration(
    top: &mut Section<'_>,
    key: &'static str,
    default: Duration,
    low: Duration,
    high: Duration,
    cure: &str,
) -> Option<Duration> {
    let Some(node) = top.node(key) else { return Some(default) };
    let value = Duration::read(node, top.problems())?;
    let Some(fault) = misfit(value, low, high) else { return Some(value) };
    let message = format!("`{key}` of {} is too {fault}", format_duration(value));
    top.report(key, Wrong::new(message, cure));
    None
}

#[cfg(test)]
mod tests {
    use super::super::yaml::decode;
    use super::super::{Header, OnFailure};
    use super::*;

    fn header(text: &str) -> Result<Header, Vec<(usize, String)>> {
        decode(text, |root, problems| {
            let mut top = Section::open("file", root, problems)?;
            let header = read(&mut top);
            top.finish();
            header
        })
        .map_err(|found| found.into_iter().map(|p| (p.line, p.message)).collect())
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let header = header("module: netstat\n").unwrap();
        let minute = Duration::from_secs(60);
        let expected = Header {
            module: "netstat".into(),
            interval: minute,
            timeout: Duration::from_secs(10),
            max_age: 5 * minute,
            on_failure: OnFailure::Drop,
            splay: false,
            enabled: true,
            user: None,
            max_series: None,
            group: None,
            labels: Vec::new(),
        };
        assert_eq!(header, expected);
        assert_eq!(Header::new("netstat"), expected);
    }

    #[test]
    fn defaults_follow_the_interval() {
        let header = header("module: netstat\ninterval: 4s\n").unwrap();
        assert_eq!(header.timeout, Duration::from_secs(4));
        assert_eq!(header.max_age, Duration::from_secs(20));
    }

    #[test]
    fn every_key_is_read() {
        let text = "module: command\ninterval: 1h 30m\ntimeout: 1h\nmax_age: 2h\non_failure: keep\nsplay: true\n\
                    enabled: false\nuser: postfix\ngroup: adm\nmax_series: 100\n\
                    labels: {team: mail, site: ams}\n";
        let expected = Header {
            module: "command".into(),
            interval: Duration::from_secs(5400),
            timeout: Duration::from_secs(3600),
            max_age: Duration::from_secs(7200),
            on_failure: OnFailure::Keep,
            splay: true,
            enabled: false,
            user: Some("postfix".into()),
            max_series: Some(100),
            group: Some("adm".into()),
            labels: vec![("team".into(), "mail".into()), ("site".into(), "ams".into())],
        };
        assert_eq!(header(text), Ok(expected));
    }

    #[test]
    fn bounds_hold_at_their_edges() {
        for good in [
            "interval: 1s",
            "interval: 7d",
            "timeout: 100ms",
            "timeout: 1m",
            "max_age: 1m",
            "max_age: 35d",
            "interval: 1s\ntimeout: 1s\nmax_age: 1s",
        ] {
            assert!(header(&format!("module: m\n{good}\n")).is_ok(), "{good}");
        }
        for bad in [
            "interval: 999ms",
            "interval: 0s",
            "interval: 7d 1s",
            "timeout: 99ms",
            "timeout: 61s",
            "max_age: 59s",
            "max_age: 35d 1s",
        ] {
            let found = header(&format!("module: m\n{bad}\n")).unwrap_err();
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
        }
    }

    #[test]
    fn a_wrong_interval_makes_nothing_else_wrong() {
        let found = header("module: m\ninterval: soon\ntimeout: 2m\nmax_age: 30s\n").unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, 2);
    }

    #[test]
    fn without_a_module_its_section_is_not_called_unknown() {
        let found = header("modul: ping\nping:\n  targets: [a]\nwhat: 1\n").unwrap_err();
        let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
        assert_eq!(
            messages,
            ["the file has no `module`", "unknown key `modul` in `file`", "unknown key `what` in `file`"]
        );
    }
}
