//! `promdrop doctor` where next to nothing is there: usage, lines and document.

use serde_json::Value;

use crate::support::host::Host;

#[test]
fn a_host_where_nothing_was_set_up_is_told_what_to_do() {
    let host = Host::new();
    std::fs::remove_dir(host.textfile_dir()).unwrap();
    let (status, shown, errors) = host.outcome(&["doctor"]);
    assert_eq!((status, errors.as_str()), (1, ""));
    let place = host.textfile_dir().display().to_string();
    for (verdict, check, said) in [
        ("warning", "definitions", "there is no collector in "),
        ("failure", "directory", &*format!("{place}: the textfile directory does not exist")),
        ("skipped", "last-run", "there is no collector to run"),
    ] {
        let line = format!("{verdict:7}  {check:18}  {said}");
        assert!(shown.lines().any(|shown| shown.starts_with(line.trim_end())), "{line}\n{shown}");
    }
    assert!(
        shown.contains("\n                             = name node_exporter's with --textfile-dir"),
        "{shown}"
    );
    let last = shown.lines().last().unwrap();
    assert!(last.contains(" failure") && last.contains(" warning"), "{shown}");

    let (status, document, _) = host.outcome(&["doctor", "--json"]);
    assert_eq!(status, 1);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["promdrop"], env!("CARGO_PKG_VERSION"));
    let checks = document["checks"].as_array().unwrap();
    assert_eq!(checks[1]["check"], "directory");
    assert_eq!(checks[1]["verdict"], "failure");
    assert!(checks[1]["cure"].as_str().unwrap().contains("create it with mkdir"));
    let count = |verdict: &str| checks.iter().filter(|check| check["verdict"] == verdict).count() as u64;
    assert_eq!(document["failures"], count("failure"));
    assert_eq!(document["warnings"], count("warning"));
    // Looking leaves nothing behind.
    assert!(!host.textfile_dir().exists());
}

#[test]
fn what_it_is_not_told_like_that_is_usage() {
    let host = Host::new();
    assert_eq!(host.outcome(&["doctor", "all"]).0, 2);
    assert_eq!(host.outcome(&["run", "--verify"]).0, 2);
}
