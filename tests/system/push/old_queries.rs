//! The user's own script with one word changed, from a real cron into a real Prometheus, where the queries that were
//! written for the Pushgateway's series see them still.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::support::cron::{Cron, Tables};
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::prometheus::Prometheus;
use crate::support::{need, the_machine};

/// A minute until cron starts a line, and as much again for a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// As its user wrote it, but for what the last line ended in: `curl --data-binary @-
/// http://prometheus.server.com:9091/metrics/job/pushgateway1/instance/$instance_name`.
const SCRIPT: &str = r#"#!/bin/bash
instance_name=$(uname -n)
label="count_netstat_wait_connections"
count_netstat_wait_connections=$(netstat -an | grep -i wait | wc -l)
echo "$label $count_netstat_wait_connections" | promdrop push job/pushgateway1/instance/$instance_name
"#;

/// The rules that the manual gives, as they stand there.
fn rules() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/promdrop.8");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("metric_relabel_configs:\n").expect("the rules");
    let (rules, _) = rest.split_once(".Ed").expect("their end");
    rules.replace("\\-", "-").replace("\\e", "\\")
}

#[test]
fn the_users_script_with_one_word_changed_is_seen_by_the_old_queries() {
    need("netstat");
    let _alone = the_machine();
    let host = Host::new();
    let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let name = name.trim();
    let port = exporter.port();
    let rules: String = rules().lines().map(|line| format!("  {line}\n")).collect();
    let prometheus = Prometheus::start_with(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: node\n  \
         static_configs:\n  - {{targets: ['127.0.0.1:{port}'], labels: {{instance: '{name}:9100'}}}}\n  \
         metric_relabel_configs:\n{rules}\
         - job_name: honest\n  honor_labels: true\n  \
         static_configs:\n  - {{targets: ['127.0.0.1:{port}'], labels: {{instance: '{name}:9100', by: honest}}}}\n"
    ));
    let script = host.path("count_netstat_wait_connections.sh");
    fs::write(&script, SCRIPT).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let table = format!(
        "PATH=/usr/local/bin:/usr/bin:/bin\nPROMDROP_TEXTFILE_DIR={}\n\
         * * * * * root {}\n\
         * * * * * root echo 'elsewhere 1' | promdrop push job/pushgateway1/instance/other:80/zone/a\n\
         * * * * * root echo 'plain 1' | promdrop write plain\n",
        host.textfile_dir().display(),
        script.display()
    );
    let cron = Cron::start(&Tables { system: &table, users: &[] }, false, &["cron", "-f"]);

    let old = format!("count_netstat_wait_connections{{job=\"pushgateway1\",instance=\"{name}\",by=\"\"}}");
    let seen = prometheus.await_query(&old, PATIENCE, |points| !points.is_empty());
    assert_eq!(seen.len(), 1, "{seen:?}");
    let old = "elsewhere{job=\"pushgateway1\",instance=\"other:80\",zone=\"a\",by=\"\"}";
    prometheus.await_query(old, PATIENCE, |points| points.len() == 1);
    prometheus.await_query("push_time_seconds{by=\"\"}", PATIENCE, |points| points.len() == 2);
    // With honor_labels what was pushed stands, and only what was left to the scrape comes from it.
    for (pushed, instance) in
        [("count_netstat_wait_connections", format!("{name}:9100")), ("elsewhere", "other:80".into())]
    {
        let query = format!("{pushed}{{by=\"honest\",job=\"pushgateway1\",instance=\"{instance}\"}}");
        prometheus.await_query(&query, PATIENCE, |points| points.len() == 1);
    }
    // Nothing else has changed.
    for (query, job, instance) in
        [("plain{by=\"\"}", "node", format!("{name}:9100")), ("up{by=\"\"}", "node", format!("{name}:9100"))]
    {
        let points = prometheus.await_query(query, PATIENCE, |points| points.len() == 1);
        assert_eq!((points[0].label("job"), points[0].label("instance")), (job, &*instance));
    }
    let left = prometheus
        .query("{__name__=~\".+\",exported_job=~\".+\"} or {__name__=~\".+\",exported_instance=~\".+\"}");
    assert_eq!(left, []);
    cron.await_idle();
    assert_eq!(cron.mails(), [""; 0]);
}
