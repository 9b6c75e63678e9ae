//! What is no longer true goes away: numbers past their age, what removed definitions left. `promdrop prune`.

use std::fs;

use crate::run::{names, rewrite, run_well, values};
use crate::support::host::Host;

/// A host whose collectors each publish one number, which have all run.
fn host(stems: &[(&str, &str)]) -> Host {
    let host = Host::new();
    for (stem, header) in stems {
        collector(&host, stem, header);
    }
    run_well(&host, &["run"]);
    host
}

fn collector(host: &Host, stem: &str, header: &str) {
    host.collector(stem, &format!("module: command\n{header}command:\n  argv: [echo, '{stem} 1']\n"));
}

fn undefine(host: &Host, stem: &str) {
    fs::remove_file(host.collectors_dir().join(format!("{stem}.yaml"))).unwrap();
}

/// Makes the numbers of `stem` so old that they are past any age.
fn age(host: &Host, stem: &str) {
    rewrite(host, &format!("{stem}.prom"), "last-success-ms", |at| at - 40 * 24 * 3_600_000);
}

/// Its number, series, whether it says that it is stale, and whether that its last run succeeded.
fn health(host: &Host, stem: &str) -> [Vec<f64>; 4] {
    let told = |what: &str| values(host, &format!("{stem}.prom"), what);
    [
        told(&format!("{stem} ")),
        told("promdrop_collector_series"),
        told("promdrop_collector_stale"),
        told("promdrop_collector_success"),
    ]
}

const FRESH: [[f64; 1]; 4] = [[1.0], [1.0], [0.0], [1.0]];

#[track_caller]
fn assert_stale(host: &Host, stem: &str) {
    assert_eq!(health(host, stem), [vec![], vec![0.0], vec![1.0], vec![1.0]]);
}

#[test]
fn whatever_runs_removes_numbers_past_their_age_and_health_says_so() {
    let host = host(&[("x", "interval: 7d\n"), ("y", "interval: 7d\n")]);
    assert_eq!(health(&host, "x"), FRESH);
    age(&host, "x");
    run_well(&host, &["run"]);
    assert_stale(&host, "x");
    assert_eq!(health(&host, "y"), FRESH);
    let stale = host.text("x.prom");
    // Done once; its slot has not come.
    run_well(&host, &["run"]);
    assert_eq!(host.text("x.prom"), stale);
    // It succeeds again.
    run_well(&host, &["run", "x"]);
    assert_eq!(health(&host, "x"), FRESH);
    let counted = "promdrop_collector_runs_total{collector=\"x\",result=\"success\"}";
    assert_eq!(values(&host, "x.prom", counted), [2.0]);
}

#[test]
fn even_where_its_promdrop_never_runs_again() {
    let host = host(&[("x", "")]);
    // Another collectors directory, and a script's line: neither knows of x.
    let others = Host::new();
    for sweep in ["run", "write"] {
        age(&host, "x");
        let mut command = others.promdrop();
        command.arg("--textfile-dir").arg(host.textfile_dir());
        let mut command = std::process::Command::new(command.get_program());
        command.env_clear().env("PATH", "/bin:/usr/bin");
        command.arg("--collectors-dir").arg(others.collectors_dir());
        command.arg("--textfile-dir").arg(host.textfile_dir());
        fs::write(others.path("input"), "w 1\n").unwrap();
        command.stdin(fs::File::open(others.path("input")).unwrap());
        let output = match sweep {
            "run" => command.arg("run").output().unwrap(),
            _ => command.args(["write", "w"]).output().unwrap(),
        };
        let said = match sweep {
            "run" => "promdrop: x.prom: stale: its numbers are past their age and were removed\n",
            _ => "",
        };
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), said));
        assert_stale(&host, "x");
        run_well(&host, &["run", "x"]);
        assert_eq!(health(&host, "x"), FRESH);
    }
}

#[test]
fn kept_numbers_become_stale_with_their_collectors_own_failure() {
    let host = host(&[("x", "on_failure: keep\n")]);
    host.collector("x", "module: command\non_failure: keep\ncommand: {argv: ['false']}\n");
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    assert_eq!(health(&host, "x"), [vec![1.0], vec![1.0], vec![0.0], vec![0.0]]);
    age(&host, "x");
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    assert_eq!(health(&host, "x"), [vec![], vec![0.0], vec![1.0], vec![0.0]]);
}

#[test]
fn what_a_removed_or_renamed_definition_left_goes_with_the_next_run() {
    let host = host(&[("x", ""), ("y", ""), ("z", "")]);
    undefine(&host, "x");
    fs::rename(host.collectors_dir().join("y.yaml"), host.collectors_dir().join("y2.yaml")).unwrap();
    run_well(&host, &["run"]);
    assert_eq!(names(&host), [".promdrop.lock", "promdrop.prom", "y2.prom", "z.prom"]);
}

#[test]
fn what_is_not_known_to_be_left_stays() {
    let host = host(&[("broken", ""), ("disabled", "")]);
    let text = host.text("broken.prom");
    let dir = host.textfile_dir();
    // Somebody else's, a copy, another source's, another kind.
    fs::write(dir.join("theirs.prom"), "theirs 1\n").unwrap();
    fs::write(
        dir.join("copy.prom"),
        text.replace("broken 1", "copied 1").replace("collector=\"broken\"", "collector=\"copy\""),
    )
    .unwrap();
    let elsewhere = host.collectors_dir().display().to_string();
    let other = text.replace(&elsewhere, "/somewhere/else").replace("broken", "other");
    fs::write(dir.join("other.prom"), other).unwrap();
    let write = text.replace("kind: collector", "kind: write").replace("broken", "written");
    fs::write(dir.join("written.prom"), write).unwrap();
    host.collector("broken", "module: nonsense\n");
    collector(&host, "disabled", "enabled: false\n");
    let before = names(&host);
    assert_eq!(host.outcome(&["run"]).0, 1);
    assert_eq!(host.outcome(&["prune"]), (0, String::new(), String::new()));
    assert_eq!(names(&host), before);
    assert_eq!(values(&host, "broken.prom", "broken "), [1.0]);
    assert_eq!(values(&host, "disabled.prom", "disabled "), [1.0]);
}

#[test]
fn nothing_is_left_of_a_disabled_collector_past_its_age() {
    let host = host(&[("x", "")]);
    collector(&host, "x", "enabled: false\n");
    run_well(&host, &["run"]);
    assert_eq!(health(&host, "x"), FRESH);
    age(&host, "x");
    run_well(&host, &["run"]);
    assert_eq!(names(&host), [".promdrop.lock", "promdrop.prom"]);
}

#[test]
fn without_a_readable_collectors_directory_nothing_goes() {
    let host = host(&[("x", "")]);
    let before = names(&host);
    fs::rename(host.collectors_dir(), host.path("away")).unwrap();
    for arguments in [&["run"][..], &["prune"], &["prune", "--dry-run"]] {
        let (status, stdout, stderr) = host.outcome(arguments);
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains("can't read the collectors directory"), "{stderr}");
        assert_eq!(names(&host), before);
    }
}

#[test]
fn prune_does_at_any_time_what_run_does_and_says_it() {
    let host = host(&[("x", ""), ("y", ""), ("z", "")]);
    undefine(&host, "x");
    age(&host, "y");
    let said = "x.prom: removed: no definition claims it any more\n\
                y.prom: stale: its numbers are past their age and were removed\n";
    let before = names(&host);
    assert_eq!(host.outcome(&["prune", "--dry-run"]), (0, said.to_owned(), String::new()));
    assert_eq!((names(&host), health(&host, "y")[0].len()), (before, 1));
    assert_eq!(host.outcome(&["prune"]), (0, said.to_owned(), String::new()));
    assert_eq!(names(&host), [".promdrop.lock", "promdrop.prom", "y.prom", "z.prom"]);
    assert_stale(&host, "y");
    assert_eq!(health(&host, "z"), FRESH);
    assert_eq!(host.outcome(&["prune"]), (0, String::new(), String::new()));
}

#[test]
fn prune_all_leaves_nothing_of_promdrops() {
    let host = host(&[("x", ""), ("y", "")]);
    fs::write(host.textfile_dir().join("theirs.prom"), "theirs 1\n").unwrap();
    fs::remove_dir_all(host.collectors_dir()).unwrap();
    let said = "promdrop.prom: removed\nx.prom: removed\ny.prom: removed\n";
    assert_eq!(host.outcome(&["prune", "--all"]), (0, said.to_owned(), String::new()));
    assert_eq!(names(&host), ["theirs.prom"]);
    assert_eq!(host.outcome(&["prune", "--all"]), (0, String::new(), String::new()));
    assert_eq!(names(&host), ["theirs.prom"]);
    assert_eq!(host.outcome(&["prune", "--all", "--dry-run"]).0, 2);
}

#[test]
fn prune_all_says_where_a_collector_still_runs() {
    let host = host(&[("x", "")]);
    let directory = promdrop::textfile::Directory::open(&host.textfile_dir()).unwrap();
    let running = directory.lock_collector("x").unwrap().unwrap();
    let (status, _, stderr) = host.outcome(&["prune", "--all"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("another promdrop still runs, and may publish yet"), "{stderr}");
    assert_eq!(names(&host), [".promdrop.lock"]);
    drop(running);
    assert_eq!(host.outcome(&["prune", "--all"]), (0, String::new(), String::new()));
    assert_eq!(names(&host), Vec::<String>::new());
}
