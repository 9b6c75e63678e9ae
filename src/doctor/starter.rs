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
    /// What a running cron daemon is called.
    pub daemon: Option<String>,
    /// The lines of crontabs.
    pub lines: &'a [Start],
    /// Whether promdrop has run when it had to, whatever started it.
    pub has_run: bool,
}

/// What a running cron daemon is called.
pub fn daemon() -> Option<String> {
    any_called(&DAEMONS)
}

impl Starters<'_> {
    /// Whether one of them starts promdrop, and only one.
    pub fn check(&self) -> Check {
        let active: Vec<&Start> =
            self.lines.iter().filter(|line| !(self.has_systemd && line.is_guarded)).collect();
        let taken: Vec<&Start> = active.iter().copied().filter(|line| line.ignored.is_none()).collect();
        let is_there = |unit: &Unit| unit.is_loaded() || unit.is_masked() || unit.misloaded().is_some();
        if let Some((timer, service)) = self.units.filter(|(timer, _)| is_there(timer)) {
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
            _ => self.by_nothing_seen(),
        }
    }

    /// There is neither a timer nor a line.
    fn by_nothing_seen(&self) -> Check {
        if self.has_run && !self.has_systemd && self.daemon.is_none() {
            // A container, and in it a loop.
            return Check::ok(
                CHECK,
                "neither systemd nor cron runs here, and something else starts promdrop",
            );
        }
        let cure = if self.has_systemd {
            format!(
                "install {SERVICE} and {TIMER} (Debian's package brings them), then systemctl enable --now {TIMER}"
            )
        } else {
            "put the cron line of promdrop(8) into /etc/cron.d/promdrop".to_owned()
        };
        if self.has_run && self.has_systemd {
            let message =
                format!("neither {TIMER} nor a cron line starts promdrop, but something has, lately");
            return Check::warning(CHECK, message, format!("{cure}; unless another unit is meant to"));
        }
        Check::failure(CHECK, "nothing starts promdrop run: no timer and no cron line", cure)
    }

    fn by_cron(&self, line: &Start) -> Check {
        let place = &line.place;
        if let Some(check) = self.host.elsewhere(CHECK, place, line.textfile_dir.clone()) {
            return check;
        }
        let Some(daemon) = &self.daemon else {
            let start = if self.has_systemd { "systemctl enable --now cron" } else { "service cron start" };
            let message = format!("{place} starts promdrop, but no cron daemon runs");
            let cure = format!("{start}; Debian's package is cron");
            return match self.has_run {
                // One that is called otherwise, or a container's loop.
                true => Check::warning(CHECK, format!("{message}; something has started it, lately"), cure),
                false => Check::failure(CHECK, message, cure),
            };
        };
        Check::ok(CHECK, format!("{daemon} runs {place}"))
    }
}

/// There is a timer at work.
fn with_timer(timer: &Unit, service: &Unit, line: Option<&Start>) -> Check {
    if service.is_masked() || service.get("LoadState") == "not-found" {
        let message = format!("{TIMER} is active, but {SERVICE} is {}", service.get("LoadState"));
        let cure = match service.is_masked() {
            true => format!("systemctl unmask {SERVICE}"),
            false => format!("install {SERVICE}: Debian's package brings it"),
        };
        return Check::failure(CHECK, message, cure);
    }
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
    if let Some(state) = timer.misloaded() {
        let message = format!("systemd can't load {TIMER}: {state}");
        return Check::failure(CHECK, message, format!("systemd-analyze verify {TIMER}"));
    }
    let masked = timer.is_masked();
    let state = if masked { "masked" } else { timer.get("ActiveState") };
    let unmask = if masked { format!("systemctl unmask {TIMER} && ") } else { String::new() };
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

    /// Of a machine with systemd and a cron daemon, where promdrop has not run lately.
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
        let daemon = Some("cron".to_owned());
        let check = Starters { host: &host, units, has_systemd: true, daemon, lines, has_run: false }.check();
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
                "LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n",
                "",
                &[],
                Verdict::Failure,
                "systemctl unmask promdrop.timer && systemctl enable",
            ),
            (
                "LoadState=bad-setting\nActiveState=inactive\n",
                "",
                &[],
                Verdict::Failure,
                "systemd-analyze verify promdrop.timer",
            ),
            (good, "LoadState=not-found\n", &[], Verdict::Failure, "install promdrop.service"),
            ("LoadState=not-found\n", "", &[], Verdict::Failure, "systemctl enable --now promdrop.timer"),
        ] {
            let (verdict, said) = verdict(timer, service, lines);
            assert!(verdict == expected && said.contains(cure), "{timer}{service}: {verdict:?} {said}");
        }
    }
}
