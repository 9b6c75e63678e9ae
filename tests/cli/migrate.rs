//! `promdrop migrate` as its user sees it: what it prints of which crontab, and that what it prints is good.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use promdrop::migrate::crontab::{Form, Meaning, read};
use promdrop::migrate::shell::quote;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::host::Host;
use crate::support::{names, promdrop};

mod meaning;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/migrate")
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Migrates `text` from stdin.
fn migrate(arguments: &[&str], text: &str) -> (i32, String, String) {
    let mut command = promdrop();
    command.arg("migrate").args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    ended(child.wait_with_output().unwrap())
}

/// The parts of what was printed: the head, each collector with its name, the crontab.
fn parts(stdout: &str) -> (&str, Vec<(&str, &str)>, &str) {
    let mut parts = stdout.split("# ---- ");
    let head = parts.next().unwrap();
    let mut parts: Vec<(&str, &str)> = parts.map(|part| part.split_once('\n').unwrap()).collect();
    let (last, crontab) = parts.pop().unwrap();
    assert_eq!(last, "crontab", "{stdout}");
    (head, parts, crontab)
}

/// Each crontab of tests/data/migrate, with SCRIPTS for the folder of its scripts, and all that is printed of it.
fn cases() -> Vec<(PathBuf, &'static [&'static str], Form)> {
    let mut cases: Vec<PathBuf> = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|ending| ending == "crontab"));
    cases.sort();
    assert!(cases.len() >= 4, "{cases:?}");
    let cases = cases.into_iter().map(|path| match path.file_stem().unwrap().to_str().unwrap() {
        "system" => (path, &["--system"][..], Form::System),
        "jobs" => (path, &["--user", "nobody"][..], Form::User),
        _ => (path, &[][..], Form::User),
    });
    cases.collect()
}

/// A copy of the scripts, in a folder whose name is always of the same length: comments are broken by it.
fn scripts() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("migrate-").tempdir_in("/tmp").unwrap();
    for entry in fs::read_dir(data().join("scripts")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn crontab_of(path: &Path, scripts: &tempfile::TempDir) -> String {
    fs::read_to_string(path).unwrap().replace("SCRIPTS", scripts.path().to_str().unwrap())
}

#[test]
fn crontabs_become_what_is_expected() {
    let scripts = scripts();
    for (path, arguments, _) in cases() {
        let (status, stdout, stderr) = migrate(arguments, &crontab_of(&path, &scripts));
        let said = format!("{stdout}# ---- stderr\n{stderr}# ---- exit status {status}\n");
        let said = said.replace(scripts.path().to_str().unwrap(), "SCRIPTS");
        let expected = path.with_extension("expected");
        if std::env::var_os("PROMDROP_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        let golden = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, golden, "PROMDROP_BLESS=1 accepts what becomes of {}:\n{said}", path.display());
    }
}

#[test]
fn every_collector_passes_check_and_every_line_is_one_of_a_crontab() {
    let scripts = scripts();
    let mut count = 0;
    for (path, arguments, form) in cases() {
        let host = Host::new();
        let text = crontab_of(&path, &scripts);
        let (_, stdout, _) = migrate(arguments, &text);
        let (_, collectors, crontab) = parts(&stdout);
        for (name, yaml) in &collectors {
            fs::write(host.collectors_dir().join(name), yaml).unwrap();
            count += 1;
        }
        assert_eq!(host.outcome(&["check"]), (0, String::new(), String::new()), "{stdout}");
        if form == Form::User {
            meaning::ask_cron(crontab);
        }
        let lines = read(crontab, form);
        let jobs = lines.iter().filter(|line| matches!(line.meaning, Meaning::Job(_))).count();
        let wrong = lines.iter().find(|line| matches!(line.meaning, Meaning::Wrong(_)));
        assert_eq!(wrong, None, "{}", path.display());
        let replaced = crontab.matches("# replaced by ").count();
        let before = read(&text, form);
        let all = before.iter().filter(|line| matches!(line.meaning, Meaning::Job(_))).count();
        assert_eq!(jobs + replaced, all, "{}:\n{stdout}", path.display());
        // What replaces a crontab needs no further migration.
        let (_, again, _) = migrate(arguments, crontab);
        let untouched: Vec<&str> = crontab.lines().filter(|line| line.contains("promdrop")).collect();
        assert!(untouched.iter().all(|line| again.contains(line)), "{again}");
    }
    assert!(count >= 8, "only {count} collectors");
}

/// The script of the crontab that promdrop was made for, but for the numbers that it counts.
#[test]
fn what_a_script_pushed_is_published() {
    let host = Host::new();
    let script = host.path("count.sh");
    let text = fs::read_to_string(data().join("scripts/count_netstat_wait_connections.sh")).unwrap();
    let text = text.replace("netstat -an", "printf 'TIME_WAIT\\nCLOSE_WAIT\\nESTABLISHED\\n'");
    let text = text.replace("hostname -f", "echo web1.example.net");
    fs::write(&script, text).unwrap();
    let line = |sleep| format!("* * * * * {sleep}{}\n", script.display());
    let crontab = ["", "sleep 15; ", "sleep 30; ", "sleep 45; "].map(line).concat();
    let directory = host.collectors_dir();
    let arguments = ["--user", "root", "--write", directory.to_str().unwrap()];
    assert_eq!(migrate(&arguments, &crontab).0, 0);
    assert_eq!(names(&directory), ["count.yaml"]);
    host.run_well(&["count"]);
    let published = host.text("count.prom");
    assert!(published.contains("\ncount_netstat_wait_connections 2\n"), "{published}");
    assert!(
        published.contains("promdrop_collector_interval_seconds{collector=\"count\"} 15\n"),
        "{published}"
    );
    assert!(!published.contains("web1"), "{published}");
}

#[test]
fn write_writes_the_collectors_and_prints_the_rest() {
    let host = Host::new();
    let directory = host.collectors_dir();
    let scripts = scripts();
    let text = crontab_of(&data().join("staggered.crontab"), &scripts);
    let (status, whole, said) = migrate(&["--user", "root"], &text);
    let (_, collectors, crontab) = parts(&whole);
    let arguments = ["--user", "root", "--write", directory.to_str().unwrap()];
    let (written, stdout, stderr) = migrate(&arguments, &text);
    assert_eq!((written, &stderr), (status, &said));
    let mut expected: Vec<&str> = collectors.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(names(&directory), expected);
    for (name, yaml) in &collectors {
        let path = directory.join(name);
        assert_eq!(&fs::read_to_string(&path).unwrap(), yaml);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert!(stdout.contains(&format!("# ---- written: {}/{name}\n", directory.display())), "{stdout}");
    }
    assert!(stdout.ends_with(&format!("# ---- crontab\n{crontab}")), "{stdout}");
    assert!(stdout.contains("# The collectors were written to the files below;"), "{stdout}");
    assert!(!stdout.contains("\nmodule: command"), "{stdout}");
}

#[test]
fn nothing_is_overwritten() {
    let host = Host::new();
    let directory = host.collectors_dir();
    let line = |name| format!("* * * * * echo {name} 1 | curl --data-binary @- http://gw/metrics/job/x\n");
    let crontab = line("aa") + &line("bb");
    let taken = directory.join("bb.yaml");
    std::os::unix::fs::symlink("nowhere", &taken).unwrap();
    let arguments = ["--write", directory.to_str().unwrap()];
    let said = format!(
        "promdrop: {}: this file is there already\n   = move it away, or write into another directory; nothing was written\n",
        taken.display()
    );
    assert_eq!(migrate(&arguments, &crontab), (2, String::new(), said));
    assert_eq!(names(&directory), ["bb.yaml"]);
    let missing = host.path("missing");
    let said = format!(
        "promdrop: {}: there is no such directory\n   = create it, or name the collectors directory\n",
        missing.display()
    );
    assert_eq!(migrate(&["--write", missing.to_str().unwrap()], &crontab), (2, String::new(), said));
}

#[test]
fn what_cannot_be_written_is_printed() {
    let host = Host::new();
    let line = |name| format!("* * * * * echo {name} 1 | curl --data-binary @- http://gw/metrics/job/x\n");
    let crontab = line("aa") + &line("bb");
    let (_, whole, _) = migrate(&["--user", "root"], &crontab);
    let directory = host.collectors_dir();
    let shell = format!(
        "ulimit -f 0; trap '' XFSZ; exec {} migrate --user root --write {}",
        env!("CARGO_BIN_EXE_promdrop"),
        directory.display()
    );
    let mut child = Command::new("/bin/bash");
    let piped =
        child.args(["-c", &shell]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(crontab.as_bytes()).unwrap();
    let (status, stdout, stderr) = ended(child.wait_with_output().unwrap());
    assert_eq!((status, stdout), (1, whole), "{stderr}");
    let said =
        "aa.yaml: can't be written, so nothing was written, all is printed: File too large (os error 27)\n";
    assert!(stderr.ends_with(said), "{stderr}");
    assert_eq!(names(&directory), [""; 0]);
}

#[test]
fn what_is_no_crontab_is_told_with_a_caret() {
    let (status, stdout, stderr) = migrate(&["-"], "1 * * * * /usr/bin/a\n* 24 * * * b\n* * * * *\n");
    assert_eq!(status, 1);
    assert!(stdout.contains("\n1 * * * * promdrop exec a --expect-every 1h -- /usr/bin/a\n"), "{stdout}");
    assert_eq!(
        stderr,
        "stdin:2:3: \"24\" is no hour
 2 | * 24 * * * b
   |   ^
   = write numbers from 0 to 23; a list, a range or `*`
stdin:3:10: there is no command
 3 | * * * * *
   |          ^
   = write what is to be started behind the time
"
    );
}

#[test]
fn a_file_is_read_and_its_path_tells_whose_it_is() {
    let host = Host::new();
    let path = host.path("crontab");
    fs::write(&path, "* * * * * root a\n").unwrap();
    let file = |arguments: &[&str]| ended(promdrop().arg("migrate").args(arguments).output().unwrap());
    let (status, stdout, stderr) = file(&[path.to_str().unwrap()]);
    assert_eq!((status, stderr), (0, String::new()));
    assert!(stdout.contains("a system crontab is read with --system"), "{stdout}");
    let (_, stdout, _) = file(&[path.to_str().unwrap(), "--system"]);
    assert!(stdout.contains("\n* * * * * root promdrop exec a --expect-every 1m -- a\n"), "{stdout}");

    let absent = host.path("absent");
    let said =
        format!("promdrop: {}: can't be read: No such file or directory (os error 2)\n", absent.display());
    assert_eq!(file(&[absent.to_str().unwrap()]), (2, String::new(), said));
    fs::write(&path, b"# a\n* * * * * \xff\n").unwrap();
    let said = format!("promdrop: {}: can't be read: line 2 is not UTF-8\n", path.display());
    assert_eq!(file(&[path.to_str().unwrap()]), (2, String::new(), said));
    fs::write(&path, "#".repeat((256 << 10) + 1)).unwrap();
    let said =
        format!("promdrop: {}: can't be read: there is more than the 262144 bytes allowed\n", path.display());
    assert_eq!(file(&[path.to_str().unwrap()]), (2, String::new(), said));
    assert_eq!(file(&["--system", "--user", "x"]).0, 2);
    for path in ["/etc/crontab", "/etc/cron.d/promdrop"] {
        let (status, stdout, stderr) = file(&[path, "--user", "x"]);
        assert_eq!((status, stdout.as_str()), (2, ""), "{path}");
        assert!(stderr.contains(": this is a system crontab\n   = leave out --user"), "{stderr}");
    }
}

#[test]
fn neither_fifo_nor_device_nor_huge_file_is_read_as_a_script() {
    let host = Host::new();
    let path = |name: &str| host.path(name).display().to_string();
    nix::unistd::mkfifo(path("fifo.sh").as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    fs::write(host.path("huge.sh"), "#".repeat((256 << 10) + 1)).unwrap();
    fs::write(host.path("binary.sh"), b"\x7fELF\0\xff").unwrap();
    fs::set_permissions(host.path("binary.sh"), Permissions::from_mode(0o755)).unwrap();
    let files = ["fifo.sh", "huge.sh", "binary.sh", "absent.sh"];
    let crontab: String = files.iter().map(|file| format!("@daily {}\n", path(file))).collect();
    let (status, stdout, _) = migrate(&["--user", "root"], &crontab);
    let stdout = stdout.replace("\n# ", " ");
    assert_eq!(status, 0);
    for file in files {
        assert!(stdout.contains(&format!("{} can't be read here", path(file))), "{file}: {stdout}");
    }
}

#[test]
fn what_is_quoted_is_what_a_shell_reads() {
    let mut runner = TestRunner::new(proptest::test_runner::Config { cases: 40, ..Default::default() });
    let texts = prop::collection::vec("[ -~\n\té]{0,12}", 1..20);
    let result = runner.run(&texts, |texts| {
        let words: Vec<String> = texts.iter().map(|text| quote(text)).collect();
        let line = format!("printf '%s\\0' {}", words.join(" "));
        let output = Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
        let read: String = texts.iter().map(|text| format!("{text}\0")).collect();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), read);
        Ok(())
    });
    result.unwrap();
}
