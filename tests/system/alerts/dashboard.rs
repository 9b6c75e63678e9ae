//! The dashboard keeps the rules of Grafana's dashboard-linter, each under its name there, those of Loki left out.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::{list, read, text};

const DATASOURCE: &str = "${datasource}";

/// Units that panels may have: some of Grafana's.
const UNITS: [&str; 9] = ["short", "none", "s", "percentunit", "ops", "pps", "bytes", "bool", "Bps"];

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/promdrop.json")).unwrap()
}

/// The panels that draw something.
fn panels() -> Vec<Value> {
    let dashboard = dashboard();
    let panels: Vec<Value> =
        list(&dashboard, "panels").filter(|panel| panel["type"] != "row").cloned().collect();
    assert!(panels.len() > 30);
    panels
}

/// The title of the panel and the expression, of each query.
pub fn targets() -> Vec<(String, String)> {
    let of = |panel: &Value| -> Vec<(String, String)> {
        let title = text(panel, "title");
        list(panel, "targets").map(|target| (title.to_owned(), text(target, "expr").to_owned())).collect()
    };
    panels().iter().flat_map(of).collect()
}

/// The variables of type query.
pub fn variables() -> Vec<Value> {
    let dashboard = dashboard();
    list(&dashboard["templating"], "list").filter(|variable| variable["type"] == "query").cloned().collect()
}

#[test]
fn uneditable_dashboard() {
    let dashboard = dashboard();
    assert_eq!(dashboard["editable"], false);
    assert_eq!((text(&dashboard, "uid"), text(&dashboard, "timezone")), ("promdrop", "browser"));
    assert_eq!(dashboard["id"], Value::Null, "an id is of one Grafana");
    assert!(dashboard.get("__inputs").is_none(), "it asks for nothing when it is loaded");
    assert!(list(&dashboard, "tags").any(|tag| tag == "promdrop"));
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
}

#[test]
fn template_datasource_rule() {
    let dashboard = dashboard();
    let sources: Vec<&Value> = list(&dashboard["templating"], "list")
        .filter(|variable| text(variable, "type").eq_ignore_ascii_case("datasource"))
        .collect();
    let [source] = sources.as_slice() else { panic!("{sources:#?}") };
    let found = ["name", "label", "query"].map(|key| text(source, key));
    assert_eq!(found, ["datasource", "Data source", "prometheus"]);
}

/// template-job-rule, template-instance-rule, template-label-promql-rule and template-on-time-change-reload-rule.
#[test]
fn template_job_and_instance_rules() {
    let variables = variables();
    let names: Vec<&str> = variables.iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(names, ["job", "instance"]);
    for (variable, label) in variables.iter().zip(["Job", "Instance"]) {
        assert_eq!(text(variable, "label"), label);
        assert_eq!(text(&variable["datasource"], "uid"), DATASOURCE);
        assert_eq!((&variable["multi"], &variable["includeAll"]), (&Value::from(true), &Value::from(true)));
        assert_eq!(text(variable, "allValue"), ".+");
        assert_eq!(variable["refresh"], 2, "anew when the time range changes");
        assert!(text(&variable["query"], "query").starts_with("label_values("));
        assert_eq!(variable["query"]["query"], variable["definition"]);
    }
}

/// panel-datasource-rule, panel-title-description-rule, panel-units-rule and panel-no-targets-rule.
#[test]
fn panel_rules() {
    let mut titles = BTreeSet::new();
    for panel in panels() {
        let title = text(&panel, "title");
        assert!(titles.insert(title.to_owned()), "two panels are called {title}");
        assert!(!title.is_empty() && text(&panel, "description").ends_with('.'), "{title}");
        assert_eq!(text(&panel["datasource"], "uid"), DATASOURCE, "{title}");
        assert!(list(&panel, "targets").next().is_some(), "{title}");
        let config = &panel["fieldConfig"];
        let own = list(config, "overrides").flat_map(|field| list(field, "properties"));
        let own = own.filter(|property| property["id"] == "unit").map(|property| text(property, "value"));
        for unit in own.chain([text(&config["defaults"], "unit")]) {
            assert!(UNITS.contains(&unit), "{title}: {unit}");
        }
    }
}

/// target-job-rule, target-instance-rule, target-rate-interval-rule and target-counter-agg-rule; target-promql-rule is
/// for the real Prometheus. Stricter than the linter, which lets a counter with matchers pass.
#[test]
fn target_rules() {
    let selectors = Regex::new("\\{[^{}]*\\}").unwrap();
    let names = Regex::new("\\b(?:promdrop|ping|netstat|count_netstat|push|node)_\\w+\\b").unwrap();
    let counters = Regex::new("\\w+_(?:total|bucket)\\{").unwrap();
    let rates = Regex::new(
        "\\b(?:rate|irate|increase)\\(\\w+_(?:total|bucket)\\{[^{}]*\\}\\[\\$__rate_interval\\]\\)",
    )
    .unwrap();
    let mut seen = 0;
    for (title, expression) in targets() {
        for selector in selectors.find_iter(&expression) {
            for matcher in ["job=~\"$job\"", "instance=~\"$instance\""] {
                assert!(selector.as_str().contains(matcher), "{title}: {expression}");
            }
        }
        for name in names.find_iter(&expression) {
            assert_eq!(expression.as_bytes().get(name.end()), Some(&b'{'), "{title}: {}", name.as_str());
        }
        let rated = rates.find_iter(&expression).count();
        assert_eq!(counters.find_iter(&expression).count(), rated, "{title}: {expression}");
        assert_eq!(expression.matches('[').count(), rated, "{title}: {expression}");
        seen += rated;
    }
    assert!(seen >= 10, "{seen} rates");
    for target in panels().iter().flat_map(|panel| list(panel, "targets")) {
        assert_eq!(text(&target["datasource"], "uid"), DATASOURCE);
        assert!(!text(target, "legendFormat").is_empty());
    }
}

/// Panels lie side by side and one below the other: none over another, none beyond the edge.
#[test]
fn no_panel_covers_another() {
    let dashboard = dashboard();
    let mut cells = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{title} is too wide");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies over another at {cell:?}");
        }
    }
}
