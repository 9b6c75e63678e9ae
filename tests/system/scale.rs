//! The README's ways beyond one Prometheus, by its own configurations.

use std::time::Duration;

use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::prometheus::Prometheus;
use crate::support::server::PATIENCE;

/// The README's indented block that begins with `first`, as a file.
fn block(first: &str) -> String {
    let readme = include_str!("../../README.md");
    let from =
        readme.find(&format!("\n    {first}\n")).unwrap_or_else(|| panic!("the README has no {first}"));
    let lines = readme[from + 1..].lines().take_while(|line| line.starts_with("    ") || line.is_empty());
    let text: Vec<&str> = lines.map(|line| line.get(4..).unwrap_or_default()).collect();
    text.join("\n")
}

/// `text` with a scrape each second, and each name in it replaced by the local server that stands for it.
fn here(text: &str, names: &[(&str, String)]) -> String {
    let global = "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n";
    assert!(text.contains("global:\n"), "{text}");
    let text = text.replacen("global:\n", global, 1);
    names.iter().fold(text, |text, (name, local)| {
        assert!(text.contains(name), "no {name} in:\n{text}");
        text.replace(name, local)
    })
}

#[test]
fn a_global_prometheus_federates_what_sites_record() {
    let host = Host::new();
    host.collector("netstat", "module: netstat\n");
    host.collector("bad", "module: command\ncommand: {shell: 'exit 1'}\n");
    host.run().output().unwrap();
    let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
    let node = ("web1.example.net:9100", format!("127.0.0.1:{}", exporter.port()));
    let site = Prometheus::start_as(
        &["--storage.tsdb.path=data"],
        &here(&block("# A site's prometheus.yml"), &[node]),
        &block("# A site's rules.yml"),
    );
    let federated = ("prometheus.ams.example.net:9090", format!("127.0.0.1:{}", site.port()));
    let global = Prometheus::start_with(&here(&block("# The global prometheus.yml"), &[federated]));
    let failing = "site:promdrop_collectors_failing:count{site=\"ams\"} == 1";
    global.await_query(failing, PATIENCE, |points| points.len() == 1);
    let wait = "site:count_netstat_wait_connections:sum{site=\"ams\"} >= 0";
    global.await_query(wait, PATIENCE, |points| points.len() == 1);
    assert_eq!(global.query("promdrop_collector_success"), [], "what sites keep for themselves");
}

#[test]
fn an_agent_writes_on_what_it_scrapes() {
    let host = Host::new();
    host.collector("netstat", "module: netstat\n").run_well(&["netstat"]);
    let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
    let store = Prometheus::start_as(
        &["--storage.tsdb.path=data", "--web.enable-remote-write-receiver"],
        "global: {}\n",
        "",
    );
    let names = [
        ("web1.example.net:9100", format!("127.0.0.1:{}", exporter.port())),
        ("https://mimir.example.net/api/v1/push", format!("http://127.0.0.1:{}/api/v1/write", store.port())),
    ];
    let text = here(&block("# An agent's prometheus.yml"), &names);
    let _agent = Prometheus::start_as(&["--enable-feature=agent", "--storage.agent.path=data"], &text, "");
    let query = "promdrop_collector_success{collector=\"netstat\",site=\"ams\"} == 1";
    store.await_query(query, 2 * PATIENCE, |points| points.len() == 1);
    store.await_query("up{site=\"ams\"} == 1", Duration::from_secs(30), |points| points.len() == 1);
}
