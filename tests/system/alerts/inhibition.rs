//! The inhibition that the runbook proposes, in a real Alertmanager: one alert speaks for those that it explains, and for
//! no others.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{RUNBOOK, read, text};
use crate::support::mounts::{in_private, mount_files};
use crate::support::server::{Server, part};

/// Alerts: the name, the host, the collector or job; and whether another one speaks for it.
const SENT: [(&str, &str, &str, bool); 14] = [
    ("PromdropNotRunning", "dead", "", false),
    ("PromdropCollectorLate", "dead", "a", true),
    ("PromdropCollectorNeverSucceeded", "dead", "b", true),
    ("PromdropPingLoss", "dead", "", true),
    // cron starts these, and not promdrop.
    ("PromdropJobFailing", "dead", "b", false),
    ("PromdropBadFile", "dead", "", false),
    ("PromdropCollectorLate", "other", "a", true),
    ("PromdropCollectorStale", "other", "a", false),
    ("PromdropCollectorFailing", "other", "b", false),
    ("PromdropJobLate", "other", "a", false),
    ("PromdropJobFailing", "other", "a", true),
    ("PromdropJobFailing", "other", "b", false),
    ("PromdropPoisonFile", "other", "", false),
    ("PromdropNotServed", "other", "", true),
];

/// Of its package, which is only unpacked. Nothing is sent to anybody, so that they may be empty.
const TEMPLATES: [(&str, &str); 2] =
    [("prometheus/alertmanager/default.tmpl", ""), ("prometheus/alertmanager/email.tmpl", "")];

#[test]
fn a_real_alertmanager_lets_one_alert_speak_for_those_it_explains() {
    in_private(|| {
        mount_files("/usr/share", &TEMPLATES);
        ask_alertmanager();
    });
}

fn ask_alertmanager() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("alertmanager.yml");
    let runbook = read(RUNBOOK);
    let rules = runbook.lines().skip_while(|line| *line != "    inhibit_rules:");
    let rules = rules.map_while(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n");
    fs::write(&config, format!("route: {{receiver: nobody}}\nreceivers: [{{name: nobody}}]\n{rules}\n"))
        .unwrap();
    let mut command = Command::new(part("bookworm", "prometheus-alertmanager"));
    command.arg(format!("--config.file={}", config.display())).arg("--cluster.listen-address=");
    command.arg(format!("--storage.path={}", dir.path().display()));
    let server = Server::start(command, 0, &dir.path().join("alertmanager.log"));
    for (alert, instance, which, _) in SENT {
        let mut command = Command::new(part("bookworm", "amtool"));
        command.arg(format!("--alertmanager.url=http://{}", server.address)).args(["alert", "add", alert]);
        command.args([format!("instance={instance}"), "job=node".to_owned()]);
        let label = if alert.contains("Job") { "name" } else { "collector" };
        command.args((!which.is_empty()).then(|| format!("{label}={which}")));
        assert!(command.status().unwrap().success(), "{command:?}");
    }
    let answer: Value = serde_json::from_str(&server.get("/api/v2/alerts")).unwrap();
    let found = answer.as_array().unwrap().iter().map(|alert| {
        let labels = &alert["labels"];
        let which = labels["collector"].as_str().or(labels["name"].as_str()).unwrap_or("");
        let inhibited = !alert["status"]["inhibitedBy"].as_array().unwrap().is_empty();
        (text(labels, "alertname"), text(labels, "instance"), which, inhibited)
    });
    assert_eq!(found.collect::<BTreeSet<_>>(), BTreeSet::from(SENT));
}
