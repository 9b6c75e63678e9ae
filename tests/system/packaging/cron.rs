//! Debian's cron with the shipped line, in namespaces of its own: the machine's tables, its mail and its cron are
//! neither seen nor touched.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::{install_collectors, shipped};
use crate::support::cron::{Cron, Tables};
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::prometheus::Prometheus;
use crate::support::{need, the_machine, wait_for};

/// A minute until cron starts a line, a second one of which the last quarter counts, and as much again for a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Starts cron by `program`, with the shipped line and what says where `host` is before it.
fn start(host: &Host, systemd: bool, program: &[&str]) -> Cron {
    let line = fs::read_to_string(shipped("cron/promdrop")).unwrap();
    let table = format!(
        "PROMDROP_TEXTFILE_DIR={}\nPROMDROP_COLLECTORS_DIR={}\n{line}",
        host.textfile_dir().display(),
        host.collectors_dir().display()
    );
    Cron::start(&Tables { system: &table, users: &[] }, systemd, program)
}

#[test]
fn the_cron_line_gives_prometheus_four_samples_a_minute_and_mails_what_is_new() {
    let _alone = the_machine();
    let host = Host::new();
    install_collectors(&host.collectors_dir());
    host.collector("broken", "module: command\ninterval: 15s\ncommand: {shell: 'exit 3'}\n");
    let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
    let prometheus = Prometheus::start(exporter.port(), "cron");
    let cron = start(&host, false, &["cron", "-f"]);

    const RATE: &str =
        "rate(promdrop_collector_runs_total{collector=\"netstat\",result=\"success\"}[1m]) > 0";
    prometheus.await_query(RATE, PATIENCE, |points| !points.is_empty());
    // Two times the line, to its end: the runs of netstat and ping that succeeded, and those of broken that did not.
    const EIGHT_EACH: &str = "count(promdrop_collector_runs_total >= 8) == 3";
    prometheus.await_query(EIGHT_EACH, PATIENCE, |points| !points.is_empty());
    cron.await_idle();

    let mut hours = BTreeSet::new();
    for stem in ["netstat", "ping"] {
        let last = format!("promdrop_collector_last_run_timestamp_seconds{{collector=\"{stem}\"}}[5m]");
        let stored = prometheus.samples(&last);
        assert_eq!(stored.len(), 1, "{stored:?}");
        let mut runs: Vec<f64> = stored[0].iter().map(|(_, value)| *value).collect();
        runs.dedup();
        println!("{stem}: {runs:?}");
        let quarters: Vec<i64> = runs.iter().map(|run| (run / 15.0).round() as i64).collect();
        let first = quarters[0];
        hours.extend(quarters.iter().map(|quarter| quarter * 15 / 3600));
        assert!(quarters.len() >= 8, "{runs:?}");
        assert_eq!(quarters, (first..).take(runs.len()).collect::<Vec<_>>(), "one is missing: {runs:?}");
        assert_eq!(first % 4, 0, "cron starts it with the minute: {runs:?}");
        let late = runs.iter().zip(&quarters).map(|(run, quarter)| run - 15.0 * *quarter as f64);
        assert!(late.clone().all(|late| (-1.0..5.0).contains(&late)), "{:?}", late.collect::<Vec<_>>());
    }

    // What fails is said again with each hour that begins, which it may do meanwhile.
    let mails = cron.mails();
    assert_eq!(mails.len(), hours.len(), "{mails:#?}");
    for mail in mails {
        let (_, body) = mail.split_once("\n\n").unwrap();
        assert_eq!(body, "promdrop: broken: exit: it exited with status 3\n");
    }
}

#[test]
fn the_cron_line_does_nothing_where_systemd_runs() {
    need("strace");
    let host = Host::new();
    install_collectors(&host.collectors_dir());
    let report = host.path("strace");
    let strace = ["strace", "--follow-forks", "--string-limit=1000", "--trace=execve", "--output"];
    let cron = start(&host, true, &[&strace[..], &[report.to_str().unwrap(), "cron", "-f"]].concat());

    let traced = wait_for(PATIENCE, "the line has ended", || {
        let text = fs::read_to_string(&report).unwrap_or_default();
        let started =
            text.lines().find(|line| line.contains(" execve(") && line.contains("promdrop run --every"));
        let process = started.and_then(|line| line.split(' ').next()).map(str::to_owned);
        let ended = |process: String| {
            text.lines().any(|line| line.starts_with(&process) && line.contains(" +++ exited with 0 +++"))
        };
        if process.is_some_and(ended) { Ok(text) } else { Err(text) }
    });
    assert!(!traced.contains("execve(\"/usr/local/bin/promdrop\""), "{traced}");
    assert!(!traced.contains("sendmail"), "{traced}");
    assert_eq!(cron.mails(), [""; 0]);
    assert_eq!(fs::read_dir(host.textfile_dir()).unwrap().count(), 0);
}
