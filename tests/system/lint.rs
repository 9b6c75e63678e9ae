//! `promdrop lint` on every directory that real node_exporters were measured with.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{corpus, promdrop};

/// What `promdrop lint` says of the directory, and its exit status.
fn lint(directory: &Path) -> (Value, Option<i32>) {
    let linted = promdrop().args(["lint", "--json"]).arg(directory).output().unwrap();
    let document =
        serde_json::from_slice(&linted.stdout).unwrap_or_else(|error| panic!("{error}: {linted:?}"));
    (document, linted.status.code())
}

/// Whatever one node_exporter does with a directory, its class is that of the corpus or worse, and no good one fails
/// but for the documented strictness. A node_exporter that reads no file for want of rights is one that doesn't run as
/// root, as these tests do.
///
/// Of files that contradict each other, the corpus calls it a distortion where the one that loses is `ours`; for lint
/// there is no "ours", and one file that harms another is poison.
#[test]
fn every_directory_of_the_corpus_is_judged_by_its_class() {
    let mut wrong = Vec::new();
    let mut stricter = BTreeSet::new();
    for case in corpus::all() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        case.lay_out(directory.path());
        let (document, status) = lint(directory.path());
        let problems: Vec<&Value> = document["files"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|file| file["problems"].as_array().unwrap())
            .collect();
        let class = document["class"].as_str().unwrap();
        let harm = problems.iter().find(|problem| problem["class"] == class).map(|problem| &problem["rule"]);
        let is_clash = harm.is_some_and(|rule| rule.as_str().unwrap().ends_with("-conflict"));
        let fine = match (&*case.class, class) {
            ("accept", "good" | "advice") => status == Some(0),
            ("accept", _) => {
                let reason = corpus::STRICTER.iter().find(|(name, ..)| *name == case.name);
                stricter.extend(reason.map(|(name, ..)| *name));
                status == Some(1)
                    && reason
                        .is_some_and(|(_, rule, _)| problems.iter().any(|problem| problem["rule"] == *rule))
            }
            ("distort", "poison") if is_clash => status == Some(1),
            (measured, class) => {
                class == corpus::called_otherwise(&case.name).unwrap_or(measured) && status == Some(1)
            }
        };
        if !fine {
            wrong.push(format!("{} ({}) is {}, not {document:#}", case.name, case.why, case.class));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    let documented: BTreeSet<&str> = corpus::STRICTER.iter().map(|(name, ..)| *name).collect();
    assert_eq!(stricter, documented);
}
