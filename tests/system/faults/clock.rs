//! A clock that is set back ten years, or forward, and right again.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{FILE, NAME, said};
use crate::support::host::Host;
use crate::support::need;
use crate::support::netns::in_fresh;
use crate::support::series::Series;

const TEN_YEARS: u64 = 10 * 365 * 24 * 3600;

/// Which clock promdrop sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Right,
    Back,
    Forward,
}

impl Clock {
    fn now(self) -> f64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        match self {
            Clock::Right => now as f64,
            Clock::Back => (now - TEN_YEARS) as f64,
            Clock::Forward => (now + TEN_YEARS) as f64,
        }
    }

    /// `promdrop run` by this clock. The times of files stay those of the right one, as they would.
    fn run(self, host: &Host) -> Command {
        let run = host.run();
        let seconds = match self {
            Clock::Right => return run,
            Clock::Back => format!("-{TEN_YEARS}"),
            Clock::Forward => format!("+{TEN_YEARS}"),
        };
        need("faketime");
        let mut faked = Command::new("faketime");
        faked.args(["-f", &seconds]).arg(run.get_program()).args(run.get_args());
        faked.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        faked.env("NO_FAKE_STAT", "1");
        faked
    }

    #[track_caller]
    fn run_well(self, host: &Host) {
        assert_eq!(said(&self.run(host).output().unwrap()), (Some(0), String::new()), "{self:?}");
    }
}

/// Of the collector's health.
#[track_caller]
fn health(series: &Series, what: &str) -> f64 {
    series.value(&format!("promdrop_collector_{what}"), &[("collector", NAME)])
}

#[test]
fn by_a_wrong_clock_and_by_the_right_one_after_it_what_is_due_runs() {
    in_fresh(|| {
        for wrong in [Clock::Back, Clock::Forward] {
            let host = Host::new();
            host.collector(NAME, "module: netstat\ninterval: 1h\n");
            for (count, clock) in [Clock::Right, wrong, Clock::Right].into_iter().enumerate() {
                clock.run_well(&host);
                let found = host.published(NAME);
                assert!(found.has("netstat_tcp_connections"), "{wrong:?}");
                assert_eq!(health(&found, "success"), 1.0);
                for time in ["last_run_timestamp_seconds", "last_success_timestamp_seconds"] {
                    let off = (health(&found, time) - clock.now()).abs();
                    assert!(off < 60.0, "{wrong:?}, run {count}: {time} is off by {off} s");
                }
                let runs = [("collector", NAME), ("result", "success")];
                assert_eq!(found.value("promdrop_collector_runs_total", &runs), count as f64 + 1.0);
            }
        }
    });
}

#[test]
fn numbers_of_another_time_are_not_kept() {
    in_fresh(|| {
        for clock in [Clock::Right, Clock::Back, Clock::Forward] {
            let host = Host::new();
            let told = host.path(NAME);
            host.collector(
                NAME,
                &format!(
                    "module: command\ninterval: 1m\non_failure: keep\ncommand:\n  argv: [cat, {}]\n",
                    told.display()
                ),
            );
            fs::write(&told, "# TYPE told gauge\ntold 1\n").unwrap();
            clock.run_well(&host);
            assert_eq!(host.published(NAME).value(NAME, &[]), 1.0);
            fs::remove_file(&told).unwrap();
            let (status, told) = said(&host.run().arg(NAME).output().unwrap());
            assert_eq!(status, Some(1), "{told}");
            let found = host.published(NAME);
            assert_eq!(found.has(NAME), clock == Clock::Right, "{clock:?}: {}", host.text(FILE));
            assert_eq!(health(&found, "success"), 0.0);
            // What `time() - it` is asked for must not be less than nothing for ten years.
            let last = health(&found, "last_success_timestamp_seconds");
            let expected = if clock == Clock::Forward { 0.0 } else { clock.now() };
            assert!((last - expected).abs() < 60.0, "{clock:?}: {last}");
        }
    });
}

#[test]
fn what_a_killed_promdrop_of_another_time_left_is_swept() {
    in_fresh(|| {
        for clock in [Clock::Right, Clock::Back, Clock::Forward] {
            let host = Host::new();
            host.collector(NAME, "module: netstat\n");
            let left = |name: &str, time: SystemTime| {
                let path = host.textfile_dir().join(format!(".promdrop-{name}.tmp"));
                fs::File::create(&path).unwrap().set_modified(time).unwrap();
                path
            };
            let (now, years) = (SystemTime::now(), Duration::from_secs(TEN_YEARS));
            let at_work = left("AtWork", now);
            let past = left("OfPast", now - years / 2);
            let future = left("Future", now + years / 2);
            clock.run_well(&host);
            // By the right clock, its writer may be at work still.
            assert_eq!(at_work.exists(), clock == Clock::Right, "{clock:?}");
            assert!(!past.exists() && !future.exists(), "{clock:?}");
        }
    });
}
