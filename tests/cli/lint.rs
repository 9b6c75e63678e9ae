//! `promdrop lint` as its user sees it. What it finds in which text is the business of src/exposition.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{promdrop, wait_for};

/// No lint of a few files takes so long, however slow the machine.
const LIMIT: Duration = Duration::from_secs(60);

const GOOD: &str = "# HELP c_a x\n# TYPE c_a gauge\nc_a 1\n";

/// A directory as node_exporter's would be, readable by all.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    }
    dir
}

/// Exit status, stdout and stderr of `command`, which ends by itself.
fn ended(mut command: Command) -> (i32, String, String) {
    let [mut out, mut err] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    let mut child =
        command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap()).spawn().unwrap();
    let status = wait_for(LIMIT, "lint ends", || child.try_wait().unwrap().ok_or("it still runs"));
    let text = |file: &mut File| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    (status.code().expect("ended by a signal"), text(&mut out), text(&mut err))
}

fn lint(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = promdrop();
    command.current_dir(dir).arg("lint").args(arguments).stdin(Stdio::null());
    ended(command)
}

/// Compares all that lint prints with tests/data/lint/`case`.txt.
fn assert_said(case: &str, dir: &TempDir, arguments: &[&str]) {
    let (status, stdout, stderr) = lint(dir.path(), arguments);
    let said = format!("{stdout}{stderr}exit status {status}\n");
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/lint/{case}.txt"));
    if std::env::var_os("PROMDROP_BLESS").is_some() {
        fs::write(&expected, &said).unwrap();
    }
    let golden = fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(said, golden, "PROMDROP_BLESS=1 accepts what {case} says:\n{said}");
}

#[test]
fn where_all_is_good_nothing_is_said() {
    let dir = directory(&[("a.prom", GOOD.as_bytes()), ("b.prom", b""), ("c.txt", b"\0\xff")]);
    symlink("/dev/null", dir.path().join("d.prom")).unwrap();
    for arguments in [&[][..], &["."], &["a.prom"], &["a.prom", "b.prom"], &["--strict"]] {
        let mut command = promdrop();
        command.current_dir(dir.path()).arg("lint").args(arguments).env("PROMDROP_TEXTFILE_DIR", ".");
        assert_eq!(ended(command), (0, String::new(), String::new()), "{arguments:?}");
    }
}

#[test]
fn each_class_is_told_with_its_place_effect_and_cure() {
    let text = "c_a{__x=\"1\"} 1\n# HELP c_b x\n# TYPE c_b gauge\nc_b-1\nc_b{y=\"1\"} 1 1700000000000\n";
    assert_said("classes", &directory(&[("a.prom", text.as_bytes())]), &["a.prom"]);
}

#[test]
fn advice_fails_only_where_it_is_asked_to() {
    let dir = directory(&[("a", b"# TYPE c_requests counter\nc_requests 1\n")]);
    assert_said("advice", &dir, &["a"]);
    assert_said("advice-strict", &dir, &["a", "--strict"]);
}

#[test]
fn contradictions_are_told_with_the_other_file_and_its_line() {
    let dir = directory(&[
        (
            "a.prom",
            b"# HELP c_help x\nc_help 1\n# TYPE c_type gauge\nc_type 1\n# TYPE c_h histogram\n\
            c_h_bucket{le=\"+Inf\"} 1\nc_h_sum 1\nc_h_count 1\nc_series{x=\"1\"} 1\nc_series 2\n",
        ),
        (
            "b.prom",
            b"\n# HELP c_help y\nc_help{x=\"1\"} 1\n# TYPE c_type counter\nc_type{x=\"1\"} 1\nc_h_count 1\n\
            c_series{x=\"2\"} 1\nc_series{y=\"\"} 2\n",
        ),
    ]);
    assert_said("clashes", &dir, &["."]);
    // For itself, each is good.
    assert_eq!(lint(dir.path(), &["a.prom", "b.prom"]).0, 0);
}

#[test]
fn the_readme_shows_what_is_said() {
    let dir = directory(&[
        ("backup.prom", b"backup_age_seconds 42\nbackup_errors{__host=\"db1\"} 0\nbackup_size-1\n"),
        ("other.prom", b"backup_age_seconds 42\n"),
    ]);
    let (_, stdout, _) = lint(dir.path(), &["."]);
    let mut wanted = false;
    let harms: String = stdout
        .lines()
        .filter(|line| {
            // A problem goes on as long as its lines begin with a blank.
            if !line.starts_with(' ') {
                wanted = line.starts_with("./") && !line.contains(": advice ");
            }
            wanted
        })
        .map(|line| format!("    {line}\n"))
        .collect();
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("    $ promdrop lint .\n{harms}\n")), "{harms}");
}

#[test]
fn entries_are_judged_by_kind_and_name() {
    let dir = directory(&[("good.prom", GOOD.as_bytes())]);
    let path = |name: &str| dir.path().join(name);
    nix::unistd::mkfifo(&path("fifo.prom"), Mode::from_bits_truncate(0o644)).unwrap();
    nix::unistd::mkfifo(&path("fifo"), Mode::from_bits_truncate(0o644)).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(path("socket.prom")).unwrap();
    fs::create_dir(path("directory.prom")).unwrap();
    symlink("/dev/zero", path("zero.prom")).unwrap();
    symlink("/dev/null", path("null.prom")).unwrap();
    symlink("/dev/tty", path("tty.prom")).unwrap();
    symlink("nowhere", path("dangling.prom")).unwrap();
    symlink("loop.prom", path("loop.prom")).unwrap();
    symlink("good.prom", path("same.prom")).unwrap();
    for (name, text) in
        [(&b"name-\xff.prom"[..], "c_b 1\n"), (b"rejected-\xff.prom", "c_b\n"), (b"\xff.txt", "c_b\n")]
    {
        let file = dir.path().join(PathBuf::from(std::ffi::OsString::from_vec(name.to_vec())));
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    }
    assert_said("entries", &dir, &["."]);
    // One by one, and at once, whatever it is.
    assert_said("kinds", &dir, &["fifo", "fifo.prom", "/dev/zero", "socket.prom", "/dev/null", "same.prom"]);
}

#[test]
fn a_file_must_be_readable_by_node_exporters_user() {
    // The owner of the directory may be node_exporter's user; root can't be taken for it, and neither could a user
    // that is the directory's group only. As no root, there is but one user to be.
    let dir = directory(&[("a.prom", GOOD.as_bytes())]);
    let is_root = nix::unistd::geteuid().is_root();
    fs::set_permissions(dir.path().join("a.prom"), Permissions::from_mode(0o600)).unwrap();
    let (status, stdout, _) = lint(dir.path(), &["."]);
    if is_root {
        assert_eq!(status, 1);
        let first = stdout.lines().next().unwrap();
        assert_eq!(
            first,
            "./a.prom: reject unreadable-file: mode 0600: only root and its owner can be sure to read this"
        );
        // That of the directory's group.
        let group = Some(nix::unistd::Gid::from_raw(12345));
        for path in [dir.path().to_owned(), dir.path().join("a.prom")] {
            nix::unistd::chown(&path, None, group).unwrap();
        }
        assert_eq!(lint(dir.path(), &["."]).0, 1);
        fs::set_permissions(dir.path().join("a.prom"), Permissions::from_mode(0o640)).unwrap();
        assert_eq!(lint(dir.path(), &["."]), (0, String::new(), String::new()));
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let (status, stdout, _) = lint(dir.path(), &["."]);
        assert_eq!(status, 1);
        assert!(
            stdout.starts_with(".: poison unreadable-directory: mode 0700: only root can list"),
            "{stdout}"
        );
        // That of its owner.
        for path in [dir.path().to_owned(), dir.path().join("a.prom")] {
            nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(12345)), None).unwrap();
        }
    }
    assert_eq!(lint(dir.path(), &["."]), (0, String::new(), String::new()));
    // Alone, it may be a draft.
    assert_eq!(lint(dir.path(), &["a.prom"]).0, 0);
}

#[test]
fn no_text_or_name_can_write_to_a_terminal() {
    let long = format!("c_long{{x=\"{}\",__y=\"1\",z=\"{}\"}} 1\n", "é".repeat(3000), "€".repeat(3000));
    let text = [b"c_a{x=\"\x1b[2J\",\x1b=\"1\"} 1\n\tc_b{x=\"\xff\"} \x9b1\n", long.as_bytes()].concat();
    let dir = directory(&[("\x1b[2J", &text)]);
    let (status, stdout, stderr) = lint(dir.path(), &["\x1b[2J"]);
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !c.is_control();
    assert_eq!((status, stderr.as_str()), (1, ""));
    assert!(stdout.chars().all(is_plain), "{stdout:?}");
    assert!(stdout.lines().all(|line| line.chars().count() < 200), "{stdout}");
    assert_said("terminal", &dir, &["\x1b[2J"]);
    let (_, _, stderr) = lint(dir.path(), &["\x1b[2J-nothing"]);
    assert!(stderr.chars().all(is_plain), "{stderr:?}");
}

#[test]
fn many_problems_are_told_in_few_words() {
    let dir = directory(&[("flood.prom", "c_a{__x=\"1\"} 1\n".repeat(100_000).as_bytes())]);
    let (status, stdout, _) = lint(dir.path(), &["."]);
    assert_eq!(status, 1);
    let last: Vec<&str> = stdout.lines().rev().take(2).collect();
    assert_eq!(
        last,
        ["200001 problems in 1 file: 50 poison, 50 distort, 2 advice", "./flood.prom: 199899 more problems"]
    );
    // Between files as well.
    let families = |help: &str| -> String {
        (0..1000)
            .map(|i| format!("# HELP c_{i} {help}\n# TYPE c_{i} gauge\nc_{i}{{x=\"{help}\"}} 1\n"))
            .collect()
    };
    let dir = directory(&[("a.prom", families("a").as_bytes()), ("b.prom", families("b").as_bytes())]);
    let (status, stdout, _) = lint(dir.path(), &["."]);
    assert_eq!(status, 1);
    let last: Vec<&str> = stdout.lines().rev().take(2).collect();
    assert_eq!(last, ["1000 problems in 1 file: 100 poison", "./b.prom: 900 more problems"]);
}

#[test]
fn a_path_that_is_not_there_is_told_and_the_others_are_checked() {
    let dir = directory(&[("bad.prom", b"c_a")]);
    assert_said("missing", &dir, &["nowhere", "bad.prom", "nowhere/"]);
    let mut command = promdrop();
    command.current_dir(dir.path()).args(["lint", "--textfile-dir", "nowhere"]);
    let (status, _, stderr) = ended(command);
    assert_eq!(status, 2);
    assert!(stderr.starts_with("nowhere: the textfile directory does not exist\n   = "), "{stderr}");
    assert_eq!(lint(dir.path(), &["--loud"]).0, 2);
}

#[test]
fn stdin_is_a_file_like_any_other() {
    let dir = directory(&[("good", GOOD.as_bytes()), ("bad", b"c_a\n")]);
    let comment = format!("# {}\n", "x".repeat(998)).repeat(3000);
    fs::write(dir.path().join("large"), format!("{comment}{GOOD}")).unwrap();
    for (file, expected) in [("good", (0, "")), ("large", (0, "")), ("bad", (1, "-:1:4: reject value: "))] {
        let mut command = promdrop();
        command.args(["lint", "-"]).stdin(File::open(dir.path().join(file)).unwrap());
        let (status, stdout, stderr) = ended(command);
        assert_eq!((status, stderr.as_str()), (expected.0, ""));
        assert!(stdout.starts_with(expected.1) && stdout.is_empty() == expected.1.is_empty(), "{stdout}");
    }
    let mut command = promdrop();
    command.args(["lint", "-"]).stdin(File::open(dir.path()).unwrap());
    assert_eq!(ended(command), (2, String::new(), "-: can't be read: Is a directory\n".to_owned()));
}

fn json_of(dir: &Path, arguments: &[&str]) -> (i32, Value) {
    let (status, stdout, _) = lint(dir, &[&["--json"], arguments].concat());
    (status, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}")))
}

#[test]
fn a_program_gets_one_document() {
    let dir = directory(&[
        ("a.prom", b"# HELP c_a x\n# TYPE c_a gauge\nc_a 1\n"),
        ("b.prom", b"# HELP c_a x\n# TYPE c_a gauge\n  c_a 2\n"),
        ("c.prom", b"# HELP c_c \\\"x\n# TYPE c_c gauge\nc_c 1\n"),
    ]);
    let (status, document) = json_of(dir.path(), &[".", "nowhere"]);
    assert_eq!(status, 2);
    let expected = json!({
        "class": "poison",
        "problems": 2,
        "counts": {"poison": 1, "reject": 1},
        "files": [
            {"path": "./a.prom", "class": "good", "problems": [], "more": 0},
            {"path": "./b.prom", "class": "poison", "more": 0, "problems": [{
                "path": "./b.prom",
                "line": 3,
                "column": 3,
                "rule": "series-conflict",
                "class": "poison",
                "message": "this series of `c_a` is also in a.prom:3",
                "effect": "one of the two numbers is lost, and the error flag stays 0",
                "rejected_by": [],
                "cure": "publish each series once; give it a label that tells the two apart",
                "other": {"path": "./a.prom", "line": 3, "column": 1},
            }]},
            {"path": "./c.prom", "class": "reject", "more": 0, "problems": [{
                "path": "./c.prom",
                "line": 1,
                "column": 12,
                "rule": "help-quote",
                "class": "reject",
                "message": "a quote with a backslash before it in HELP",
                "effect": "1.5.0 rejects the file; 1.9.0 and later take it",
                "rejected_by": ["1.5.0"],
                "cure": "write the quote as it is, without a backslash",
                "other": null,
            }]},
        ],
        "unreadable": [{"path": "nowhere", "message": "can't be read: No such file or directory"}],
    });
    assert_eq!(document, expected, "{document:#}");

    // What is of a file as a whole has no line.
    symlink("nowhere", dir.path().join("d.prom")).unwrap();
    let (_, document) = json_of(dir.path(), &["."]);
    let problem = &document["files"][3]["problems"][0];
    assert_eq!((&problem["rule"], &problem["line"]), (&json!("broken-link"), &Value::Null));

    let (status, document) = json_of(dir.path(), &["a.prom"]);
    assert_eq!((status, &document["class"]), (0, &json!("good")));
    fs::write(dir.path().join("e"), "c_e 1\n").unwrap();
    let (status, document) = json_of(dir.path(), &["e"]);
    assert_eq!((status, &document["class"]), (0, &json!("advice")));
    assert_eq!(json_of(dir.path(), &["e", "--strict"]).0, 1);
}

/// Writes to `path` until it is dropped.
struct Writer<'a> {
    stop: &'a AtomicBool,
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_file_that_grows_is_not_followed() {
    let dir = directory(&[("grows.prom", GOOD.as_bytes())]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _writer = Writer { stop: &stop };
        scope.spawn(|| {
            let mut file = File::options().append(true).open(dir.path().join("grows.prom")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"# and on it goes\n").unwrap();
            }
        });
        for _ in 0..20 {
            // Either a moment was found at which nobody wrote, perhaps in the middle of a line, or none.
            let (status, stdout, _) = lint(dir.path(), &["."]);
            let is_changing = stdout.starts_with("./grows.prom: reject changing-file: ");
            let is_cut = stdout.contains(": reject unended-line: ");
            assert!(
                (status, &*stdout) == (0, "") || (status == 1 && (is_changing || is_cut)),
                "{status}: {stdout}"
            );
        }
    });
    // What stands in /proc says that it is empty, and never is.
    let dir = directory(&[]);
    symlink("/proc/version", dir.path().join("grows.prom")).unwrap();
    assert_said("grows", &dir, &["."]);
    assert_eq!(lint(dir.path(), &["grows.prom"]).0, 1);
}

#[test]
fn a_file_larger_than_any_scrape_is_not_looked_into() {
    let dir = directory(&[]);
    File::create(dir.path().join("huge.prom")).unwrap().set_len(1 << 40).unwrap();
    assert_said("huge", &dir, &["huge.prom"]);
}

/// Series of long lines, as most are.
fn series(prefix: &str, count: usize) -> String {
    let mut text = "# HELP c_large x\n# TYPE c_large gauge\n".to_owned();
    let tail = "y".repeat(400);
    (0..count).for_each(|i| text.push_str(&format!("c_large{{x=\"{prefix}{i}\",y=\"{tail}\"}} {i}\n")));
    text
}

/// The limit is of what a process may have of its own, in memory that isn't a file's.
fn lint_within(kibibytes: usize, dir: &Path, path: &str) -> (i32, String, String) {
    let mut command = Command::new("bash");
    let script = "ulimit -d \"$1\"; exec \"$2\" lint \"$3\" <large.prom";
    command.current_dir(dir).args(["-euc", script, "bash", &kibibytes.to_string()]);
    command.args([env!("CARGO_BIN_EXE_promdrop"), path]);
    ended(command)
}

#[test]
fn no_more_memory_is_taken_than_the_file_half_as_much_again_and_its_series() {
    const SERIES: usize = 120_000;
    let text = series("one", SERIES);
    let dir = directory(&[("large.prom", text.as_bytes())]);
    let kibibytes = |bytes: usize| bytes / 1024 + 4096;
    let room = SERIES * 64 + (4 << 20);
    assert!(text.len() > 48 << 20);
    // Only of what can't be read twice all is held.
    for (path, room) in [("large.prom", room), ("-", text.len() * 3 / 2 + room), (".", room)] {
        assert_eq!(
            lint_within(kibibytes(room), dir.path(), path),
            (0, String::new(), String::new()),
            "{path}"
        );
    }
    // Two of that size at once, which have one series in common.
    let shared = text.lines().last().unwrap();
    let again = format!("{}{shared}\n", series("two", SERIES));
    fs::write(dir.path().join("again.prom"), again).unwrap();
    let (status, stdout, _) = lint_within(kibibytes(room + SERIES * 64), dir.path(), ".");
    assert_eq!(status, 1, "{stdout}");
    assert!(stdout.contains(": poison series-conflict: "), "{stdout}");
    // Where there is less memory than that, it says so.
    fs::write(dir.path().join("line.prom"), format!("# {}\n", "x".repeat(48 << 20))).unwrap();
    for path in ["line.prom", "-"] {
        let (status, stdout, stderr) = lint_within(kibibytes(24 << 20), dir.path(), path);
        assert_eq!((status, stderr.as_str()), (1, ""), "{path}");
        assert!(stdout.starts_with(&format!("{path}: poison huge-file: ")), "{stdout}");
    }
}
