//! `promdrop write`: what stdin may hold, what is published, what is said, the exit status.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::stat::Mode;
use promdrop::collect::runner::now;

use crate::run::{names, rewrite, run_well, values};
use crate::support::host::Host;
use crate::support::wait_for;

/// Starts `promdrop write` with `arguments`; stdin is the caller's to fill.
fn start(host: &Host, arguments: &[&str]) -> Child {
    let mut command = host.promdrop();
    command.arg("write").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Lets it have `text` and end: exit status, stdout and stderr together.
fn end(mut child: Child, text: &[u8]) -> (i32, String) {
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(text);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

pub fn write(host: &Host, arguments: &[&str], text: impl AsRef<[u8]>) -> (i32, String) {
    end(start(host, arguments), text.as_ref())
}

#[track_caller]
pub fn write_well(host: &Host, arguments: &[&str], text: &str) {
    assert_eq!(write(host, arguments, text), (0, String::new()));
}

/// What a file holds below its header, without promdrop's own families.
#[track_caller]
pub fn body(host: &Host, file: &str) -> String {
    let text = host.text(file);
    let own = |line: &str| {
        ["# promdrop-", "# HELP promdrop_", "# TYPE promdrop_", "promdrop_"]
            .iter()
            .any(|p| line.starts_with(p))
    };
    text.split_inclusive('\n').filter(|line| !own(line)).collect()
}

/// Writes `text` where x.prom stands already, and expects it to be refused with `said`, the file and the directory
/// as they were.
#[track_caller]
fn refused(arguments: &[&str], text: impl AsRef<[u8]>, said: &str) {
    let host = Host::new();
    write_well(&host, &["x"], "before 1\n");
    let (before, listed) = (host.text("x.prom"), names(&host));
    let arguments = [&["x"], arguments].concat();
    assert_eq!(write(&host, &arguments, text), (1, said.to_owned()));
    assert_eq!((host.text("x.prom"), names(&host)), (before, listed));
}

#[test]
fn what_is_good_is_published_in_silence_for_all_to_read() {
    let host = Host::new();
    let text = "# HELP backup_size_bytes Size.\n# TYPE backup_size_bytes gauge\nbackup_size_bytes{set=\"a\"} 7\n\
                backup_size_bytes{set=\"b\"} 8\n";
    let before = now();
    let said = Command::new("/bin/sh")
        .args([
            "-c",
            "umask 077; printf '%s' \"$2\" | \"$0\" --textfile-dir \"$1\" write backup --max-age 25h",
        ])
        .arg(env!("CARGO_BIN_EXE_promdrop"))
        .arg(host.textfile_dir())
        .arg(text)
        .output()
        .unwrap();
    let after = now();
    assert_eq!((said.status.code(), said.stdout, said.stderr), (Some(0), Vec::new(), Vec::new()));
    assert_eq!(names(&host), [".promdrop.lock", "backup.prom"]);
    assert_eq!(body(&host, "backup.prom"), text);
    let mode = fs::metadata(host.textfile_dir().join("backup.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);

    let file = host.text("backup.prom");
    let (header, _) = file.split_once("# HELP").unwrap();
    let at = values(&host, "backup.prom", "promdrop_write_last_timestamp_seconds{name=\"backup\"}")[0];
    assert!((before as f64 / 1000.0..=after as f64 / 1000.0).contains(&at), "{at}");
    let expected = format!(
        "# promdrop-format: 1\n# promdrop-kind: write\n# promdrop-source: stdin\n# promdrop-file: backup.prom\n\
         # promdrop-last-success-ms: {}\n# promdrop-max-age-ms: 90000000\n",
        (at * 1000.0).round()
    );
    assert_eq!(header, expected);
    assert_eq!(values(&host, "backup.prom", "promdrop_write_max_age_seconds{name=\"backup\"}"), [90_000.0]);
    assert_eq!(values(&host, "backup.prom", "promdrop_write_series{name=\"backup\"}"), [2.0]);
}

#[test]
fn the_new_text_takes_the_place_of_the_old_whole() {
    let host = Host::new();
    write_well(&host, &["x", "--max-age", "1h"], "c_a 1\nc_b 2\n");
    write_well(&host, &["x"], "c_c 3\n");
    assert_eq!(body(&host, "x.prom"), "c_c 3\n");
    assert_eq!(values(&host, "x.prom", "promdrop_write_max_age_seconds"), [0.0]);
    assert!(!host.text("x.prom").contains("max-age-ms"), "an age that was not given");
    write_well(&host, &["y"], "c_d 4\n");
    assert_eq!(body(&host, "x.prom"), "c_c 3\n");
}

#[test]
fn what_cannot_change_the_meaning_is_repaired_and_told() {
    let host = Host::new();
    let text = "# TYPE c_a gauge\r\nc_a{x=\"a\rb \"} 1 \r\nc_b 2\t\nc_c 3";
    let said = "stdin:1: repaired CR LF at the end of the line, here and in 1 more\n\
                stdin:2: repaired blanks at the end of the line, here and in 1 more\n\
                stdin:4: repaired the missing newline at the end of the last line\n";
    assert_eq!(write(&host, &["x"], text), (0, said.to_owned()));
    assert_eq!(body(&host, "x.prom"), "# TYPE c_a gauge\nc_a{x=\"a\rb \"} 1\nc_b 2\nc_c 3\n");
}

#[test]
fn what_is_wrong_is_told_all_at_once_with_line_caret_and_cure() {
    refused(
        &["--label", "site=ams"],
        "c_a 1 1700000000000\r\nc_b{site=\"fra\"} 2\nc_c 3\npromdrop_x 1\nc_d \\\n",
        "stdin:1: repaired CR LF at the end of the line
stdin:1:7: a timestamp: node_exporter drops a file that holds one
 1 | c_a 1 1700000000000
   |       ^
   = print the value alone; node_exporter takes the time of the scrape
stdin:2:5: the label `site`, which is to be added, is there already
 2 | c_b{site=\"fra\"} 2
   |     ^
   = add none of this name, or don't print it
stdin:4:1: `promdrop_x`: names that begin with `promdrop_` are promdrop's own
 4 | promdrop_x 1
   | ^
   = choose another name
stdin:5:5: `\\` is no number
 5 | c_d \\
   |     ^
   = write a decimal number, NaN, +Inf or -Inf
",
    );
    // Each alone is enough.
    refused(
        &["--label", "site=ams"],
        "c_b{site=\"fra\"} 2\n",
        "stdin:1:5: the label `site`, which is to be added, is there already
 1 | c_b{site=\"fra\"} 2
   |     ^
   = add none of this name, or don't print it
",
    );
    refused(
        &[],
        "promdrop_x 1\n",
        "stdin:1:1: `promdrop_x`: names that begin with `promdrop_` are promdrop's own
 1 | promdrop_x 1
   | ^
   = choose another name
",
    );
    refused(
        &[],
        "c_a 1\nc_b ",
        "stdin:2:4: the last line has no end: was the output cut?
 2 | c_b 
   |    ^
   = end every line, the last one too, with a newline
",
    );
}

#[test]
fn what_is_no_utf_8_is_refused_where_it_stands() {
    refused(
        &[],
        b"c_a{x=\"\xc3\xa9\"} 1\nc_b{x=\"\xe9\"} 1\n",
        "stdin:2:7: the label value is not UTF-8
 2 | c_b{x=\"\u{fffd}\"} 1
   |       ^
   = print UTF-8, or set a UTF-8 locale for the command
",
    );
}

#[test]
fn what_is_too_large_is_refused() {
    let most = 16 * 1024 * 1024;
    refused(
        &[],
        "#".repeat(most + 1),
        "stdin: there is more than the 16777216 bytes allowed\n   \
         = print fewer series, or split them over several names\n",
    );
    // Comments are not published: what counts is what is read.
    let host = Host::new();
    let mut text = "#".repeat(most - 7);
    text.push_str("\nc_a 1\n");
    assert_eq!(text.len(), most);
    write_well(&host, &["x"], &text);
    assert_eq!(body(&host, "x.prom"), "c_a 1\n");
}

#[test]
fn nothing_is_an_error_unless_it_is_allowed() {
    let none = "stdin: there are no samples\n   = see why the command printed none, or allow it with --allow-empty\n";
    for text in ["", "\n", "# a comment\n", "# HELP c_a A.\n# TYPE c_a gauge\n"] {
        refused(&[], text, none);
        let host = Host::new();
        write_well(&host, &["x"], "before 1\n");
        write_well(&host, &["x", "--allow-empty"], text);
        assert_eq!(body(&host, "x.prom"), "");
        assert_eq!(values(&host, "x.prom", "promdrop_write_series"), [0.0]);
    }
    refused(
        &["--allow-empty"],
        "c_a",
        "stdin:1:3: the last line has no end: was the output cut?\n 1 | c_a\n   |   ^\n   \
                                        = end every line, the last one too, with a newline\n",
    );
}

#[test]
fn stdin_may_be_closed_or_unreadable() {
    let host = Host::new();
    let run = |stdin: Stdio, shell: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", shell]).arg(env!("CARGO_BIN_EXE_promdrop")).arg(host.textfile_dir());
        let output = command.stdin(stdin).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = run(Stdio::null(), "exec \"$0\" --textfile-dir \"$1\" write x <&-");
    assert_eq!((status, said.lines().next()), (1, Some("stdin: there are no samples")));
    let directory = File::open(host.textfile_dir()).unwrap();
    let (status, said) = run(directory.into(), "exec \"$0\" --textfile-dir \"$1\" write x --allow-empty");
    assert_eq!((status, said.as_str()), (1, "stdin: can't be read: is a directory\n"));
    assert_eq!(names(&host), Vec::<String>::new());
}

#[test]
fn labels_are_added_to_every_sample_but_promdrops_own() {
    let host = Host::new();
    let arguments = ["x", "--label", "site=ams", "--label=team=a=b \"c\"\\"];
    write_well(
        &host,
        &arguments,
        "c_a 1\nc_b{x=\"1\",site=\"\"} 2\n# TYPE c_s summary\nc_s_sum 1\nc_s_count 1\n",
    );
    let added = "site=\"ams\",team=\"a=b \\\"c\\\"\\\\\"";
    assert_eq!(
        body(&host, "x.prom"),
        format!(
            "c_a{{{added}}} 1\nc_b{{x=\"1\",{added}}} 2\n# TYPE c_s summary\nc_s_sum{{{added}}} 1\nc_s_count{{{added}}} 1\n"
        )
    );
    assert_eq!(values(&host, "x.prom", "promdrop_write_series{name=\"x\"}"), [4.0]);
}

#[test]
fn wrong_arguments_are_usage_and_all_told() {
    let host = Host::new();
    for (arguments, said) in [
        (
            &["X"][..],
            "NAME: `X` can't be the name of a collector or a .prom file\n   \
             = use lower-case letters, digits, `-` and `_`, a letter or digit first, at most 128 of them\n",
        ),
        (&["x.prom"], "NAME: the name is given without `.prom`\n   = write `x`\n"),
        (&["promdrop"], "NAME: `promdrop` is reserved for promdrop's own file\n   = choose another name\n"),
        (&["x", "--label", "site"], "--label: `site` is not a label\n   = write NAME=VALUE\n"),
        (
            &["x", "--label", "a=1", "--label", "a=2"],
            "--label: the label `a` is given twice\n   = give it once\n",
        ),
        (
            &["x", "--label", "a-b=1", "--max-age", "soon"],
            "--label: `a-b` is not a label's name\n   = use letters, digits and `_`, no digit first\n\
             --max-age: `soon` is not a duration\n   \
             = write a number with its unit, such as 500ms, 15s, 1m or `1h 30m`\n",
        ),
        (
            &["x", "--max-age", "999ms"],
            "--max-age: an age of 999ms is too short\n   = an age is 1s to 35days; `m` is a minute, `M` a month\n",
        ),
        (
            &["x", "--max-age", "35d 1s"],
            "--max-age: an age of 35d 1s is too long\n   = an age is 1s to 35days; `m` is a minute, `M` a month\n",
        ),
    ] {
        assert_eq!(write(&host, arguments, "c_a 1\n"), (2, said.to_owned()), "{arguments:?}");
    }
    for arguments in [&[][..], &["x", "y"], &["x", "--what"]] {
        assert_eq!(write(&host, arguments, "c_a 1\n").0, 2, "{arguments:?}");
    }
    assert_eq!(names(&host), Vec::<String>::new());
    for age in ["1s", "35d"] {
        write_well(&host, &["x", "--max-age", age], "c_a 1\n");
    }
}

#[test]
fn a_directory_that_is_missing_or_closed_is_named() {
    let host = Host::new();
    fs::remove_dir(host.textfile_dir()).unwrap();
    let said = format!(
        "promdrop: {}: the textfile directory does not exist\n   \
         = name node_exporter's with --textfile-dir or PROMDROP_TEXTFILE_DIR, or create it with mkdir\n",
        host.textfile_dir().display()
    );
    assert_eq!(write(&host, &["x"], "c_a 1\n"), (2, said));
    // Nobody, not even root, can make files here.
    symlink("/sys/kernel", host.textfile_dir()).unwrap();
    let (status, said) = write(&host, &["x"], "c_a 1\n");
    let expected = format!("promdrop: {}: can't create a file in it: ", host.textfile_dir().display());
    assert!(status == 1 && said.starts_with(&expected), "{status} {said}");
    assert!(said.contains("\n   = "), "no cure: {said}");
}

#[test]
fn a_file_that_another_program_wrote_is_taken_over_with_adopt_only() {
    let host = Host::new();
    let path = host.textfile_dir().join("x.prom");
    for theirs in ["", "theirs 1\n", "anything at all"] {
        fs::write(&path, theirs).unwrap();
        let said = format!(
            "promdrop: {}: this file is somebody else's: it does not begin with promdrop's header\n   \
             = take it over with --adopt if nothing else writes it any more, or choose another name\n",
            path.display()
        );
        assert_eq!(write(&host, &["x"], "c_a 1\n"), (1, said));
        assert_eq!(host.text("x.prom"), theirs);
        // Only by what is good.
        assert_eq!(write(&host, &["x", "--adopt"], "c_a\n").0, 1);
        assert_eq!(host.text("x.prom"), theirs);
        write_well(&host, &["x", "--adopt"], "c_a 1\n");
        assert_eq!(body(&host, "x.prom"), "c_a 1\n");
        // From now on it is promdrop's.
        write_well(&host, &["x"], "c_a 2\n");
        write_well(&host, &["x", "--adopt"], "c_a 3\n");
    }
    File::create(&path).unwrap().set_len(16 * 1024 * 1024 + 1).unwrap();
    assert_eq!(write(&host, &["x"], "c_a 1\n").0, 1);
    write_well(&host, &["x", "--adopt"], "c_a 1\n");
}

#[test]
fn nothing_else_is_taken_over() {
    let host = Host::new();
    host.collector("a", "module: netstat\n");
    run_well(&host, &["run"]);
    let path = |file: &str| host.textfile_dir().join(file);
    let refused = |name: &str, message: &str, cure: &str| {
        let said = format!("promdrop: {}: {message}\n   = {cure}\n", path(&format!("{name}.prom")).display());
        assert_eq!(write(&host, &[name, "--adopt"], "c_a 1\n"), (1, said.clone()));
        assert_eq!(write(&host, &[name], "c_a 1\n"), (1, said));
    };
    let before = host.text("a.prom");
    refused(
        "a",
        "this is the file of a collector, and not for a write to replace",
        "choose another name, or remove the file if it is no longer wanted",
    );
    assert_eq!(host.text("a.prom"), before);
    fs::copy(path("a.prom"), path("copy.prom")).unwrap();
    refused(
        "copy",
        "this file is somebody else's: it is a copy of a file of promdrop's with another name",
        "choose another name, or remove the file if it is stale",
    );
    assert_eq!(host.text("copy.prom"), before);
    fs::write(host.path("target"), "untouched").unwrap();
    symlink(host.path("target"), path("link.prom")).unwrap();
    let cure = "remove it, or choose another name";
    refused("link", "this is a symbolic link, not a file that promdrop published", cure);
    assert_eq!(fs::read_to_string(host.path("target")).unwrap(), "untouched");
    nix::unistd::mkfifo(&path("fifo.prom"), Mode::S_IRWXU).unwrap();
    refused("fifo", "this is a FIFO, not a file that promdrop published", cure);
    fs::create_dir(path("dir.prom")).unwrap();
    refused("dir", "this is a directory, not a file that promdrop published", cure);

    // And no collector takes over what `write` wrote, or what nobody's is.
    write_well(&host, &["b"], "c_b 1\n");
    fs::write(path("c.prom"), "theirs 1\n").unwrap();
    host.collector("b", "module: netstat\n").collector("c", "module: netstat\n");
    let (status, _, said) = host.outcome(&["run", "b", "c"]);
    assert_eq!(status, 1);
    assert!(
        said.contains("promdrop: b: conflict: this is the file of a write, and not for a collector"),
        "{said}"
    );
    assert!(said.contains("= choose another name, or remove the file if it is stale"), "{said}");
    assert!(!said.contains("--adopt"), "{said}");
    assert_eq!((body(&host, "b.prom"), host.text("c.prom")), ("c_b 1\n".to_owned(), "theirs 1\n".to_owned()));
}

/// x.prom with an age of a minute, as it was written `ago` milliseconds before.
fn written(host: &Host, ago: i64) {
    write_well(host, &["x", "--max-age", "1m"], "c_a 1\n");
    rewrite(host, "x.prom", "last-success-ms", |at| at.wrapping_add_signed(-ago));
}

#[test]
fn a_run_removes_what_is_past_its_age() {
    // There is nothing to run, and still.
    let host = Host::new();
    for (ago, stands) in [(30_000, true), (61_000, false), (-30_000, true), (-90_000, false)] {
        written(&host, ago);
        run_well(&host, &["run"]);
        assert_eq!(host.textfile_dir().join("x.prom").exists(), stands, "{ago} ms ago");
    }
    write_well(&host, &["x"], "c_a 1\n");
    rewrite(&host, "x.prom", "last-success-ms", |_| 1);
    run_well(&host, &["run"]);
    assert!(host.textfile_dir().join("x.prom").exists(), "it was given no age");
}

#[test]
fn a_write_removes_what_is_past_its_age_and_its_own_only_where_nothing_new_comes() {
    let host = Host::new();
    written(&host, 61_000);
    write_well(&host, &["y"], "c_b 1\n");
    assert_eq!(names(&host), [".promdrop.lock", "y.prom"]);

    written(&host, 61_000);
    write_well(&host, &["x"], "c_a 2\n");
    assert_eq!(body(&host, "x.prom"), "c_a 2\n");

    write_well(&host, &["y", "--max-age", "1m"], "c_b 1\n");
    written(&host, 61_000);
    rewrite(&host, "y.prom", "last-success-ms", |_| 1);
    let child = start(&host, &["x"]);
    wait_for(Duration::from_secs(10), "y.prom is removed", || match names(&host) {
        names if names.contains(&"y.prom".to_owned()) => Err(names),
        _ => Ok(()),
    });
    // What comes may be good, and until then there must be no moment without.
    assert_eq!(names(&host), [".promdrop.lock", "x.prom"]);
    assert_eq!(end(child, b"nonsense\n").0, 1);
    assert_eq!(names(&host), [".promdrop.lock"]);
}

#[test]
fn many_writes_at_once_each_leave_a_whole_file() {
    let host = Host::new();
    let name = |number: usize| ["x", "y"][number % 2];
    // A mixture of two texts would show. No series is in both files.
    let text =
        |number: usize| (0..500).map(|i| format!("{}_{i} {number}\n", name(number))).collect::<String>();
    let children: Vec<Child> = (0..12).map(|i| start(&host, &[name(i)])).collect();
    for (i, child) in children.into_iter().enumerate() {
        assert_eq!(end(child, text(i).as_bytes()), (0, String::new()));
    }
    // Those that waited for stdin at the same time now race to publish.
    let mut children: Vec<Child> = (0..12).map(|i| start(&host, &[name(i)])).collect();
    let texts: Vec<String> = (0..12).map(text).collect();
    std::thread::scope(|scope| {
        for (child, text) in children.iter_mut().zip(&texts) {
            scope.spawn(move || child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap());
        }
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    assert!(texts.contains(&body(&host, "x.prom")) && texts.contains(&body(&host, "y.prom")));
    assert_eq!(names(&host), [".promdrop.lock", "x.prom", "y.prom"]);
}

#[test]
fn what_a_killed_write_left_is_removed_by_the_next() {
    let host = Host::new();
    let left = host.textfile_dir().join(".promdrop-Dead01.tmp");
    File::create(&left).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    write_well(&host, &["x"], "c_a 1\n");
    assert!(!Path::new(&left).exists());
}
