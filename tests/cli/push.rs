//! `promdrop push`: what a group is, what stays in it, what is said, the exit status.

use std::io::Write as _;
use std::process::Stdio;

use promdrop::collect::runner::now;

use crate::run::{names, rewrite, run_well, values};
use crate::support::host::Host;

/// Pushes `text`; exit status, stdout and stderr together.
pub fn push(host: &Host, arguments: &[&str], text: &str) -> (i32, String) {
    let mut command = host.promdrop();
    command.arg("push").args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What is deleted is not read.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[track_caller]
fn push_well(host: &Host, arguments: &[&str], text: &str) {
    assert_eq!(push(host, arguments, text), (0, String::new()));
}

/// The samples of a file but for the two times.
fn samples(host: &Host, file: &str) -> Vec<String> {
    let text = host.text(file);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("push_"));
    lines.map(str::to_owned).collect()
}

/// The times that a group was last pushed and refused.
fn times(host: &Host, file: &str) -> (f64, f64) {
    let told = |name: &str| values(host, file, &format!("push_{name}time_seconds"))[0];
    (told(""), told("failure_"))
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn a_push_is_published_in_silence_with_its_groups_labels() {
    let host = Host::new();
    let before = now() as f64 / 1000.0;
    push_well(
        &host,
        &["job/x/zone/a%20b", "--max-age", "1h"],
        "# HELP t_a Text.\n# TYPE t_a gauge\nt_a{job=\"y\",q=\"1\"} 7\n",
    );
    let listed = names(&host);
    let [_, file] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(file.starts_with("push.x-a-b-"), "{file}");
    assert_eq!(samples(&host, file), ["t_a{q=\"1\",job=\"x\",zone=\"a b\"} 7"]);
    let (pushed, failed) = times(&host, file);
    assert!((before..=now() as f64 / 1000.0).contains(&pushed) && failed == 0.0, "{pushed} {failed}");
    let text = host.text(file);
    let (header, _) = text.split_once("# HELP").unwrap();
    let at = (pushed * 1000.0).round();
    let expected = format!(
        "# promdrop-format: 1\n# promdrop-kind: push\n# promdrop-source: job/x/zone@base64/YSBi\n# promdrop-file: {file}\n\
         # promdrop-slot-ms: {at}\n# promdrop-last-success-ms: {at}\n# promdrop-max-age-ms: 3600000\n"
    );
    assert_eq!(header, expected);
}

#[test]
fn families_of_the_same_name_are_replaced_and_the_others_stay() {
    let host = Host::new();
    push_well(&host, &["job/x/zone/a"], "t_a{q=\"1\"} 1\nt_a{q=\"2\"} 1\nt_b 1\n");
    // The same group, as another client writes it.
    push_well(&host, &["http://gateway:9091/metrics/job/x/zone@base64/YQ=="], "t_a{q=\"3\"} 2\n");
    push_well(&host, &["job/x"], "t_a 3\n");
    let listed = names(&host);
    let [_, one, two] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(samples(&host, one).len() + samples(&host, two).len(), 3);
    let group = listed.iter().find(|name| name.starts_with("push.x-a-")).unwrap();
    assert_eq!(samples(&host, group), ["t_b{job=\"x\",zone=\"a\"} 1", "t_a{q=\"3\",job=\"x\",zone=\"a\"} 2"]);

    push_well(&host, &["job/x/zone/a", "--replace"], "t_c 1\n");
    assert_eq!(samples(&host, group), ["t_c{job=\"x\",zone=\"a\"} 1"]);
    // An empty push is one.
    let before = times(&host, group).0;
    push_well(&host, &["job/x/zone/a"], "");
    assert_eq!(samples(&host, group), ["t_c{job=\"x\",zone=\"a\"} 1"]);
    assert!(times(&host, group).0 > before);
    push_well(&host, &["job/x/zone/a", "--replace"], "");
    assert_eq!(samples(&host, group), [""; 0]);

    push_well(&host, &["job/x/zone/a", "--delete"], "");
    assert_eq!(names(&host).len(), 2);
    push_well(&host, &["job/x/zone/a", "--delete"], "");
    assert_eq!(names(&host).len(), 2);
}

#[test]
fn the_instance_is_left_to_the_scrape_where_it_is_this_host() {
    let host = Host::new();
    let group = format!("job/x/instance/{}", host_name().to_ascii_uppercase());
    push_well(&host, &[&group], "t_a{instance=\"theirs\"} 1\n");
    push_well(&host, &["job/x/instance/another"], "t_a 2\n");
    let all: Vec<String> = names(&host).iter().skip(1).flat_map(|file| samples(&host, file)).collect();
    // A sample has no other, either: the group's goes before.
    assert!(all.contains(&"t_a{job=\"x\"} 1".to_owned()), "{all:?}");
    assert!(all.contains(&"t_a{instance=\"another\",job=\"x\"} 2".to_owned()), "{all:?}");
    // It is the same group as without.
    push_well(&host, &["job/x"], "t_a 3\n");
    assert_eq!(names(&host).len(), 3);
}

#[test]
fn what_is_refused_leaves_the_group_as_it_was_and_says_when() {
    let host = Host::new();
    push_well(&host, &["job/x"], "t_a 1\n");
    let listed = names(&host);
    let file = &listed[1];
    let pushed = times(&host, file).0;
    let modified = || std::fs::metadata(host.textfile_dir().join(file)).unwrap().modified().unwrap();
    let published = modified();
    for (text, said) in [
        (
            "t_a 2 1700000000000\n",
            "stdin:1:7: a timestamp: node_exporter drops a file that holds one\n 1 | t_a 2 1700000000000\n   |       ^\n   \
             = print the value alone; node_exporter takes the time of the scrape\n",
        ),
        (
            "t_b 1\nt_a 2,5\n",
            "stdin:2:5: `2,5` is no number\n 2 | t_a 2,5\n   |     ^\n   = write a decimal number, NaN, +Inf or -Inf\n",
        ),
    ] {
        let before = now() as f64 / 1000.0;
        assert_eq!(push(&host, &["job/x"], text), (1, said.to_owned()));
        assert_eq!(samples(&host, file), ["t_a{job=\"x\"} 1"]);
        let (last, failed) = times(&host, file);
        assert!(
            last == pushed && (before..=now() as f64 / 1000.0).contains(&failed),
            "{last} {pushed} {failed}"
        );
        assert_eq!(names(&host), listed);
        // Its numbers are no younger.
        assert_eq!(modified(), published);
    }
    // The failure stays told until the next one.
    let failed = times(&host, file).1;
    push_well(&host, &["job/x"], "t_a 2\n");
    assert_eq!(times(&host, file).1, failed);
}

#[test]
fn a_group_that_never_was_tells_only_of_its_failure_and_not_for_ever() {
    let host = Host::new();
    assert_eq!(push(&host, &["job/x", "--max-age", "1h"], "no number\n").0, 1);
    let file = names(&host)[1].clone();
    assert_eq!(samples(&host, &file), [""; 0]);
    let (pushed, failed) = times(&host, &file);
    assert!(pushed == 0.0 && failed > 0.0, "{pushed} {failed}");
    run_well(&host, &["prune"]);
    assert!(names(&host).contains(&file));
    rewrite(&host, &file, "slot-ms", |at| at - 3_700_000);
    host.outcome(&["prune"]);
    assert!(!names(&host).contains(&file));
}

#[test]
fn a_group_is_forgotten_at_its_age_and_does_not_come_back() {
    let host = Host::new();
    push_well(&host, &["job/x", "--max-age", "1h"], "t_a 1\n");
    let file = names(&host)[1].clone();
    rewrite(&host, &file, "last-success-ms", |at| at - 3_700_000);
    // Before anything has swept it.
    push_well(&host, &["job/x", "--max-age", "1h"], "t_b 1\n");
    assert_eq!(samples(&host, &file), ["t_b{job=\"x\"} 1"]);
    rewrite(&host, &file, "last-success-ms", |at| at - 3_700_000);
    assert_eq!(
        host.outcome(&["prune"]),
        (0, format!("{file}: removed: it is past its age\n"), String::new())
    );
    assert!(!names(&host).contains(&file));
    // Nor is it kept by a push that fails, which is told all the same.
    push_well(&host, &["job/x", "--max-age", "1h"], "t_a 1\n");
    rewrite(&host, &file, "last-success-ms", |at| at - 3_700_000);
    assert_eq!(push(&host, &["job/x", "--max-age", "1h"], "no number\n").0, 1);
    assert_eq!(samples(&host, &file), [""; 0]);
    assert!(times(&host, &file).1 > 0.0);
    // Without one, it stays.
    push_well(&host, &["job/x"], "t_a 1\n");
    rewrite(&host, &file, "last-success-ms", |at| at - 400 * 86_400_000);
    run_well(&host, &["prune"]);
    assert!(names(&host).contains(&file));
}

#[test]
fn groups_that_clash_are_refused_with_the_reason() {
    let host = Host::new();
    push_well(&host, &["job/x"], "# TYPE t_a gauge\nt_a 1\n");
    let (status, said) = push(&host, &["job/y"], "# TYPE t_a counter\nt_a 1\n");
    assert_eq!(status, 1);
    assert!(said.contains("`t_a` is of TYPE counter here, and gauge in push.x-"), "{said}");
    // What its own labels make of two series.
    let (status, said) = push(&host, &["job/z/q/1"], "t_b{q=\"1\"} 1\nt_b{q=\"2\"} 1\n");
    assert!(status == 1 && said.contains("this series of `t_b` is there already"), "{said}");
    // A HELP is no contradiction: what stands is for all, and stands if it is none.
    push_well(&host, &["job/w"], "# HELP t_a Two.\n# TYPE t_a gauge\nt_a 1\n");
    push_well(&host, &["job/v"], "# HELP t_c One.\n# TYPE t_c gauge\nt_c 1\n");
    push_well(&host, &["job/w"], "# HELP t_c Two.\n# TYPE t_c gauge\nt_c 1\n");
    push_well(
        &host,
        &["job/x"],
        "t_c{q=\"1\"} 1\n# TYPE t_b gauge\nt_b 1\n".replace("t_c{", "# TYPE t_c gauge\nt_c{").as_str(),
    );
    let texts: String = names(&host).iter().skip(1).map(|file| host.text(file)).collect();
    assert!(texts.matches("# HELP t_c One.").count() == 3 && !texts.contains("Two."), "{texts}");
    assert_eq!(host.outcome(&["lint"]).0, 0);
}

#[test]
fn names_that_are_somebodys_own_are_refused() {
    let host = Host::new();
    for name in ["promdrop_x", "node_load1", "up", "process_cpu_seconds_total"] {
        let (status, said) = push(&host, &["job/x"], &format!("{name} 1\n"));
        assert!(status == 1 && said.contains(&format!("`{name}`")), "{said}");
    }
}

#[test]
fn a_wrong_argument_is_told_before_anything_is_read() {
    let host = Host::new();
    for (arguments, said) in [
        (
            &["instance/x"] as &[&str],
            "GROUP: instance/x names no group: there is no `job/` in it\n   \
             = write job/JOB, job/JOB/LABEL/VALUE, or the URL that was pushed to\n",
        ),
        (
            &["job/x/a", "--max-age", "0s"],
            "GROUP: job/x/a names no group: it has a label without a value\n   \
             = write a value with a slash in it as base64: LABEL@base64/VALUE; an empty one as LABEL@base64/=\n\
             --max-age: an age of 0s is too short\n   = an age is 1s to 35days; `m` is a minute, `M` a month\n",
        ),
    ] {
        let mut command = host.promdrop();
        command.arg("push").args(arguments);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It is open still.
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap()),
            (Some(2), said.to_owned())
        );
        assert_eq!(names(&host), [""; 0]);
    }
}

#[test]
fn files_that_are_not_the_groups_are_left_alone() {
    let host = Host::new();
    push_well(&host, &["job/x"], "t_a 1\n");
    let file = names(&host)[1].clone();
    for (from, to) in [("source: job/x", "source: job/y"), ("kind: push", "kind: write")] {
        let path = host.textfile_dir().join(&file);
        let text = host.text(&file);
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let before = host.text(&file);
        let (status, said) = push(&host, &["job/x"], "t_a 2\n");
        assert!(status == 1 && said.contains("not for"), "{said}");
        push_well(&host, &["job/x", "--delete"], "");
        assert_eq!(host.text(&file), before);
        std::fs::write(&path, text).unwrap();
    }
}

#[test]
fn status_tells_of_a_group_and_why_its_last_push_failed() {
    let host = Host::new();
    push_well(&host, &["job/x/zone/a%2Bb"], "t_a 1\n");
    assert_eq!(push(&host, &["job/y"], "no number\n").0, 1);
    let (status, shown, _) = host.outcome(&["status", "--json"]);
    assert_eq!(status, 1);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let told = |index: usize| {
        ["name", "kind", "state", "result", "reason"]
            .map(|key| shown["collectors"][index][key].as_str().unwrap_or("null").to_owned())
    };
    assert_eq!(told(0), ["job/x/zone/a+b", "push", "success", "success", "null"]);
    assert_eq!(told(1), ["job/y", "push", "failed", "output", "it can't be read as metrics"]);
    push_well(&host, &["job/y"], "t_a 1\n");
    assert_eq!(host.outcome(&["status"]).0, 0);
    // A push that fails is a try, and no success.
    assert_eq!(push(&host, &["job/y"], "no number\n").0, 1);
    let shown: serde_json::Value = serde_json::from_str(&host.outcome(&["status", "--json"]).1).unwrap();
    let time =
        |what: &str| shown["collectors"][1][format!("last_{what}_timestamp_seconds")].as_f64().unwrap();
    assert!(time("run") > time("success"), "{shown}");
}

#[test]
fn what_was_pushed_before_gives_way_to_a_file_that_came_since() {
    let host = Host::new();
    push_well(&host, &["job/x"], "# TYPE t_a gauge\nt_a 1\n");
    let file = names(&host)[1].clone();
    let foreign = |text: &str| std::fs::write(host.textfile_dir().join("foreign.prom"), text).unwrap();
    foreign("# TYPE t_a counter\nt_a 5\n");
    // What is pushed is refused, if it is that.
    assert_eq!(push(&host, &["job/x"], "# TYPE t_a gauge\nt_a 2\n").0, 1);
    let (status, said) = push(&host, &["job/x"], "t_b 2\n");
    assert!(status == 0 && said.contains("foreign.prom:1") && said.contains("withdrawn"), "{said}");
    assert_eq!(samples(&host, &file), ["t_b{job=\"x\"} 2"]);
    push_well(&host, &["job/x"], "t_b 3\n");
    // Nor is a saved scrape of a Pushgateway in the way, whose HELP for the times is another.
    push_well(&host, &["job/x", "--delete"], "");
    foreign(
        "# HELP push_time_seconds Theirs.\n# TYPE push_time_seconds gauge\npush_time_seconds{job=\"q\"} 5\n",
    );
    assert_eq!(push(&host, &["job/y"], "t_b 2\n").0, 0);
    assert_eq!(host.outcome(&["lint"]).0, 0);
}

#[test]
fn a_damaged_file_is_deleted_and_not_replaced_by_a_failure() {
    let host = Host::new();
    push_well(&host, &["job/x"], "t_a 1\n");
    let file = names(&host)[1].clone();
    let path = host.textfile_dir().join(&file);
    let damaged = host.text(&file).replace("format: 1", "format: 2");
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(push(&host, &["job/x"], "no number\n").0, 1);
    assert_eq!(host.text(&file), damaged);
    push_well(&host, &["job/x", "--delete"], "");
    assert!(!path.exists());
    // What can't be read of it any more is not lost in silence.
    push_well(&host, &["job/x"], "t_a 1\n");
    std::fs::write(&path, host.text(&file) + "no number\n").unwrap();
    let (status, said) = push(&host, &["job/x"], "t_b 1\n");
    assert!(status == 0 && said.contains("can't be read and is lost"), "{said}");
}
