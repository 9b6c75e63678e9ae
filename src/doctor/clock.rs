//! The clock: what lies in the future was written before it was set back.

use super::check::Check;
use crate::textfile::Own;

const CHECK: &str = "clock";

/// A slot may be served so early, and another machine's clock differ so much, in ms.
const TOLERANCE: u64 = 5_000;

/// Whether anything of promdrop's is of the future, at `now` in ms since the epoch, and whether the clock is synchronized,
/// by what node_exporter tells.
pub fn check(files: &[Own], now: u64, is_synchronized: Option<bool>) -> Check {
    let latest = |own: &Own| {
        let modified = u64::try_from(own.modified.0).unwrap_or(0).saturating_mul(1_000);
        [own.header.slot, own.header.last_success, Some(modified)].into_iter().flatten().max().unwrap_or(0)
    };
    let future = files.iter().map(|own| (latest(own), own)).max_by_key(|(latest, _)| *latest);
    if let Some((latest, own)) = future.filter(|(latest, _)| *latest > now.saturating_add(TOLERANCE)) {
        let ahead = std::time::Duration::from_secs(latest.saturating_sub(now) / 1_000);
        let ahead = humantime::format_duration(ahead);
        let message = format!("{} is of {ahead} from now: the clock was set back since", own.file);
        let cure = "set the clock right (timedatectl status, chronyc tracking); what waits for a slot runs by its name: \
                    promdrop run NAME";
        return Check::failure(CHECK, message, cure);
    }
    match is_synchronized {
        Some(false) => {
            let message = "not synchronized, says node_exporter's timex collector";
            Check::warning(
                CHECK,
                message,
                "run an NTP client: systemctl enable --now systemd-timesyncd, or chrony",
            )
        }
        Some(true) => Check::ok(CHECK, "synchronized, and nothing is of the future"),
        None => Check::ok(CHECK, "nothing is of the future"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;
    use crate::textfile::{Header, Kind};

    #[test]
    fn what_is_of_the_future_is_found() {
        let now = 1_700_000_000_000;
        let own = |slot, modified| Own {
            file: "x.prom".to_owned(),
            header: Header { slot: Some(slot), ..Header::new(Kind::Collector, "/c", "x.prom") },
            modified: (modified, 0),
            access: (0o644, 0, 0),
            text: Vec::new(),
        };
        let seconds = 1_700_000_000;
        for (files, sync, verdict) in [
            (vec![], None, Verdict::Ok),
            (vec![own(now + 2_000, seconds)], Some(true), Verdict::Ok),
            (vec![own(now, seconds), own(now + 60_000, seconds)], Some(true), Verdict::Failure),
            (vec![own(now, seconds + 60)], None, Verdict::Failure),
            (vec![own(now, seconds)], Some(false), Verdict::Warning),
            (vec![own(now, -1)], None, Verdict::Ok),
        ] {
            assert_eq!(check(&files, now, sync).verdict, verdict, "{files:?} {sync:?}");
        }
    }
}
