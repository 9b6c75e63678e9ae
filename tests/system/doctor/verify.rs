//! `run --verify`: the loop is closed, and promdrop.prom tells so.

use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::series::Series;

/// `promdrop run NAME --verify` of the node_exporter at `port`: exit status and stderr.
#[track_caller]
fn run(host: &Host, port: u16) -> (i32, String) {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let output = host.run().args(["a", "--verify", &url]).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn outcome(series: &Series) -> (Option<f64>, bool) {
    let at = series.get("promdrop_verify_last_run_timestamp_seconds", &[]);
    (series.get("promdrop_verify_success", &[]), at.is_some())
}

fn closes_the_loop(version: &str) {
    let host = Host::new();
    host.collector("a", "module: command\ncommand: {shell: 'echo a_b 1'}\n");
    let exporter = Exporter::start(version, &host.textfile_dir());
    host.run_well(&["a"]);
    assert_eq!(outcome(&host.published("promdrop")), (None, false), "nobody asked for it");

    assert_eq!(run(&host, exporter.port()), (0, String::new()));
    assert_eq!(outcome(&exporter.scrape()), (Some(1.0), true));
    // The file that tells of it is one of those that are looked at.
    assert_eq!(run(&host, exporter.port()), (0, String::new()));

    // Its node_exporter reads another directory.
    let elsewhere = Host::new();
    let stranger = Exporter::start_textfile_only(version, &elsewhere.textfile_dir());
    let (status, said) = run(&host, stranger.port());
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("promdrop: verify: a.prom: node_exporter does not serve it\n"), "{said}");
    assert!(said.contains("doctor"), "{said}");
    assert_eq!(outcome(&host.published("promdrop")), (Some(0.0), true));

    // Nobody answers.
    let gone = stranger.port();
    drop(stranger);
    let (status, said) = run(&host, gone);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("nothing listens there"), "{said}");
    // And the collector was published all the same.
    assert_eq!(host.published("a").value("promdrop_collector_success", &[("collector", "a")]), 1.0);
    assert_eq!(run(&host, exporter.port()), (0, String::new()));
    assert_eq!(outcome(&exporter.scrape()), (Some(1.0), true));
    host.run_well(&["a"]);
    assert_eq!(outcome(&host.published("promdrop")), (None, false), "nobody asks any more");
}

#[test]
fn node_exporter_1_5_0_is_found_to_serve_what_was_published() {
    closes_the_loop("1.5.0");
}

#[test]
fn node_exporter_1_9_0_is_found_to_serve_what_was_published() {
    closes_the_loop("1.9.0");
}

/// What is due runs while a node_exporter says nothing, and promdrop ends for all that.
#[test]
fn one_that_never_answers_holds_up_nobody() {
    let host = Host::new();
    host.collector("a", "module: command\ninterval: 1s\ncommand: {shell: 'echo a_b 1'}\n");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", silent.local_addr().unwrap());
    let output = host.run().args(["--every", "1s", "--for", "4s", "--verify", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no whole answer within 10s"), "{said}");
    let published = host.published("a");
    let success = [("collector", "a"), ("result", "success")];
    assert!(published.value("promdrop_collector_runs_total", &success) >= 3.0);
    assert_eq!(outcome(&host.published("promdrop")), (Some(0.0), true));
}

/// A node_exporter that was still starting when an hourly collector ran is no reason for an alert of an hour.
#[test]
fn what_failed_is_looked_at_again_though_nothing_is_due() {
    let host = Host::new();
    host.collector("a", "module: command\ninterval: 7d\ncommand: {shell: 'echo a_b 1'}\n");
    let elsewhere = Host::new();
    let stranger = Exporter::start_textfile_only("1.9.0", &elsewhere.textfile_dir());
    assert_eq!(run(&host, stranger.port()).0, 1);
    assert_eq!(outcome(&host.published("promdrop")), (Some(0.0), true));
    let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
    let url = format!("http://127.0.0.1:{}/metrics", exporter.port());
    host.run_well(&["--verify", &url]);
    assert_eq!(outcome(&exporter.scrape()), (Some(1.0), true));
    let series = [("collector", "a"), ("result", "success")];
    assert_eq!(host.published("a").value("promdrop_collector_runs_total", &series), 1.0, "it was not due");
}

/// What is due runs while node_exporter takes its time, and a failure is said once.
#[test]
fn what_fails_again_is_said_once() {
    let host = Host::new();
    host.collector("a", "module: command\ninterval: 1s\ncommand: {shell: 'echo a_b 1'}\n");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{free}/metrics");
    let output = host.run().args(["--every", "1s", "--for", "4s", "--verify", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        host.published("a")
            .value("promdrop_collector_runs_total", &[("collector", "a"), ("result", "success")])
            >= 3.0
    );
    // Twice where an hour has begun between.
    let times = said.matches("nothing listens there").count();
    assert!((1..=2).contains(&times), "{said}");
}
