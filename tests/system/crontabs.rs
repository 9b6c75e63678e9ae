//! Crontabs with one word changed, from a real cron into a real Prometheus: the user's own script, whose series the
//! queries that were written for the Pushgateway's see still, and jobs of a user who is not root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
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

/// Who has a crontab without being root.
const USER: &str = "nobody";

/// That user's jobs.
const JOBS: &str = r#"
* * * * * promdrop exec --quiet-success --expect-every 1m good -- sh -c 'echo noise; echo "t_own 5" >"$PROMDROP_OUTPUT"'
* * * * * promdrop exec --quiet-success bad -- sh -c 'echo what went wrong; exit 3'
"#;

/// Lets the group of that user publish, by the commands that the manual gives.
fn open_to_group(host: &Host) {
    let way = "chgrp nogroup \"$0\" && chmod 1775 \"$0\" && chmod 755 \"$0/..\"";
    let status = Command::new("sh").args(["-c", way]).arg(host.textfile_dir()).status().unwrap();
    assert!(status.success());
}

fn jobs_tell(prometheus: &Prometheus) {
    let of = |what: &str, name: &str| format!("promdrop_exec_{what}{{name=\"{name}\",by=\"\"}}");
    for (what, name, value) in [
        ("success", "good", 1.0),
        ("success", "bad", 0.0),
        ("exit_status", "bad", 3.0),
        ("output_accepted", "good", 1.0),
    ] {
        prometheus
            .await_query(&of(what, name), PATIENCE, |points| points.len() == 1 && points[0].value == value);
    }
    prometheus.await_query("t_own{by=\"\"} == 5", PATIENCE, |points| points.len() == 1);
    // The manual's alert, which is quiet of a job that succeeds, and of one that was long ago is not.
    let late = |after: &str| {
        let last = of("last_success_timestamp_seconds", "good");
        format!("time() {after} - {last} > 1.5 * {}", of("expected_interval_seconds", "good"))
    };
    assert_eq!(prometheus.query(&late("")), []);
    assert_eq!(prometheus.query(&late("+ 300")).len(), 1);
}

/// The rules that the manual gives, as they stand there.
fn rules() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/promdrop.8");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("metric_relabel_configs:\n").expect("the rules");
    let (rules, _) = rest.split_once(".Ed").expect("their end");
    rules.replace("\\-", "-").replace("\\e", "\\").replace("\\(aq", "'")
}

#[test]
fn crontabs_with_one_word_changed_are_seen_by_old_queries_and_new_ones() {
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
         * * * * * root printf 'plain 1\\ntheirs{{instance=\"a\"}} 1\\ntheirs{{instance=\"b\"}} 1\\n' | promdrop write plain\n",
        host.textfile_dir().display(),
        script.display()
    );
    let jobs = format!(
        "PATH=/usr/local/bin:/usr/bin:/bin\nPROMDROP_TEXTFILE_DIR={}\n{JOBS}",
        host.textfile_dir().display()
    );
    open_to_group(&host);
    let tables = Tables { system: &table, users: &[(USER, &jobs)] };
    let cron = Cron::start(&tables, false, &["cron", "-f"]);

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
        .query("{__name__=~\".+\",exported_job=~\".+\"} or {__name__=~\".+\",__name__!=\"theirs\",exported_instance=~\".+\"}");
    assert_eq!(left, []);
    jobs_tell(&prometheus);
    cron.await_idle();
    let mails = cron.mails();
    assert!(!mails.is_empty());
    for mail in mails {
        let (head, body) = mail.split_once("\n\n").unwrap();
        assert!(head.contains(" bad -- ") && body.trim_end() == "what went wrong", "{mail}");
    }
}
