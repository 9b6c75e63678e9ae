//! Three hosts with real promdrops and node_exporters, scraped by a real Prometheus that has the shipped rules: one where
//! all goes wrong, one where promdrop ran last an hour ago, one where all is well.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use super::{dashboard, expressions, shipped, text};
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::need;
use crate::support::netns::Namespace;
use crate::support::prometheus::{Point, Prometheus};
use crate::support::responder::{Reply, Responder};
use crate::support::tcp::time_waits;

/// How long Prometheus, which scrapes and evaluates every second, may take to notice something.
const NOTICES: Duration = Duration::from_secs(60);

const NETSTAT: &str = "module: netstat\n\
                       netstat: {local_ports: [1-65535], listeners: [1-65535], counters: true}\n";

/// What is to be alerted for on the host where all goes wrong: the alert, and the label that tells which is meant.
const WRONG: [(&str, &str); 18] = [
    ("PromdropVerifyFailed", ""),
    ("PromdropTextfileScrapeError", ""),
    ("PromdropPoisonFile", "poison"),
    ("PromdropBadFile", "reject"),
    ("PromdropDefinitionsBroken", "failed"),
    ("PromdropCollectorMissing", ""),
    ("PromdropCollectorFailing", "worn"),
    ("PromdropCollectorNeverSucceeded", "broken"),
    ("PromdropCollectorNeverSucceeded", "failing"),
    ("PromdropCollectorStale", "worn"),
    ("PromdropJobFailing", "failing"),
    ("PromdropJobFailing", "hopeless"),
    ("PromdropJobLate", "late"),
    ("PromdropJobOutputRefused", "talks"),
    ("PromdropPushRefused", "pushed"),
    ("PromdropPingLoss", "127.0.0.1"),
    ("PromdropPingUnreachable", "127.0.0.2"),
    ("PromdropPingUnresolved", "does-not-exist.invalid"),
];

/// On the one where promdrop ran last an hour ago.
const DEAD: [(&str, &str); 3] =
    [("PromdropCollectorLate", "netstat"), ("PromdropCollectorStale", "netstat"), ("PromdropNotRunning", "")];

#[test]
fn a_real_prometheus_alerts_for_what_is_wrong_and_fills_every_panel() {
    let network = Namespace::new();
    // Half of the pings of one address are lost, all of the other's.
    let responder = network.run(|| {
        Responder::start(|target, number| {
            let lost = target.to_string() == "127.0.0.2" || number % 2 == 0;
            if lost { Vec::new() } else { vec![Reply::GOOD] }
        })
    });
    let (sick, dead, well) = (sick(&network), dead(), well());
    let hosts = [("sick", &sick), ("dead", &dead), ("well", &well)];
    let exporters =
        hosts.map(|(name, host)| (name, Exporter::start_textfile_only("1.9.0", &host.textfile_dir())));
    verify(&well, &exporters[2].1);
    let prometheus = watch(&exporters);
    for (name, expected) in [("sick", WRONG.as_slice()), ("dead", &DEAD), ("well", &[])] {
        let expected: BTreeSet<(String, String)> =
            expected.iter().map(|(alert, which)| ((*alert).to_owned(), (*which).to_owned())).collect();
        prometheus.await_query(&format!("up{{instance=\"{name}\"}}"), NOTICES, |up| {
            up.first().is_some_and(|up| up.value == 1.0)
        });
        prometheus.await_query(&format!("ALERTS{{instance=\"{name}\"}} or vector(0)"), NOTICES, |points| {
            active(points) == expected
        });
    }
    assert_rules_are_healthy(&prometheus);
    // Once more, so that counters rise between two scrapes.
    network.run(|| {
        time_waits(4);
        run(&sick, &["ping", "netstat"]);
    });
    assert_panels_are_filled(&prometheus);
    assert_matchers_match(&prometheus);
    drop(responder);
}

/// The alerts among these, each with what tells which is meant.
fn active(points: &[Point]) -> BTreeSet<(String, String)> {
    let which = |point: &Point| {
        let labels = ["collector", "name", "target", "class", "exported_job", "state"];
        labels.iter().map(|label| point.label(label)).find(|value| !value.is_empty()).unwrap_or("").to_owned()
    };
    let alerts = points.iter().filter(|point| !point.label("alertname").is_empty());
    alerts.map(|point| (point.label("alertname").to_owned(), which(point))).collect()
}

/// Runs these, whether they succeed or not, and asks for a scrape where no node_exporter is.
fn run(host: &Host, names: &[&str]) {
    host.run().args(names).args(["--verify", "http://127.0.0.1:9/metrics"]).output().unwrap();
}

/// Compares what `exporter` serves with what was published, which is all there.
fn verify(host: &Host, exporter: &Exporter) {
    host.run_well(&["fine", "--verify", &format!("http://127.0.0.1:{}/metrics", exporter.port())]);
}

/// Starts promdrop with these arguments and this input; whether it succeeded.
fn feed(host: &Host, arguments: &[&str], input: &str) -> bool {
    let mut child = host.promdrop();
    let mut child = child.args(arguments).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait().unwrap().success()
}

/// A job; whether it succeeded.
fn job(host: &Host, options: &[&str], script: &str) -> bool {
    let mut command = host.promdrop();
    command.arg("exec").args(options).args(["--", "sh", "-c", script]);
    command.stderr(Stdio::null()).status().unwrap().success()
}

fn sick(network: &Namespace) -> Host {
    let host = Host::new();
    let once = host.path("once");
    host.collector("netstat", NETSTAT)
        .collector(
            "ping",
            "module: ping\n\
             ping: {count: 4, spacing: 10ms, timeout: 200ms, \
             targets: [127.0.0.1, 127.0.0.2, does-not-exist.invalid]}\n",
        )
        .collector("failing", "module: command\ncommand: {shell: exit 1}\n")
        .collector(
            "worn",
            &format!(
                "module: command\ninterval: 1s\nmax_age: 1s\n\
                 command: {{shell: 'mkdir {} && echo \"worn_x 1\"'}}\n",
                once.display()
            ),
        )
        .collector("broken", "module: netstat\ninterval: often\n")
        // No collector can have this name.
        .collector("No", NETSTAT);
    for (file, text) in [
        ("torn.prom", "torn_x 1 2 3 what\n"),
        ("here.prom", "# HELP poisoned_x One text.\npoisoned_x{file=\"here\"} 1\n"),
        ("there.prom", "# HELP poisoned_x Another text.\npoisoned_x{file=\"there\"} 1\n"),
    ] {
        fs::write(host.textfile_dir().join(file), text).unwrap();
    }
    network.run(|| {
        run(&host, &["worn"]);
        run(&host, &["worn", "netstat", "ping", "failing", "broken"]);
    });
    assert!(job(&host, &["--expect-every", "1s", "late"], "exit 0"));
    assert!(job(&host, &["failing"], "exit 0") && !job(&host, &["failing"], "exit 1"));
    assert!(!job(&host, &["--expect-every", "1s", "hopeless"], "exit 1"));
    assert!(job(&host, &["talks"], "echo 'no metric' >$PROMDROP_OUTPUT"));
    assert!(feed(&host, &["push", "job/pushed"], "pushed_x 1\n"));
    assert!(!feed(&host, &["push", "job/pushed"], "pushed_x one\n"));
    assert!(feed(&host, &["write", "written"], "written_x 1\n"));
    host
}

fn dead() -> Host {
    need("faketime");
    let host = Host::new();
    host.collector("netstat", NETSTAT);
    let run = host.run();
    let mut faked = Command::new("faketime");
    faked.args(["-f", "-3600"]).arg(run.get_program()).args(run.get_args());
    faked.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(faked.env("NO_FAKE_STAT", "1").status().unwrap().success());
    host
}

fn well() -> Host {
    let host = Host::new();
    host.collector("netstat", NETSTAT)
        .collector("ping", "module: ping\nping: {count: 4, spacing: 10ms, targets: [127.0.0.1]}\n")
        .collector("fine", "module: command\ncommand: {shell: echo fine_x 1}\n")
        .collector("off", "module: netstat\nenabled: false\n");
    Namespace::new().run(|| host.run_well(&[]));
    assert!(job(&host, &["--expect-every", "1d", "fine"], "echo fine_job 1 >$PROMDROP_OUTPUT"));
    assert!(feed(&host, &["push", "job/fine"], "fine_pushed 1\n"));
    host
}

fn watch(exporters: &[(&str, Exporter)]) -> Prometheus {
    let target = |(name, exporter): &(&str, Exporter)| {
        format!("  - {{targets: ['127.0.0.1:{}'], labels: {{instance: {name}}}}}\n", exporter.port())
    };
    Prometheus::start_with(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n- job_name: node\n  static_configs:\n{}",
        shipped(super::RULES).display(),
        exporters.iter().map(target).collect::<String>()
    ))
}

fn assert_rules_are_healthy(prometheus: &Prometheus) {
    let answer = prometheus.get("/api/v1/rules");
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), super::alerts().len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
}

/// An expression or a variable's query as Grafana asks it, with all jobs and two of the hosts chosen.
fn filled(expression: &str) -> String {
    let filled = expression.replace("$__rate_interval", "1m").replace("$job", ".+");
    let filled = filled.replace("$instance", "sick|well");
    assert!(!filled.contains('$'), "{filled}");
    filled
}

fn assert_panels_are_filled(prometheus: &Prometheus) {
    for (title, expression) in dashboard::targets() {
        let what = format!("# {title}\n{}", filled(&expression));
        prometheus.await_query(&what, NOTICES, |points| points.iter().any(|point| !point.value.is_nan()));
    }
    let form = Regex::new("^label_values\\((.*), (\\w+)\\)$").unwrap();
    for variable in dashboard::variables() {
        let query = form.captures(text(&variable, "definition")).expect("label_values(SELECTOR, LABEL)");
        let selector: String = filled(&query[1]).bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = prometheus.get(&format!("/api/v1/label/{}/values?match[]={selector}", &query[2]));
        let expected: &[&str] = if &query[2] == "job" { &["node"] } else { &["dead", "sick", "well"] };
        assert_eq!(answer["data"], Value::from(expected), "{}", &query[2]);
    }
}

/// That what an expression asks for of a family by `class`, `result` or `state` is there: a word that promdrop never
/// says would match nothing, silently.
fn assert_matchers_match(prometheus: &Prometheus) {
    let matchers = Regex::new(r#"(\w+)\{[^{}]*?\b(class|result|state)(?:=|!=|=~|!~)"([^"]+)""#).unwrap();
    let mut seen = BTreeSet::new();
    for expression in expressions() {
        for found in matchers.captures_iter(&expression) {
            seen.extend(found[3].split('|').map(|word| format!("{}{{{}=\"{word}\"}}", &found[1], &found[2])));
        }
    }
    assert!(seen.len() > 8, "{seen:?}");
    for selector in seen {
        assert!(!prometheus.query(&selector).is_empty(), "promdrop publishes no {selector}");
    }
}
