//! What starts promdrop, a timer or cron, and whether it does.

use std::time::Duration;

use super::check::{AS_ROOT, Check};
use super::cron::Start;
use super::exporters::any_called;
use super::units::{SERVICE, TIMER, Unit};
use super::{Host, Loading};
use crate::schedule::millis;
use crate::textfile::{Own, RUN_FILE};

const CHECK: &str = "timer";
const LAST_RUN: &str = "last-run";

/// What a cron daemon's process is called.
const DAEMONS: [&str; 4] = ["cron", "crond", "fcron", "bcron-sched"];

/// How much later than two of the shortest intervals a run may be: cron's minute, and a run that takes its time.
const GRACE: Duration = Duration::from_secs(90);

/// What may start promdrop.
pub struct Starters<'a> {
    /// Where to look.
    pub host: &'a Host<'a>,
    /// The timer and its service; `None` where systemd can't be asked.
    pub units: Option<(&'a Unit, &'a Unit)>,
    /// Whether systemd runs this host.
    pub has_systemd: bool,
    /// The lines of crontabs.
    pub lines: &'a [Start],
}

impl Starters<'_> {
    /// Whether one of them starts promdrop, and only one.
    pub fn check(&self) -> Check {
        let active: Vec<&Start> =
            self.lines.iter().filter(|line| !(self.has_systemd && line.is_guarded)).collect();
        let taken: Vec<&Start> = active.iter().copied().filter(|line| line.ignored.is_none()).collect();
        if let Some((timer, service)) = self.units.filter(|(timer, _)| timer.is_loaded()) {
            if timer.get("ActiveState") == "active" {
                return with_timer(timer, service, taken.first().copied());
            }
            if taken.is_empty() {
                return idle_timer(timer);
            }
        }
        match (taken.first(), active.first()) {
            (Some(line), _) => self.by_cron(line),
            (None, Some(Start { place, ignored: Some((why, cure)), .. })) => {
                Check::failure(CHECK, format!("cron passes over {place}: {why}"), cure)
            }
            _ if self.has_systemd && self.units.is_none() => {
                Check::skipped(CHECK, "systemd doesn't say what it knows of promdrop.timer", AS_ROOT)
            }
            _ => {
                let cure = if self.has_systemd {
                    format!("systemctl enable --now {TIMER}")
                } else {
                    "put the cron line of promdrop(8) into /etc/cron.d/promdrop".to_owned()
                };
                Check::failure(CHECK, "nothing starts promdrop run: no timer and no cron line", cure)
            }
        }
    }

    fn by_cron(&self, line: &Start) -> Check {
        let place = &line.place;
        if let Some(check) = self.host.elsewhere(CHECK, place, line.textfile_dir.clone()) {
            return check;
        }
        match any_called(&DAEMONS) {
            Some(daemon) => Check::ok(CHECK, format!("{daemon} runs {place}")),
            None => {
                let start =
                    if self.has_systemd { "systemctl enable --now cron" } else { "service cron start" };
                let message = format!("{place} starts promdrop, but no cron daemon runs");
                Check::failure(CHECK, message, format!("{start}; Debian's package is cron"))
            }
        }
    }
}

/// There is a timer at work.
fn with_timer(timer: &Unit, service: &Unit, line: Option<&Start>) -> Check {
    if service.get("ActiveState") == "failed" {
        let message = format!("{TIMER} is active, but {SERVICE} failed: {}", service.get("Result"));
        return Check::failure(CHECK, message, format!("see journalctl -u {SERVICE}"));
    }
    if let Some(line) = line {
        let message = format!("both {TIMER} and {} start promdrop", line.place);
        return Check::warning(
            CHECK,
            message,
            format!("remove that line, or systemctl disable --now {TIMER}"),
        );
    }
    if !matches!(timer.get("UnitFileState"), "enabled" | "enabled-runtime" | "static" | "generated") {
        let message = format!("{TIMER} is active, but not enabled: it doesn't come back at boot");
        return Check::warning(CHECK, message, format!("systemctl enable {TIMER}"));
    }
    let next = timer.get("NextElapseUSecRealtime");
    let next = if next.is_empty() { String::new() } else { format!(", next at {next}") };
    Check::ok(CHECK, format!("{TIMER} is enabled and active{next}"))
}

/// There is one that does nothing.
fn idle_timer(timer: &Unit) -> Check {
    let masked = timer.get("UnitFileState").starts_with("masked");
    let state = if masked { "masked" } else { timer.get("ActiveState") };
    let unmask = if masked { format!("systemctl unmask {TIMER}; ") } else { String::new() };
    let message = format!("{TIMER} is {state}, and no cron line starts promdrop run");
    Check::failure(CHECK, message, format!("{unmask}systemctl enable --now {TIMER}"))
}

/// Whether promdrop has run when it had to, by what its own file of the collectors directory `source` tells.
pub fn last_run(loaded: &Loading, source: &str, files: &[Own], now: u64) -> Check {
    let enabled = loaded.definitions.iter().filter(|definition| definition.header.enabled);
    let Some(shortest) = enabled.map(|definition| definition.header.interval).min() else {
        return Check::skipped(LAST_RUN, "there is no collector to run", "");
    };
    let told = files.iter().find(|own| own.file == RUN_FILE).map(|own| &own.header);
    let last = told.filter(|header| header.source == source).and_then(|header| header.last_success);
    let cure = "see why nothing starts it, the step before; by hand: promdrop run";
    let Some(last) = last else {
        return Check::failure(
            LAST_RUN,
            format!("promdrop has never run the collectors of {source} here"),
            cure,
        );
    };
    let ago = Duration::from_secs(now.saturating_sub(last) / 1_000);
    let shown = humantime::format_duration(ago);
    if now.saturating_sub(last) > millis(shortest.saturating_mul(2).saturating_add(GRACE)) {
        let every = humantime::format_duration(shortest);
        let message = format!("promdrop last ran {shown} ago, and a collector is due every {every}");
        return Check::failure(LAST_RUN, message, cure);
    }
    Check::ok(LAST_RUN, format!("{shown} ago"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check::Verdict;
    use super::*;
    use crate::doctor::units::testing::unit;

    fn line(guarded: bool) -> Start {
        Start { place: "/etc/cron.d/x:1".to_owned(), is_guarded: guarded, textfile_dir: None, ignored: None }
    }

    fn verdict(timer: &str, service: &str, lines: &[Start]) -> (Verdict, String) {
        let (timer, service) = (unit(timer), unit(service));
        let units = Some((&timer, &service));
        let host = Host {
            textfile_dir: Path::new("/d"),
            default_dir: Path::new("/d"),
            collectors_dir: Path::new("/c"),
            source: "/c",
            node_exporter: "",
            is_default: false,
        };
        let check = Starters { host: &host, units, has_systemd: true, lines }.check();
        (check.verdict, check.cure)
    }

    #[test]
    fn a_timer_is_right_when_it_is_enabled_active_and_alone() {
        let good = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n";
        assert_eq!(verdict(good, "", &[line(true)]).0, Verdict::Ok);
        for (timer, service, lines, expected, cure) in [
            (good, "", &[line(false)][..], Verdict::Warning, "remove that line"),
            (
                good,
                "ActiveState=failed\nResult=signal\n",
                &[],
                Verdict::Failure,
                "journalctl -u promdrop.service",
            ),
            (
                "LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n",
                "",
                &[],
                Verdict::Warning,
                "systemctl enable promdrop.timer",
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n",
                "",
                &[line(true)],
                Verdict::Failure,
                "systemctl enable --now promdrop.timer",
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nUnitFileState=masked\n",
                "",
                &[],
                Verdict::Failure,
                "systemctl unmask promdrop.timer; systemctl enable",
            ),
            ("LoadState=not-found\n", "", &[], Verdict::Failure, "systemctl enable --now promdrop.timer"),
        ] {
            let (verdict, said) = verdict(timer, service, lines);
            assert!(verdict == expected && said.contains(cure), "{timer}{service}: {verdict:?} {said}");
        }
    }
}
