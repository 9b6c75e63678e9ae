//! Debian's cron with the shipped line, in namespaces of its own: the machine's tables, its mail and its cron are
//! neither seen nor touched.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{install_collectors, shipped};
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::prometheus::Prometheus;
use crate::support::{need, the_machine, wait_for};

/// A minute until cron starts a line, a second one of which the last quarter counts, and as much again for a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// No table, spool, process or run of systemd of the machine's is in there; a stand-in takes the mail.
const SCRIPT: &str = r##"
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
[ "$SYSTEMD" = no ] || mkdir -p /run/systemd/system
: >/run/empty
mount --bind /run/empty /etc/crontab
mount -t tmpfs -o mode=755 tmpfs /etc/cron.d
install -m 644 "$TABLE" /etc/cron.d/promdrop
mount -t tmpfs -o mode=755 tmpfs /var/spool/cron
mkdir /var/spool/cron/crontabs
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
touch /usr/local/bin/promdrop
mount --bind "$PROGRAM" /usr/local/bin/promdrop
mkdir /run/sbin
mount --bind /usr/sbin /run/sbin
mount -t tmpfs -o mode=755 tmpfs /usr/sbin
ln -s /run/sbin/* /usr/sbin
ln -sf "$SENDMAIL" /usr/sbin/sendmail
exec "$@"
"##;

/// A running cron; it and all that it started end with this value.
struct Cron<'a> {
    host: &'a Host,
    child: Child,
}

impl<'a> Cron<'a> {
    /// Starts cron by `program`, with the shipped line and what says where `host` is before it.
    fn start(host: &'a Host, systemd: bool, program: &[&str]) -> Self {
        need("unshare");
        need("/usr/sbin/cron");
        let line = fs::read_to_string(shipped("cron/promdrop")).unwrap();
        let (textfile, collectors) = (host.textfile_dir(), host.collectors_dir());
        let table = format!(
            "PROMDROP_TEXTFILE_DIR={}\nPROMDROP_COLLECTORS_DIR={}\n{line}",
            textfile.display(),
            collectors.display()
        );
        fs::write(host.path("table"), table).unwrap();
        fs::create_dir(host.path("mail")).unwrap();
        let sendmail = host.path("sendmail");
        let mail = host.path("mail");
        fs::write(&sendmail, format!("#!/bin/sh\nexec cat >\"$(mktemp {}/XXXXXX)\"\n", mail.display()))
            .unwrap();
        fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SCRIPT, "sh"])
            .args(program)
            .env("TABLE", host.path("table"))
            .env("SENDMAIL", sendmail)
            .env("PROGRAM", env!("CARGO_BIN_EXE_promdrop"))
            .env("SYSTEMD", if systemd { "yes" } else { "no" })
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { host, child }
    }

    /// What it has mailed.
    fn mails(&self) -> Vec<String> {
        let entries = fs::read_dir(self.host.path("mail")).unwrap();
        entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    /// Waits until no line of it runs.
    fn await_idle(&self) {
        let children = |pid: &str| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let cron = children(&self.child.id().to_string());
        wait_for(Duration::from_secs(90), "no line of cron runs", || match children(cron.trim()).as_str() {
            "" => Ok(()),
            running => Err(running.to_owned()),
        });
    }
}

impl Drop for Cron<'_> {
    fn drop(&mut self) {
        // Its namespace, and all that is in it, goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_cron_line_gives_prometheus_four_samples_a_minute_and_mails_what_is_new() {
    let _alone = the_machine();
    let host = Host::new();
    install_collectors(&host.collectors_dir());
    host.collector("broken", "module: command\ninterval: 15s\ncommand: {shell: 'exit 3'}\n");
    let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
    let prometheus = Prometheus::start(exporter.port(), "cron");
    let cron = Cron::start(&host, false, &["cron", "-f"]);

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
    let cron = Cron::start(&host, true, &[&strace[..], &[report.to_str().unwrap(), "cron", "-f"]].concat());

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
