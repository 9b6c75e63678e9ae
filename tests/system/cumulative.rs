//! Counters and histograms over runs that end after an instant: they go on from what was published, or start again
//! where that can't be trusted, and a real Prometheus makes rates and quantiles of them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::need;
use crate::support::netns::in_fresh;
use crate::support::prometheus::Prometheus;
use crate::support::responder::{Reply, Responder};

/// Replaces the one place of `text` that is `old`.
#[track_caller]
fn replace(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
    text.replace(old, new)
}

fn line<'t>(text: &'t str, start: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {text}"))
}

const STATE: &str = "# promdrop-state: ";

/// What befalls the published file, how, and whether the counters go on.
type Case = (&'static str, fn(&str) -> Option<String>, bool);

const CASES: &[Case] = &[
    ("nothing", |text| Some(text.to_owned()), true),
    ("removed", |_| None, false),
    (
        "an edited sample, which is not what goes on",
        |text| {
            let sample = line(text, "ping_packets_sent_total{");
            Some(replace(text, sample, &format!("{sample}0")))
        },
        true,
    ),
    ("broken families", |text| Some(format!("{text}ping_packets_sent_total{{\n")), true),
    (
        "a larger number",
        |text| Some(replace(text, "/ping_packets_sent_total=", "/ping_packets_sent_total=9")),
        false,
    ),
    ("a smaller number", |text| Some(text.replace("total=10", "total=5")), false),
    ("a bucket more", |text| Some(replace(text, "/ping_rtt_seconds=", "/ping_rtt_seconds=1,")), false),
    ("no state", |text| Some(replace(text, &format!("{}\n", line(text, STATE)), "")), false),
    ("a state of another version", |text| Some(replace(text, STATE, &format!("{STATE}2"))), false),
    ("two states", |text| Some(replace(text, STATE, &format!("{}\n{STATE}", line(text, STATE)))), false),
    ("cut within the state", |text| Some(text[..text.find(STATE).unwrap() + 60].to_owned()), false),
    ("a damaged header", |text| Some(replace(text, "# promdrop-slot-ms: ", "# promdrop-slot-ms: x")), false),
];

#[test]
fn what_is_damaged_or_edited_starts_again_and_is_no_error() {
    in_fresh(|| {
        let host = Host::new();
        let ping = "module: ping\nping: {count: 5, spacing: 1ms, targets: [127.0.0.1]}\n";
        host.collector("ping", ping).collector("netstat", "module: netstat\n");
        let path = host.textfile_dir().join("ping.prom");
        for (what, damage, goes_on) in CASES {
            let _ = fs::remove_file(&path);
            host.run_well(&["ping", "netstat"]);
            host.run_well(&["ping", "netstat"]);
            assert_runs(&host, 2, what);
            match damage(&host.text("ping.prom")) {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            host.run_well(&["ping"]);
            assert_runs(&host, if *goes_on { 3 } else { 1 }, what);
            host.run_well(&["ping"]);
            assert_runs(&host, if *goes_on { 4 } else { 2 }, what);
        }
        // The others' are their own.
        let runs = [("collector", "netstat"), ("result", "success")];
        let runs = host.published("netstat").value("promdrop_collector_runs_total", &runs);
        assert_eq!(runs, 2.0 * CASES.len() as f64);
    });
}

#[test]
fn somebody_elses_file_is_refused_and_then_all_begins_at_0() {
    in_fresh(|| {
        let host = Host::new();
        host.collector("ping", "module: ping\nping: {count: 5, spacing: 1ms, targets: [127.0.0.1]}\n");
        host.run_well(&["ping"]);
        let path = host.textfile_dir().join("ping.prom");
        fs::write(&path, "theirs 1\n").unwrap();
        let (status, _, stderr) = host.outcome(&["run", "ping"]);
        assert!(status == 1 && stderr.contains("this file is somebody else's"), "{status}: {stderr}");
        assert_eq!(host.text("ping.prom"), "theirs 1\n");
        fs::remove_file(&path).unwrap();
        host.run_well(&["ping"]);
        assert_runs(&host, 1, "theirs is gone");
    });
}

#[test]
fn a_run_that_fails_loses_nothing() {
    need("setpriv");
    in_fresh(|| {
        let host = Host::new();
        let good = "module: ping\nping: {count: 5, spacing: 1ms, targets: [127.0.0.1]}\n";
        host.collector("ping", good).run_well(&["ping"]);
        host.collector("ping", "module: ping\nping: {targets: []}\n");
        assert_eq!(host.outcome(&["run", "ping"]).0, 1);
        assert_runs(&host, 1, "kept while the definition is broken");
        // Nobody may ping: no numbers, and none lost.
        host.collector("ping", good);
        fs::write("/proc/sys/net/ipv4/ping_group_range", "1 0").unwrap();
        let run = host.promdrop();
        let run = Command::new("setpriv")
            .args(["--bounding-set=-net_raw", "--inh-caps=-net_raw"])
            .arg(run.get_program())
            .args(run.get_args())
            .args(["run", "ping"])
            .output();
        assert_eq!(run.unwrap().status.code(), Some(1));
        assert_eq!(host.text("ping.prom").matches("\nping_").count(), 0);
        host.run_well(&["ping"]);
        assert_runs(&host, 2, "after the failures");
    });
}

/// That all there is of ping.prom counts `n` runs of 5 probes.
#[track_caller]
fn assert_runs(host: &Host, n: u32, what: &str) {
    let published = host.published("ping");
    let target = [("target", "127.0.0.1"), ("address", "127.0.0.1"), ("family", "ipv4")];
    let ping = |name| published.value(name, &target);
    let all = published.value("ping_rtt_seconds_bucket", &[target.as_slice(), &[("le", "+Inf")]].concat());
    let counts = [
        ping("ping_packets_sent_total"),
        ping("ping_packets_received_total"),
        ping("ping_rtt_seconds_count"),
        all,
    ];
    assert_eq!(counts, [f64::from(5 * n); 4], "{what}");
    let runs = [("collector", "ping"), ("result", "success")];
    assert_eq!(published.value("promdrop_collector_runs_total", &runs), f64::from(n), "{what}");
}

/// How long Prometheus, which scrapes every second, may take to notice something.
const NOTICES: Duration = Duration::from_secs(30);

/// What is pinged, how late it answers, and the bucket that this is in, with room above for a busy machine.
const PINGED: [(&str, Duration, [f64; 2]); 2] =
    [("127.0.0.1", Duration::from_millis(60), [0.05, 0.1]), ("::1", Duration::from_millis(280), [0.25, 0.5])];

/// `promdrop run ping` in a namespace of its own, whenever it is told to.
struct Runs {
    start: Sender<()>,
    ended: Receiver<()>,
}

impl Runs {
    fn of(host: &Arc<Host>) -> Self {
        let ((start, started), (end, ended)) = (channel(), channel());
        let host = Arc::clone(host);
        thread::spawn(move || {
            in_fresh(move || {
                let _responder = Responder::start(|target, _| {
                    let (_, delay, _) =
                        *PINGED.iter().find(|(address, ..)| target.to_string() == *address).unwrap();
                    vec![Reply::after(delay)]
                });
                for () in started {
                    host.run_well(&["ping"]);
                    end.send(()).unwrap();
                }
            });
        });
        Self { start, ended }
    }

    fn once_more(&self) {
        self.start.send(()).unwrap();
        self.ended.recv().expect("a run that succeeds");
    }
}

#[test]
fn prometheus_makes_rates_and_quantiles_of_runs_that_end_at_once() {
    let host = Arc::new(Host::new());
    host.collector("ping", "module: ping\nping: {count: 4, spacing: 10ms, targets: [127.0.0.1, '::1']}\n");
    let runs = Runs::of(&host);
    let exporter = Exporter::start("1.9.0", &host.textfile_dir());
    let prometheus = Prometheus::start(exporter.port(), "here");
    let sent = |n: f64| {
        runs.once_more();
        let seen = format!("ping_packets_sent_total == {n}");
        prometheus.await_query(&seen, NOTICES, |points| points.len() == PINGED.len());
    };
    for run in 1..=4 {
        sent(4.0 * f64::from(run));
    }
    for (address, _, [above, to]) in PINGED {
        let ask = |expression: &str| {
            let expression = expression.replace("ADDRESS", &format!("{{address=\"{address}\"}}"));
            let points = prometheus.query(&expression);
            assert_eq!(points.len(), 1, "{expression}: {points:?}");
            points[0].value
        };
        assert!(ask("rate(ping_packets_sent_totalADDRESS[1m])") > 0.0);
        // 12 since it first saw 4, and what it takes to have been before.
        let increase = ask("increase(ping_packets_sent_totalADDRESS[1m])");
        assert!((12.0..=20.0).contains(&increase), "{address}: {increase}");
        let median = ask("histogram_quantile(0.5, rate(ping_rtt_seconds_bucketADDRESS[1m]))");
        assert!(above < median && median <= to, "{address}: {median}");
        let mean = ask("rate(ping_rtt_seconds_sumADDRESS[1m]) / rate(ping_rtt_seconds_countADDRESS[1m])");
        assert!(above < mean && mean <= to, "{address}: {mean}");
        assert_eq!(ask("resets(ping_packets_sent_totalADDRESS[1m])"), 0.0);
    }
    let runs_total = "increase(promdrop_collector_runs_total{collector=\"ping\",result=\"success\"}[1m])";
    assert!(prometheus.query(runs_total)[0].value > 0.0);

    // A damaged number is a new start, which Prometheus knows for one, not a leap.
    edit(&host.textfile_dir().join("ping.prom"), "/ping_packets_sent_total=", "/ping_packets_sent_total=9");
    sent(4.0);
    let resets = prometheus.query("resets(ping_packets_sent_total[1m])");
    assert_eq!(resets.iter().map(|point| point.value).collect::<Vec<_>>(), [1.0; 2], "{resets:?}");
    let increase = prometheus.query("increase(ping_packets_sent_total[1m])");
    assert!(increase.iter().all(|point| point.value < 30.0), "{increase:?}");
}

fn edit(path: &Path, old: &str, new: &str) {
    fs::write(path, fs::read_to_string(path).unwrap().replace(old, new)).unwrap();
}
