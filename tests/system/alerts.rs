//! The alert rules, their runbook and the dashboard that are shipped: against the real promtool here, against a real
//! Prometheus with numbers of real promdrops in [`world`].

mod dashboard;
mod inhibition;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use crate::support::server::part;

const RULES: &str = "prometheus/promdrop.rules.yml";
const RUNBOOK: &str = "prometheus/RUNBOOK.md";
const CASES: [&str; 2] = ["promdrop.test.yml", "promdrop.day.test.yml"];

/// A file that is shipped. Read when the test runs: a change of it needs no new build.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped(name)).unwrap()
}

/// What promtool says of shipped files, which must be good.
fn promtool(arguments: &[&str]) {
    let mut command = Command::new(part("bookworm", "promtool"));
    let output = command.current_dir(shipped("prometheus")).args(arguments).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&["check", "rules", "promdrop.rules.yml"]);
}

#[test]
fn every_case_comes_out_as_it_says() {
    promtool(&[&["test", "rules"], CASES.as_slice()].concat());
}

/// The alerts, in the order of the file.
pub fn alerts() -> Vec<Value> {
    let rules: Value = serde_yaml::from_str(&read(RULES)).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let alerts: Vec<Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect();
    assert!(alerts.len() > 20, "{alerts:#?}");
    alerts
}

pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value:#}"))
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

#[test]
fn every_alert_tells_how_bad_it_is_where_and_what_to_do() {
    let mut names = Vec::new();
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(["critical", "warning"].contains(&text(&alert["labels"], "severity")), "{name}");
        let annotations = &alert["annotations"];
        assert_eq!(text(annotations, "runbook"), format!("RUNBOOK.md#{}", name.to_lowercase()));
        for key in ["summary", "description"] {
            assert!(text(annotations, key).contains("{{ $labels.instance }}"), "{name}: {key}");
        }
        assert!(!text(annotations, "summary").ends_with('.'), "{name}");
        assert!(text(annotations, "description").ends_with('.'), "{name}");
        let expression = text(&alert, "expr");
        assert!(!expression.contains("job=") && !expression.contains("job=~"), "{name} names a job");
        names.push(name.to_owned());
    }
    // Both ways, in the same order.
    let runbook = read(RUNBOOK);
    let (_, entries) = runbook.split_once("\n## Alerts\n").unwrap();
    let found: Vec<&str> = entries.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(found, names, "the runbook's entries and the alerts");
    for entry in entries.split("\n### ").skip(1) {
        assert!(entry.contains("\nDo: ") || entry.contains("\nLook and do: "), "{entry}");
    }
    // What it tells Alertmanager to inhibit is there, too.
    for name in Regex::new("alertname=\"(\\w+)\"").unwrap().captures_iter(&runbook) {
        assert!(names.contains(&name[1].to_owned()), "{}", &name[1]);
    }
}

/// The line of the runbook that makes a link of each `runbook` does so, in the rules and in their cases.
#[test]
fn the_runbook_can_be_linked_to_by_the_line_that_it_shows() {
    let dir = tempfile::TempDir::new().unwrap();
    let files = [&["promdrop.rules.yml"], CASES.as_slice()].concat();
    for file in &files {
        fs::copy(shipped("prometheus").join(file), dir.path().join(file)).unwrap();
    }
    let runbook = read(RUNBOOK);
    let line = runbook.lines().find(|line| line.starts_with("    sed ")).expect("its line");
    assert!(Command::new("sh").current_dir(dir.path()).args(["-c", line]).status().unwrap().success());
    let key = Regex::new("(?m)^ *runbook_url: ").unwrap();
    for file in files {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        let links = text.matches("https://wiki.example.net/promdrop/RUNBOOK.md#promdrop").count();
        let keys = key.find_iter(&text).count();
        assert!(links > 0 && keys == links, "{file}: {text}");
        assert_eq!(text.matches("RUNBOOK.md#").count(), links, "{file}: {text}");
    }
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_nearly_does() {
    let (mut fires, mut is_quiet, mut has_near_miss) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for file in CASES {
        let cases: Value = serde_yaml::from_str(&read(&format!("prometheus/{file}"))).unwrap();
        for case in list(&cases, "tests") {
            let quiet = list(case, "input_series").filter(|s| text(s, "series").contains("instance=\"quiet"));
            let has_quiet = quiet.count() > 0;
            for test in list(case, "alert_rule_test") {
                let name = text(test, "alertname").to_owned();
                if list(test, "exp_alerts").next().is_none() {
                    is_quiet.insert(name);
                } else {
                    if has_quiet {
                        has_near_miss.insert(name.clone());
                    }
                    fires.insert(name);
                }
            }
        }
    }
    let names: BTreeSet<String> = alerts().iter().map(|alert| text(alert, "alert").to_owned()).collect();
    assert_eq!(fires, names, "those with a case that fires");
    assert_eq!(is_quiet, names, "those with a time at which nothing fires yet");
    assert_eq!(has_near_miss, names, "those with a host beside it that stays quiet");
}

/// All expressions, of rules and panels.
pub fn expressions() -> Vec<String> {
    let alerts = alerts();
    let rules = alerts.iter().map(|alert| text(alert, "expr").to_owned());
    rules.chain(dashboard::targets().into_iter().map(|(_, expression)| expression)).collect()
}

#[test]
fn rules_and_panels_name_only_families_that_promdrop_publishes() {
    let families: BTreeSet<&str> = include_str!("../data/help.txt")
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let words = Regex::new("\\b(?:promdrop|ping|netstat|count_netstat|push)_\\w+").unwrap();
    // In a pattern of names: promdrop_(a|b).
    let patterns = Regex::new("promdrop_\\(([^)]*)\\)").unwrap();
    let mut named = BTreeSet::new();
    for expression in expressions() {
        let found = words.find_iter(&expression).map(|word| word.as_str().to_owned());
        named.extend(found.filter(|word| word != "promdrop_"));
        for pattern in patterns.captures_iter(&expression) {
            named.extend(pattern[1].split('|').map(|word| format!("promdrop_{word}")));
        }
    }
    assert!(named.len() > 30, "{named:#?}");
    for name in named {
        let of_histogram =
            ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| name.strip_suffix(part));
        assert!(
            families.contains(&*name) || of_histogram.into_iter().any(|family| families.contains(family)),
            "promdrop publishes no {name}"
        );
    }
}
