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

/// All texts of the corpus in one directory, each also cut and with bytes changed, as people see them and as programs.
#[test]
fn any_bytes_survive() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = 0;
    // xorshift: the same at each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for case in corpus::single_files() {
        let mut text = case.text;
        for _ in 0..3 {
            fs::write(directory.path().join(format!("{files}.prom")), &text).unwrap();
            files += 1;
            for _ in 0..=random(4) {
                let at = random(text.len() + 1);
                match random(4) {
                    0 => text.truncate(at),
                    1 => text.insert(at, u8::try_from(random(256)).unwrap()),
                    2 => text.insert(at, *b"\n{}\"\0\xff\x80\\# ,=\r".get(random(13)).unwrap()),
                    _ if at < text.len() => text[at] ^= 1 << random(8),
                    _ => {}
                }
            }
        }
    }
    assert!(files > 1500, "{files}");
    let (document, status) = lint(directory.path());
    assert_eq!((document["files"].as_array().unwrap().len(), status), (files, Some(1)));
    let linted = promdrop().arg("lint").arg(directory.path()).output().unwrap();
    assert_eq!((linted.status.code(), &*linted.stderr), (Some(1), &b""[..]));
    let shown = String::from_utf8(linted.stdout).unwrap();
    assert!(shown.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
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
