//! What `run` and `write` publish beside what others publish: what agrees with it, and no more.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use promdrop::collect::machine::Machine;
use promdrop::collect::runner::{Runner, now};
use promdrop::collect::stop::Stop;
use promdrop::collect::{Outcome, read_module};
use promdrop::config::load::load_directory;
use promdrop::exposition::judge;
use promdrop::textfile::{Claims, Directory};

use crate::run::{names, rewrite, run_well, values};
use crate::support::host::Host;
use crate::write::{body, write, write_well};

/// The collector `stem`, which prints `text`, its definition last changed `at` seconds after some moment.
fn prints(host: &Host, stem: &str, at: u64, text: &str) {
    prints_with(host, stem, at, text, "");
}

fn prints_with(host: &Host, stem: &str, at: u64, text: &str, more: &str) {
    let told = host.path(&format!("{stem}.told"));
    fs::write(&told, text).unwrap();
    let yaml = format!("module: command\ninterval: 7d\n{more}command:\n  argv: [cat, {}]\n", told.display());
    host.collector(stem, &yaml);
    touch(host, stem, at);
}

fn touch(host: &Host, stem: &str, at: u64) {
    let path = host.collectors_dir().join(format!("{stem}.yaml"));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + at);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A gauge with HELP.
fn gauge(name: &str, help: &str, series: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{series} 1\n")
}

fn at(host: &Host, file: &str) -> PathBuf {
    host.textfile_dir().join(file)
}

/// Another tool publishes `text`.
fn lay(host: &Host, file: &str, text: impl AsRef<[u8]>) {
    fs::write(at(host, file), text).unwrap();
}

fn forget_slot(host: &Host, file: &str) {
    rewrite(host, file, "slot-ms", |_| 0);
}

/// No file of the directory harms or contradicts another.
#[track_caller]
fn in_peace(host: &Host) {
    let files: Vec<(String, Vec<u8>)> = names(host)
        .into_iter()
        .filter(|name| name.ends_with(".prom"))
        .map(|name| (name.clone(), fs::read(at(host, &name)).unwrap()))
        .collect();
    let texts: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let harm: Vec<_> = judge(&texts).into_iter().filter(|(_, finding)| finding.harm.is_some()).collect();
    assert!(
        harm.is_empty(),
        "{harm:#?}\n{}",
        texts.iter().map(|(n, t)| format!("{n}:\n{}", String::from_utf8_lossy(t))).collect::<String>()
    );
}

fn conflicts(host: &Host, stem: &str) -> Vec<f64> {
    let runs = format!("promdrop_collector_runs_total{{collector=\"{stem}\",result=\"conflict\"}}");
    values(host, &format!("{stem}.prom"), &runs)
}

fn success(host: &Host, stem: &str) -> f64 {
    values(host, &format!("{stem}.prom"), "promdrop_collector_success")[0]
}

/// `ours`, which collector x prints, contradicts `theirs` of other.prom, and is told so in `message`.
#[track_caller]
fn contradicts(theirs: &str, ours: &str, message: &str) {
    let host = Host::new();
    prints(&host, "x", 0, ours);
    prints(&host, "y", 0, &gauge("peace", "P.", ""));
    lay(&host, "other.prom", theirs);
    let (status, stdout, stderr) = host.outcome(&["run"]);
    let place = at(&host, "x.prom");
    let told = format!("  {}: {message}\n", place.display());
    assert!(stderr.contains(&told), "{told}{stderr}");
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert_eq!(host.text("other.prom"), theirs);
    assert_eq!(body(&host, "x.prom"), "");
    assert_eq!((success(&host, "x"), success(&host, "y")), (0.0, 1.0));
    assert_eq!((conflicts(&host, "x"), conflicts(&host, "y")), (vec![1.0], vec![0.0]));
    in_peace(&host);

    fs::remove_file(at(&host, "other.prom")).unwrap();
    let again = "promdrop: x: it succeeds again\n".to_owned();
    assert_eq!(host.outcome(&["run", "x"]), (0, String::new(), again));
    assert_eq!(success(&host, "x"), 1.0);
    assert_ne!(body(&host, "x.prom"), "");
    // Nor does the other one get in the way from the other side.
    in_peace(&host);
}

#[test]
fn a_series_that_another_file_has_is_told_with_its_line() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", "{a=\"1\",b=\"\"}"));
    lay(
        &host,
        "other.prom",
        format!("# A\n# B\n# C\n{}", gauge("mail", "M.", "{a=\"2\"}") + "mail{a=\"1\"} 7\n"),
    );
    let said = format!(
        "promdrop: x: conflict: its families contradict other files of the directory in 1 place\n  \
         {}: this series of `mail` is also in other.prom:7\n     \
         = publish each series once; give it a label that tells the two apart\n",
        at(&host, "x.prom").display()
    );
    assert_eq!(host.outcome(&["run"]), (1, String::new(), said));
    let text = host.text("x.prom");
    let failure =
        "\n# promdrop-failure: conflict: its families contradict other files of the directory in 1 place\n";
    assert!(text.contains(failure), "{text}");
    // The result is the same in the next slot: said in the hour once, the status is true.
    forget_slot(&host, "x.prom");
    assert_eq!(host.outcome(&["run"]).0, 1);
    assert_eq!(conflicts(&host, "x"), [2.0]);
}

#[test]
fn every_contradiction_keeps_a_result_back() {
    let m = |series: &str| gauge("mail", "M.", series);
    contradicts(&m(""), &m("{a=\"\"}"), "this series of `mail` is also in other.prom:3");
    contradicts(&m("{a=\"\"}"), &m(""), "this series of `mail` is also in other.prom:3");
    // Padded with what other series of the family have, they are the same.
    let padded = m("{a=\"1\"}") + "mail{b=\"\"} 2\n";
    contradicts(&padded, &m(""), "this series of `mail` is also in other.prom:4");
    contradicts(
        "# TYPE mail counter\nmail{a=\"1\"} 1\n",
        &m(""),
        "`mail` is of TYPE gauge here, and counter in other.prom:1",
    );
    contradicts("mail{a=\"1\"} 1\n", &m(""), "`mail` is of TYPE gauge here, and untyped in other.prom:1");
    contradicts(
        "# TYPE mail gauge\nmail{a=\"1\"} 1\n",
        "mail 1\n",
        "`mail` is of TYPE untyped here, and gauge in other.prom:1",
    );
    contradicts(&gauge("mail", "M", "{a=\"1\"}"), &m(""), "`mail` has another HELP in other.prom:1");
    contradicts(
        "# TYPE mail gauge\nmail{a=\"1\"} 1\n",
        &m(""),
        "`mail` has HELP here, and none in other.prom:1",
    );
}

#[test]
fn test_says_what_run_would_say_of_the_directory() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    run_well(&host, &["run"]);
    prints(&host, "x", 1, &gauge("queue", "Q.", ""));
    lay(&host, "other.prom", gauge("queue", "Q.", ""));
    let before = host.text("x.prom");
    let (status, stdout, stderr) = host.outcome(&["test", "x"]);
    let verdict = "\nverdict    conflict: its families contradict other files of the directory in 1 place\n";
    let place =
        format!("{}: this series of `queue` is also in other.prom:3\n", at(&host, "x.prom").display());
    assert!(stdout.contains(verdict) && stdout.contains(&place), "{stdout}");
    assert_eq!((status, stderr.as_str()), (1, ""));
    assert_eq!(host.text("x.prom"), before);
    // What it would withdraw from an older definition's file, or take from there, is in nobody's way; and stays.
    prints(&host, "x", 2, &gauge("mail", "M.", ""));
    prints(&host, "y", 9, &gauge("mail", "New.", "{a=\"1\"}"));
    prints(&host, "w", 9, "# TYPE mail gauge\nmail{a=\"2\"} 1\n");
    for stem in ["x", "y", "w"] {
        let (status, stdout, stderr) = host.outcome(&["test", stem]);
        assert!(stdout.contains("verdict    good: 1 series, which `run` would publish"), "{stdout}");
        assert_eq!((status, stderr.as_str()), (0, ""));
    }
    assert_eq!(host.text("x.prom"), before);
    assert_eq!(names(&host), [".promdrop.lock", "other.prom", "promdrop.prom", "x.prom"]);
    // Somebody else's file of its name.
    lay(&host, "y.prom", "theirs 1\n");
    assert!(host.outcome(&["test", "y"]).1.contains("verdict    conflict: this file is somebody else's"));
}

const HISTOGRAM: &str = "# HELP mail M.\n# TYPE mail histogram\nmail_bucket{le=\"1\"} 1\n\
                         mail_bucket{le=\"+Inf\"} 1\nmail_sum 1\nmail_count 1\n";

#[test]
fn parts_of_a_histogram_keep_a_result_back() {
    contradicts(
        HISTOGRAM,
        &gauge("mail_count", "C.", "{a=\"1\"}"),
        "`mail_count` is a part of the histogram `mail` in other.prom:1",
    );
    contradicts(
        &gauge("mail_sum", "C.", "{a=\"1\"}"),
        HISTOGRAM,
        "the histogram `mail` spreads over `mail_sum` in other.prom:1",
    );
    // Other buckets of the same histogram.
    let other = HISTOGRAM.replace("le=\"1\"", "le=\"2\"");
    contradicts(&other, HISTOGRAM, "this series of `mail` is also in other.prom:3");
}

#[test]
fn what_every_node_exporter_rejects_is_in_nobodys_way() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    lay(&host, "other.prom", gauge("mail", "N.", "") + "broken\n");
    run_well(&host, &["run"]);
    assert_eq!(success(&host, "x"), 1.0);
}

#[test]
fn what_has_no_help_takes_that_of_the_directory() {
    let host = Host::new();
    let typed = "# TYPE mail gauge\nmail 1\n";
    prints(&host, "x", 0, typed);
    run_well(&host, &["run", "x"]);
    assert_eq!(body(&host, "x.prom"), typed);
    // While the other one has no HELP either, all is well.
    lay(&host, "other.prom", "# TYPE mail gauge\nmail{a=\"1\"} 1\n");
    run_well(&host, &["run", "x"]);
    assert_eq!(body(&host, "x.prom"), typed);
    fs::remove_file(at(&host, "x.prom")).unwrap();
    lay(&host, "other.prom", gauge("mail", "With \\\\ and \\n.", "{a=\"1\"}"));
    run_well(&host, &["run", "x"]);
    assert_eq!(body(&host, "x.prom"), gauge("mail", "With \\\\ and \\n.", ""));
    in_peace(&host);
    // One that promdrop would not write is nevertheless what node_exporter serves.
    fs::remove_file(at(&host, "x.prom")).unwrap();
    for help in ["ends in a blank ", "a\rb", "a\u{7}b"] {
        lay(&host, "other.prom", gauge("mail", help, "{a=\"1\"}"));
        let (status, _, stderr) = host.outcome(&["run", "x"]);
        assert_eq!(status, 1);
        assert!(stderr.contains("`mail` has no HELP here, but in other.prom:1"), "{help:?}: {stderr}");
        assert_eq!(conflicts(&host, "x").len(), 1);
    }
}

#[test]
fn keep_keeps_what_agrees_with_the_directory() {
    let host = Host::new();
    let (mail, queue, lists) = (gauge("mail", "M.", ""), gauge("queue", "Q.", ""), gauge("lists", "L.", ""));
    prints_with(&host, "x", 0, &(mail.clone() + &queue + &lists), "on_failure: keep\n");
    run_well(&host, &["run", "x"]);
    // Of what it would publish anew one family is in the way, and of what it has published none.
    lay(&host, "other.prom", gauge("news", "N.", ""));
    prints_with(&host, "x", 0, &(mail.clone() + &gauge("news", "N.", "")), "on_failure: keep\n");
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    assert_eq!(body(&host, "x.prom"), mail.clone() + &queue + &lists);
    // Now of both.
    lay(&host, "other.prom", gauge("news", "N.", "") + &gauge("mail", "Another.", "") + &lists);
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    assert_eq!(body(&host, "x.prom"), queue);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_series"), [1.0]);
    assert_eq!(conflicts(&host, "x"), [2.0]);
    in_peace(&host);
}

/// A file of promdrop's, that it might know again: its header, and when it was modified.
fn known_by(host: &Host, file: &str) -> (String, (i64, i64)) {
    let text = host.text(file);
    let header = text.lines().take_while(|line| line.starts_with("# promdrop-")).collect();
    let stat = fs::metadata(at(host, file)).unwrap();
    (header, (stat.mtime(), stat.mtime_nsec()))
}

#[test]
fn what_an_intruder_contradicts_is_withdrawn_at_the_next_tick() {
    let host = Host::new();
    let (mail, queue) = (gauge("mail", "M.", "{a=\"1\"}"), gauge("queue", "Q.", ""));
    prints(&host, "x", 0, &(mail.clone() + &queue));
    run_well(&host, &["run"]);
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    File::options().write(true).open(at(&host, "x.prom")).unwrap().set_modified(time).unwrap();
    let (before, known) = (host.text("x.prom"), known_by(&host, "x.prom"));
    let said = |file: &str, what: &str, reason: &str| {
        format!("promdrop: {file}: withdrawn, for another file contradicts it: {what}\n  {reason}\n")
    };
    for (intruder, reason) in [
        // Before ours by name, and after it.
        ("a.prom", "this series of `mail` is also in a.prom:3"),
        ("z.prom", "this series of `mail` is also in z.prom:3"),
    ] {
        lay(&host, intruder, &mail);
        let (status, stdout, stderr) = host.outcome(&["run"]);
        assert_eq!((status, stdout, stderr), (1, String::new(), said("x.prom", "mail", reason)));
        assert_eq!(body(&host, "x.prom"), queue);
        assert_eq!(known_by(&host, "x.prom"), known);
        assert_eq!(host.text(intruder), mail);
        in_peace(&host);
        // Once it has gone, it has: nothing is left to be said.
        run_well(&host, &["run"]);
        fs::remove_file(at(&host, intruder)).unwrap();
        lay(&host, "x.prom", &before);
        File::options().write(true).open(at(&host, "x.prom")).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn where_even_health_is_contradicted_the_file_goes() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    prints(&host, "y", 0, &gauge("queue", "Q.", ""));
    run_well(&host, &["run"]);
    let forged = forged();
    lay(&host, "other.prom", &forged);
    for _ in 0..2 {
        let (status, _, stderr) = host.outcome(&["run"]);
        assert_eq!(status, 1);
        assert!(
            stderr.contains("this series of `promdrop_collector_success` is also in other.prom:3"),
            "{stderr}"
        );
        assert_eq!(names(&host), [".promdrop.lock", "other.prom", "promdrop.prom", "y.prom"]);
        assert_eq!(host.text("other.prom"), forged);
    }
    in_peace(&host);
    fs::remove_file(at(&host, "other.prom")).unwrap();
    run_well(&host, &["run"]);
    assert_eq!(body(&host, "x.prom"), gauge("mail", "M.", ""));
}

/// The collector x runs `script`; what another tool lays there meanwhile, no tick has met yet.
fn meanwhile(host: &Host, intruder: &str, script: &str) {
    fs::write(host.path("theirs"), intruder).unwrap();
    let (theirs, other) = (host.path("theirs"), at(host, "other.prom"));
    let told = host.path("x.told");
    let yaml = format!(
        "module: command\non_failure: keep\ncommand:\n  shell: 'cp {} {}; cat {}; {script}'\n",
        theirs.display(),
        other.display(),
        told.display()
    );
    host.collector("x", &yaml);
}

#[test]
fn an_intruder_that_comes_during_a_run_is_met_by_it() {
    let host = Host::new();
    let (mail, queue) = (gauge("mail", "M.", ""), gauge("queue", "Q.", ""));
    prints(&host, "x", 0, &(mail.clone() + &queue));
    run_well(&host, &["run", "x"]);
    prints(&host, "x", 0, &(gauge("news", "N.", "") + &queue));
    meanwhile(&host, &(gauge("news", "N.", "") + &mail), "true");
    // One contradicts what was found, the other what was kept.
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    assert_eq!(body(&host, "x.prom"), queue);
    in_peace(&host);
}

#[test]
fn what_a_failed_run_can_keep_no_longer_is_told() {
    let host = Host::new();
    let (mail, queue) = (gauge("mail", "M.", ""), gauge("queue", "Q.", ""));
    prints(&host, "x", 0, &(mail.clone() + &queue));
    run_well(&host, &["run", "x"]);
    meanwhile(&host, &mail, "exit 3");
    let said = "promdrop: x: exit: it exited with status 3\n\
                promdrop: x: no longer kept: this series of `mail` is also in other.prom:3\n";
    assert_eq!(host.outcome(&["run", "x"]), (1, String::new(), said.to_owned()));
    assert_eq!(body(&host, "x.prom"), queue);
    in_peace(&host);
}

#[test]
fn health_that_is_contradicted_during_a_run_goes_with_the_file() {
    for (script, own) in
        [("true", ""), ("exit 3", "  the run itself had failed: exit: it exited with status 3\n")]
    {
        let host = Host::new();
        prints(&host, "x", 0, &gauge("mail", "M.", ""));
        run_well(&host, &["run", "x"]);
        meanwhile(&host, &forged(), script);
        let said = format!(
            "promdrop: x: conflict: its families contradict other files of the directory in 1 place\n{own}  \
             {}: this series of `promdrop_collector_success` is also in other.prom:3\n     \
             = publish each series once; give it a label that tells the two apart\n",
            at(&host, "x.prom").display()
        );
        assert_eq!(host.outcome(&["run", "x"]), (1, String::new(), said));
        assert_eq!(names(&host), [".promdrop.lock", "other.prom", "promdrop.prom"]);
        in_peace(&host);
    }
}

fn forged() -> String {
    let help = "Whether the last run of the collector succeeded.";
    gauge("promdrop_collector_success", help, "{collector=\"x\"}")
}

#[test]
fn a_link_to_a_file_of_promdrops_is_not_promdrops() {
    let (host, other) = (Host::new(), Host::new());
    prints(&other, "y", 0, &gauge("mail", "M.", ""));
    run_well(&other, &["run", "y"]);
    let theirs = other.text("y.prom");
    symlink(at(&other, "y.prom"), at(&host, "y.prom")).unwrap();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    fs::remove_file(at(&host, "x.prom")).unwrap();
    // Nor is it by its header, for the definitions of the other host.
    let mut again = other.promdrop();
    again.arg("--textfile-dir").arg(host.textfile_dir());
    prints(&other, "a", 9, &gauge("mail", "M.", ""));
    let mut again = crate::support::promdrop();
    again.arg("--collectors-dir").arg(other.collectors_dir()).arg("--textfile-dir").arg(host.textfile_dir());
    assert_eq!(again.args(["run", "a"]).status().unwrap().code(), Some(1));
    assert!(fs::symlink_metadata(at(&host, "y.prom")).unwrap().is_symlink());
    assert_eq!(other.text("y.prom"), theirs);
    assert_eq!(host.text("y.prom"), theirs);
}

#[test]
fn a_link_to_what_is_to_be_published_keeps_it_back() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    let place = at(&host, "x.prom");
    for target in ["x.prom", "../textfile/x.prom", place.to_str().unwrap()] {
        symlink(target, at(&host, "y.prom")).unwrap();
        for _ in 0..2 {
            let (status, _, stderr) = host.outcome(&["run", "x"]);
            assert_eq!(status, 1);
            assert!(
                stderr.contains("y.prom is a link to it, and would have node_exporter read it twice"),
                "{stderr}"
            );
            assert!(!place.exists());
        }
        fs::remove_file(at(&host, "y.prom")).unwrap();
        // By way of another one, too.
        symlink(target, at(&host, "middle")).unwrap();
        symlink("middle", at(&host, "y.prom")).unwrap();
        assert_eq!(host.outcome(&["run", "x"]).0, 1);
        assert!(!place.exists());
        fs::remove_file(at(&host, "y.prom")).unwrap();
        fs::remove_file(at(&host, "middle")).unwrap();
        // Where it leads elsewhere, it is in nobody's way.
        symlink("elsewhere/x.prom", at(&host, "z.prom")).unwrap();
        run_well(&host, &["run", "x"]);
        fs::remove_file(at(&host, "z.prom")).unwrap();
        // A link to what is there already is met like any copy.
        symlink(target, at(&host, "y.prom")).unwrap();
        assert_eq!(host.outcome(&["run"]).0, 1);
        assert!(!place.exists());
        fs::remove_file(at(&host, "y.prom")).unwrap();
    }
}

#[test]
fn what_is_wrong_with_the_files_of_others_is_counted_and_stops_nobody() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    lay(&host, "good.prom", gauge("good", "G.", ""));
    lay(&host, "empty.prom", "");
    lay(&host, "reject1.prom", "broken\n");
    lay(&host, "reject2.prom", "c_a 1 1700000000000\n");
    fs::create_dir(at(&host, "directory.prom")).unwrap();
    lay(&host, "distort.prom", "c_b 1\nc_b 2\n");
    lay(&host, "poison.prom", "c_c{__x=\"1\"} 1\n");
    nix::unistd::mkfifo(&at(&host, "fifo.prom"), Mode::S_IRWXU).unwrap();
    lay(&host, "twin1.prom", "c_d 1\n");
    lay(&host, "twin2.prom", "c_d 1\n");
    let odd = host.textfile_dir().join(std::ffi::OsStr::from_bytes(b"\xff.prom"));
    fs::write(&odd, "c_e 1\n").unwrap();
    symlink("nowhere", at(&host, "dangling.prom")).unwrap();
    symlink("loop.prom", at(&host, "loop.prom")).unwrap();
    let huge = File::create(at(&host, "huge.prom")).unwrap();
    huge.set_len((16 << 20) + 1).unwrap();
    symlink("/dev/zero", at(&host, "zero.prom")).unwrap();
    // Not read by node_exporter at all.
    lay(&host, "x.txt", "broken\n");
    run_well(&host, &["run"]);
    assert_eq!(success(&host, "x"), 1.0);
    let count =
        |class: &str| values(&host, "promdrop.prom", &format!("promdrop_foreign_files{{class=\"{class}\"}}"));
    let counts = ["harmless", "reject", "distort", "poison", "unproven"].map(|class| count(class)[0]);
    // Of the twins the first does no harm without the second. /dev/zero and the directory are rejected.
    assert_eq!(counts, [3.0, 4.0, 1.0, 4.0, 3.0]);
    run_well(&host, &["run", "x"]);
}

/// Both definitions converge: after one run of all, `expected` is what each holds of the family, and it stays so.
#[track_caller]
fn settles(host: &Host, expected: &[(&str, &str)], statuses: &[i32]) {
    for (round, status) in statuses.iter().enumerate() {
        for stem in ["a", "b"] {
            if at(host, &format!("{stem}.prom")).exists() {
                forget_slot(host, &format!("{stem}.prom"));
            }
        }
        let (got, _, stderr) = host.outcome(&["run"]);
        // The older of two may have been first: it finds out in the next run.
        assert!(got == *status || round == 0 && got == 0, "round {round}: {stderr}");
        in_peace(host);
        for (file, text) in expected {
            assert_eq!(body(host, file), *text, "round {round}, {file}: {stderr}");
        }
    }
}

const A: &str = "{x=\"a\"}";
const B: &str = "{x=\"b\"}";

#[test]
fn a_help_that_is_changed_in_both_definitions_is_new_in_both() {
    for (first, second) in [("a", "b"), ("b", "a")] {
        let host = Host::new();
        prints(&host, "a", 0, &gauge("mail", "Old.", A));
        prints(&host, "b", 0, &gauge("mail", "Old.", B));
        run_well(&host, &["run"]);
        prints(&host, first, 10, &gauge("mail", "New.", if first == "a" { A } else { B }));
        prints(&host, second, 20, &gauge("mail", "New.", if first == "a" { B } else { A }));
        let expected = [("a.prom", gauge("mail", "New.", A)), ("b.prom", gauge("mail", "New.", B))];
        settles(&host, &[("a.prom", &expected[0].1), ("b.prom", &expected[1].1)], &[0, 0, 0]);
    }
}

#[test]
fn what_only_has_another_help_comes_back_without_what_is_there_twice() {
    let host = Host::new();
    prints(&host, "b", 0, &(gauge("mail", "Old.", "") + &gauge("queue", "Old.", B)));
    run_well(&host, &["run", "b"]);
    prints(&host, "a", 9, &(gauge("mail", "New.", "") + &gauge("queue", "New.", A)));
    run_well(&host, &["run", "a"]);
    assert_eq!(body(&host, "b.prom"), gauge("queue", "New.", B));
    assert_eq!(body(&host, "a.prom"), gauge("mail", "New.", "") + &gauge("queue", "New.", A));
    in_peace(&host);
}

#[test]
fn definitions_that_are_as_new_as_each_other_take_a_new_help_too() {
    let host = Host::new();
    prints(&host, "a", 0, &gauge("mail", "Old.", A));
    prints(&host, "b", 0, &gauge("mail", "Old.", B));
    run_well(&host, &["run"]);
    // As where every file of a system has the same time.
    prints(&host, "a", 0, &gauge("mail", "New.", A));
    prints(&host, "b", 0, &gauge("mail", "New.", B));
    let (a, b) = (gauge("mail", "New.", A), gauge("mail", "New.", B));
    settles(&host, &[("a.prom", &a), ("b.prom", &b)], &[0, 0, 0]);
}

#[test]
fn of_two_helps_that_of_the_newer_definition_is_for_both() {
    for (newer, older) in [("a", "b"), ("b", "a")] {
        let host = Host::new();
        prints(&host, "a", 0, &gauge("mail", "Old.", A));
        prints(&host, "b", 0, &gauge("mail", "Old.", B));
        run_well(&host, &["run"]);
        prints(&host, newer, 10, &gauge("mail", "New.", if newer == "a" { A } else { B }));
        let (a, b) = (gauge("mail", "New.", A), gauge("mail", "New.", B));
        settles(&host, &[("a.prom", &a), ("b.prom", &b)], &[0, 0, 0]);
        // One alone finds the same, whichever it is.
        for stem in [older, newer, older, older, newer] {
            run_well(&host, &["run", stem]);
            assert_eq!((body(&host, "a.prom"), body(&host, "b.prom")), (a.clone(), b.clone()), "{stem}");
        }
        // What was touched and not changed wins from now on.
        touch(&host, older, 30);
        let (a, b) = (gauge("mail", "Old.", A), gauge("mail", "Old.", B));
        settles(&host, &[("a.prom", &a), ("b.prom", &b)], &[0, 0]);
    }
}

#[test]
fn some_help_goes_before_none_whichever_is_newer() {
    let typed = |series: &str| format!("# TYPE mail gauge\nmail{series} 1\n");
    for (at_a, at_b) in [(0, 10), (10, 0), (0, 0)] {
        let host = Host::new();
        prints(&host, "a", at_a, &gauge("mail", "M.", A));
        prints(&host, "b", at_b, &typed(B));
        let (a, b) = (gauge("mail", "M.", A), gauge("mail", "M.", B));
        settles(&host, &[("a.prom", &a), ("b.prom", &b)], &[0, 0, 0]);
    }
    // Its series are another matter: the newer definition's are published, or it would go to and fro.
    let host = Host::new();
    prints(&host, "a", 0, &gauge("mail", "M.", A));
    prints(&host, "b", 10, &typed(A));
    for (stem, a, b) in [
        ("a", gauge("mail", "M.", A), None),
        // It still takes the HELP of what gives way to it.
        ("b", String::new(), Some(gauge("mail", "M.", A))),
        ("a", String::new(), Some(gauge("mail", "M.", A))),
        ("b", String::new(), Some(typed(A))),
        ("a", String::new(), Some(typed(A))),
        ("a", String::new(), Some(typed(A))),
        ("b", String::new(), Some(typed(A))),
    ] {
        host.outcome(&["run", stem]);
        assert_eq!(body(&host, "a.prom"), a, "{stem}");
        assert_eq!(at(&host, "b.prom").exists().then(|| body(&host, "b.prom")), b, "{stem}");
        in_peace(&host);
    }
}

#[test]
fn a_file_of_a_definition_that_has_changed_since_gives_way() {
    let host = Host::new();
    prints(&host, "a", 20, &gauge("mail", "Old.", A));
    prints(&host, "b", 10, &gauge("mail", "Old.", B));
    run_well(&host, &["run"]);
    // To an older one, as when a change is taken back.
    prints(&host, "a", 0, &gauge("mail", "New.", A));
    prints(&host, "b", 10, &gauge("mail", "New.", B));
    run_well(&host, &["run", "b"]);
    run_well(&host, &["run", "a"]);
    assert_eq!(body(&host, "a.prom"), gauge("mail", "New.", A));
    assert_eq!(body(&host, "b.prom"), gauge("mail", "New.", B));
}

#[test]
fn a_type_that_is_changed_in_one_definition_is_a_conflict_for_the_older() {
    for (newer, older) in [("a", "b"), ("b", "a")] {
        let host = Host::new();
        prints(&host, "a", 0, &gauge("mail", "M.", A));
        prints(&host, "b", 0, &gauge("mail", "M.", B));
        run_well(&host, &["run"]);
        let counter = gauge("mail", "M.", A).replace("gauge", "counter");
        prints(&host, newer, 10, &counter);
        let (new_file, old_file) = (format!("{newer}.prom"), format!("{older}.prom"));
        settles(&host, &[(&new_file, &counter), (&old_file, "")], &[1, 1, 1]);
        // Once it is changed in the other too, both are published.
        let counter_b = counter.replace(A, B);
        prints(&host, older, 20, &counter_b);
        settles(&host, &[(&new_file, &counter), (&old_file, &counter_b)], &[0, 0]);
    }
}

#[test]
fn of_two_with_the_same_series_the_newer_definition_has_it() {
    for (newer, older) in [("a", "b"), ("b", "a")] {
        let host = Host::new();
        let mail = gauge("mail", "M.", A);
        prints(&host, older, 0, &mail);
        prints(&host, newer, 10, &mail);
        let (new_file, old_file) = (format!("{newer}.prom"), format!("{older}.prom"));
        settles(&host, &[(&new_file, &mail), (&old_file, "")], &[1, 1, 1]);
        assert!(conflicts(&host, older)[0] >= 2.0);
        assert_eq!(conflicts(&host, newer), [0.0]);
        for stem in [older, newer, older, older, newer] {
            let (status, ..) = host.outcome(&["run", stem]);
            assert_eq!(status, i32::from(stem == older));
            assert_eq!((body(&host, &new_file), body(&host, &old_file)), (mail.clone(), String::new()));
        }
    }
}

#[test]
fn a_renamed_definition_takes_its_family_with_it() {
    let host = Host::new();
    let mail = gauge("mail", "M.", "");
    prints(&host, "old", 10, &mail);
    prints(&host, "other", 0, &gauge("queue", "Q.", ""));
    run_well(&host, &["run"]);
    fs::remove_file(host.collectors_dir().join("old.yaml")).unwrap();
    // A rename keeps the time.
    prints(&host, "new", 0, &mail);
    // Whatever runs next removes what it left.
    let said = "promdrop: old.prom: removed: no definition claims it any more\n";
    assert_eq!(host.outcome(&["run", "other"]), (0, String::new(), said.to_owned()));
    run_well(&host, &["run"]);
    assert_eq!(names(&host), [".promdrop.lock", "new.prom", "other.prom", "promdrop.prom"]);
    assert_eq!(body(&host, "new.prom"), mail);
    in_peace(&host);
}

/// A long run knows the definitions of when it began.
#[test]
fn what_a_newer_definition_published_is_not_removed_by_who_has_not_seen_that() {
    let host = Host::new();
    let define = |stem: &str, at: u64| {
        host.collector(stem, "module: netstat\n");
        touch(&host, stem, at);
    };
    define("x", 0);
    let loaded = load_directory(&host.collectors_dir(), &read_module).unwrap();
    let source = host.collectors_dir().canonicalize().unwrap().display().to_string();
    let definitions = [("x.prom".to_owned(), loaded.definitions[0].modified)].into();
    let claims = Claims { source, definitions, ..Claims::default() };
    define("y", 10);
    run_well(&host, &["run", "y"]);
    let published = host.text("y.prom");
    let directory = Directory::open(&host.textfile_dir()).unwrap();
    let (stop, machine) = (Stop::listen().unwrap(), Machine::default());
    let runner = Runner { directory: &directory, stop: &stop, claims, machine: &machine };
    assert_eq!(runner.run(&loaded.definitions[0], now()).outcome, Outcome::Conflict);
    assert_eq!(host.text("y.prom"), published);
}

#[test]
fn one_name_asked_for_claims_no_less_than_all() {
    let host = Host::new();
    let mail = gauge("mail", "M.", "");
    prints(&host, "a", 10, &mail);
    prints(&host, "b", 0, &mail);
    run_well(&host, &["run", "a"]);
    assert_eq!(host.outcome(&["run", "b"]).0, 1);
    assert_eq!((body(&host, "a.prom"), body(&host, "b.prom")), (mail, String::new()));
}

#[test]
fn what_is_disabled_or_does_not_load_still_claims_its_name() {
    for broken in ["module: comand\n", "module: command\nenabled: false\ncommand: {argv: ['true']}\n"] {
        let host = Host::new();
        let mail = gauge("mail", "M.", "");
        prints(&host, "a", 10, &mail);
        run_well(&host, &["run"]);
        host.collector("a", broken);
        touch(&host, "a", 10);
        prints(&host, "b", 0, &mail);
        assert_eq!(host.outcome(&["run", "b"]).0, 1, "{broken}");
        assert_eq!((body(&host, "a.prom"), body(&host, "b.prom")), (mail, String::new()), "{broken}");
        in_peace(&host);
    }
}

#[test]
fn what_another_version_published_is_published_anew_in_one_run() {
    for (line, other) in [
        ("# promdrop-format: 1\n", "# promdrop-format: 2\n"),
        ("# promdrop-kind: collector\n", "# promdrop-kind: collector\n# promdrop-new: x\n"),
        ("# promdrop-kind: collector\n", "# promdrop-kind: coll"),
    ] {
        let host = Host::new();
        prints(&host, "a", 0, &gauge("mail", "Old.", A));
        prints(&host, "b", 0, &gauge("mail", "Old.", B));
        run_well(&host, &["run"]);
        for file in ["a.prom", "b.prom", "promdrop.prom"] {
            lay(&host, file, host.text(file).replace(line, other));
        }
        let (a, b) = (gauge("mail", "New.", A), gauge("mail", "New.", B));
        prints(&host, "a", 0, &a);
        prints(&host, "b", 0, &b);
        let (status, stdout, stderr) = host.outcome(&["run"]);
        assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, "", ""), "{other}");
        assert_eq!((body(&host, "a.prom"), body(&host, "b.prom")), (a, b));
        assert!(host.text("promdrop.prom").starts_with("# promdrop-format: 1\n"));
        in_peace(&host);
    }
}

#[test]
fn the_files_of_another_collectors_directory_are_somebody_elses() {
    let host = Host::new();
    let mail = gauge("mail", "M.", "");
    prints(&host, "a", 0, &mail);
    run_well(&host, &["run"]);
    let before = host.text("a.prom");
    let (other, place) = (Host::new(), host.textfile_dir());
    prints(&other, "b", 10, &mail);
    let mut command = crate::support::promdrop();
    command.arg("--collectors-dir").arg(other.collectors_dir()).arg("--textfile-dir").arg(place);
    let output = command.args(["run", "b"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("this series of `mail` is also in a.prom:"), "{stderr}");
    assert_eq!(host.text("a.prom"), before);
    assert_eq!(body(&host, "b.prom"), "");
}

#[test]
fn a_write_that_contradicts_a_collector_or_a_write_is_refused() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    run_well(&host, &["run"]);
    write_well(&host, &["first"], &gauge("queue", "Q.", ""));
    write_well(&host, &["second"], &gauge("before", "B.", ""));
    let before = host.text("second.prom");
    let place = at(&host, "second.prom");
    let line =
        |file: &str, start: &str| host.text(file).lines().position(|l| l.starts_with(start)).unwrap() + 1;
    let said = |problems: &[String]| {
        let cure = "publish each series once; give it a label that tells the two apart";
        let told = |problem: &String| format!("{}: {problem}\n   = {cure}\n", place.display());
        format!("promdrop: {}", problems.iter().map(told).collect::<String>())
    };
    let text = gauge("mail", "M.", "") + &gauge("queue", "Q.", "") + &gauge("free", "F.", "");
    let problems = [
        format!("this series of `queue` is also in first.prom:{}", line("first.prom", "queue")),
        format!("this series of `mail` is also in x.prom:{}", line("x.prom", "mail")),
    ];
    assert_eq!(write(&host, &["second"], text), (1, said(&problems)));
    assert_eq!(host.text("second.prom"), before);
    // With a label of its own it is nobody else's.
    write_well(&host, &["second", "--label", "who=me"], &gauge("mail", "M.", ""));
    in_peace(&host);
}

#[test]
fn a_write_takes_the_help_of_the_directory_and_is_held_to_its_type() {
    let host = Host::new();
    prints(&host, "x", 0, &(gauge("mail", "M.", "") + "# HELP queue Q.\nqueue 1\n"));
    run_well(&host, &["run"]);
    write_well(&host, &["w"], "# TYPE mail gauge\nmail{a=\"1\"} 1\nqueue{a=\"1\"} 1\n");
    let expected = gauge("mail", "M.", "{a=\"1\"}") + "# HELP queue Q.\nqueue{a=\"1\"} 1\n";
    assert_eq!(body(&host, "w.prom"), expected);
    in_peace(&host);
    let (status, said) = write(&host, &["w"], "mail{a=\"1\"} 1\n");
    assert_eq!(status, 1);
    assert!(said.contains("`mail` is of TYPE untyped here, and gauge in x.prom:"), "{said}");
    assert_eq!(body(&host, "w.prom"), expected);
}

#[test]
fn a_help_that_is_new_in_two_writes_is_new_in_both() {
    let host = Host::new();
    write_well(&host, &["a"], &gauge("mail", "Old.", A));
    write_well(&host, &["b"], &(gauge("mail", "Old.", B) + &gauge("queue", "Q.", "")));
    let known = known_by(&host, "b.prom");
    write_well(&host, &["a"], &gauge("mail", "New.", A));
    assert_eq!(body(&host, "a.prom"), gauge("mail", "New.", A));
    // Its numbers and its age are its own.
    assert_eq!(body(&host, "b.prom"), gauge("mail", "New.", B) + &gauge("queue", "Q.", ""));
    assert_eq!(known_by(&host, "b.prom"), known);
    in_peace(&host);
    write_well(&host, &["b"], &gauge("mail", "New.", B));
    in_peace(&host);
    // The same series is refused, whatever HELP it has.
    for help in ["New.", "Newer."] {
        assert_eq!(write(&host, &["a"], gauge("mail", help, B)).0, 1);
        assert_eq!(body(&host, "a.prom"), gauge("mail", "New.", A));
        assert_eq!(body(&host, "b.prom"), gauge("mail", "New.", B));
    }
    // What a collector says of it stands.
    prints(&host, "x", 0, &gauge("mail", "New.", ""));
    run_well(&host, &["run"]);
    assert_eq!(write(&host, &["a"], gauge("mail", "Newer.", A)).0, 1);
    assert_eq!(body(&host, "b.prom"), gauge("mail", "New.", B));
    in_peace(&host);
}

#[test]
fn what_is_taken_over_is_not_in_its_own_way() {
    let host = Host::new();
    lay(&host, "w.prom", "# TYPE mail counter\nmail 1\n");
    write_well(&host, &["w", "--adopt"], &gauge("mail", "M.", ""));
    assert_eq!(body(&host, "w.prom"), gauge("mail", "M.", ""));
    write_well(&host, &["w"], "mail 2\n");
    assert_eq!(body(&host, "w.prom"), "mail 2\n");
}

#[test]
fn the_names_of_the_files_of_others_write_nothing_to_a_terminal() {
    let host = Host::new();
    prints(&host, "x", 0, &gauge("mail", "M.", ""));
    lay(&host, "\u{1b}[2J\n.prom", gauge("mail", "M.", ""));
    let (_, _, stderr) = host.outcome(&["run", "x"]);
    assert!(stderr.contains("`mail` is also in \\x1b[2J\\x0a.prom:3\n"), "{stderr}");
    let (_, said) = write(&host, &["w"], gauge("mail", "M.", ""));
    assert!(said.contains("`mail` is also in \\x1b[2J\\x0a.prom:3\n"), "{said}");
    fs::remove_file(at(&host, "x.prom")).unwrap();
}
