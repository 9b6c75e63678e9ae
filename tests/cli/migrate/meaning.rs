//! What `promdrop migrate` makes of a line means the same: the line as cron would run it, with a curl that keeps what it
//! pushes, and the collector that takes its place, must have the same samples.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use promdrop::migrate::crontab::{Form, Job, Meaning, read};

use super::{migrate, parts};
use crate::support::host::Host;

/// Keeps what it is to push, as the Pushgateway would get it.
const CURL: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -d | --data-binary) data=$2; shift ;;
        -T) data=@$2; shift ;;
    esac
    shift
done
case $data in
    @-) cat ;;
    @*) cat "${data#@}" ;;
    *) printf '%s\n' "$data" ;;
esac >>RECORD
"#;

const PUSH: &str = "curl -s --data-binary @- http://gw:9091/metrics/job/a";

/// What is to become of a crontab.
enum Becomes {
    /// One collector, with the same samples.
    Same,
    /// None, and this is said.
    Stays(&'static str),
}
use Becomes::{Same, Stays};

struct Bench(Host);

impl Bench {
    fn new(script: &str) -> Self {
        let bench = Self(Host::new());
        fs::create_dir(bench.0.path("bin")).unwrap();
        bench.program("bin/curl", &CURL.replace("RECORD", bench.0.path("record").to_str().unwrap()));
        fs::write(bench.0.path("m.prom"), "m 1\nn 2\n").unwrap();
        bench.program("x.sh", &bench.filled(script));
        bench
    }

    fn program(&self, name: &str, text: &str) {
        fs::write(self.0.path(name), text).unwrap();
        fs::set_permissions(self.0.path(name), Permissions::from_mode(0o755)).unwrap();
    }

    /// `X` is the script, `DIR` its folder, `PUSH` the usual call of curl.
    fn filled(&self, text: &str) -> String {
        let folder = self.0.path("");
        let folder = folder.to_str().unwrap().trim_end_matches('/');
        text.replace("PUSH", PUSH).replace("X!", &format!("{folder}/x.sh")).replace("DIR", folder)
    }

    /// The samples that cron's own runs push.
    fn pushed(&self, crontab: &str) -> Vec<String> {
        let mut shell = "/bin/sh".to_owned();
        for line in read(crontab, Form::User) {
            match line.meaning {
                Meaning::Variable(name, value) if name == "SHELL" => shell = value,
                Meaning::Job(job) => self.start(&shell, &job),
                _ => {}
            }
        }
        samples(&self.0.path("record"))
    }

    fn start(&self, shell: &str, job: &Job) {
        let bin = self.0.path("bin");
        let bin = bin.to_str().unwrap();
        let command = job.command.replace("/usr/bin/curl", &format!("{bin}/curl"));
        let mut child = Command::new(shell);
        child.args(["-c", &command]).env_clear().env("PATH", format!("{bin}:/usr/bin:/bin")).env("HOME", "/");
        child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    }
}

fn samples(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with(['#']) && !line.starts_with("promdrop_"));
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// What cron itself says to a crontab, where the one of Debian is installed.
#[track_caller]
pub fn ask_cron(crontab: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), crontab).unwrap();
    let Ok(output) = Command::new("crontab").arg("-n").arg(file.path()).output() else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || said.contains("invalid option"), "{said}\n{crontab}");
}

#[track_caller]
fn becomes(crontab: &str, script: &str, expected: &Becomes) {
    let bench = Bench::new(script);
    let crontab = bench.filled(crontab) + "\n";
    let (status, stdout, _) = migrate(&["--user", "root"], &crontab);
    assert_eq!(status, 0, "{crontab}{script}\n{stdout}");
    let (_, collectors, kept) = parts(&stdout);
    ask_cron(kept);
    for (name, yaml) in &collectors {
        bench.0.collector(name.strip_suffix(".yaml").unwrap(), yaml);
    }
    assert_eq!(bench.0.outcome(&["check"]), (0, String::new(), String::new()), "{stdout}");
    match (expected, collectors.as_slice()) {
        (Same, [(name, _)]) => {
            let name = name.strip_suffix(".yaml").unwrap();
            bench.0.run_well(&[name]);
            let pushed = bench.pushed(&crontab);
            assert!(!pushed.is_empty(), "{crontab}{script}");
            assert_eq!(samples(&bench.0.textfile_dir().join(format!("{name}.prom"))), pushed, "{stdout}");
        }
        (Stays(said), []) => {
            let plain = kept.replace("\n# ", " ");
            assert!(plain.contains(said), "{crontab}{script}\n{said:?} is not said:\n{stdout}");
        }
        (_, collectors) => panic!("{crontab}{script}\n{} collectors:\n{stdout}", collectors.len()),
    }
}

/// Goes on after a case that fails, so that all of them are told.
fn tried(faults: &mut usize, case: impl FnOnce() + std::panic::UnwindSafe) {
    *faults += usize::from(std::panic::catch_unwind(case).is_err());
}

const ME: &str = "* * * * * X!";

#[test]
fn a_collector_has_the_samples_that_were_pushed() {
    let mut faults = 0;
    for (crontab, script) in [
        (ME, "echo x 1 | PUSH"),
        (ME, "#!/bin/bash\necho x {1..1} | PUSH\n"),
        (ME, "echo hi\nprintf 'x 1\\ny 2\\n' | PUSH\necho done\n"),
        (ME, "cat DIR/m.prom | PUSH\n"),
        (ME, "PUSH <DIR/m.prom\n"),
        (ME, "curl --data-binary @DIR/m.prom http://gw/metrics/job/a\n"),
        (ME, "f=DIR/m.prom\ncurl -T $f http://gw/metrics/job/a\n"),
        (ME, "v=1\ncurl --data-binary \"x $v\" http://gw/metrics/job/a\n"),
        // What another command's status was, cron didn't ask.
        (ME, "echo x 1 | PUSH\nfalse\n"),
        (ME, "echo x 1 | PUSH\n[ -e /nowhere ] && rm /nowhere\n"),
        (ME, "echo x 1 | PUSH || logger failed\n[ -e /nowhere ] # no newline"),
        (ME, "awk 'BEGIN { print \"x 1\"; exit 3 }' | PUSH\n"),
        (ME, "cat DIR/m.prom /nowhere | PUSH\n"),
        // These are stdout.
        (ME, "echo hi >/dev/stdout\necho x 1 | PUSH\n"),
        (ME, "echo hi >/dev/fd/1\necho x 1 | PUSH\n"),
        (ME, "echo hi >/proc/self/fd/1\necho x 1 | PUSH\n"),
        ("* * * * * X! 'a b' >/dev/null 2>&1", "printf 'x{l=\"%s\"} 1\\n' \"$1\" | PUSH\n"),
        ("* * * * * cd DIR && ./x.sh", "cat m.prom | PUSH\n"),
        ("* * * * * bash X!", "#!/bin/sh\necho x ${BASH_VERSION:+1} | PUSH\n"),
        ("* * * * * echo x 1 | PUSH >/dev/null", ""),
        ("* * * * * echo x 1 | /usr/bin/curl --data-binary @- http://gw/metrics/job/a", ""),
        ("* * * * * /usr/bin/curl --data-binary 'x 1' http://gw/metrics/job/a", ""),
        ("* * * * * echo x 1 | curl --data-binary @- http://gw/metrics/old/metrics/job/a", ""),
        ("URL=http://gw/metrics/job/a\n* * * * * echo x 1 | curl --data-binary @- $URL", ""),
        ("SHELL=/bin/bash\n* * * * * echo x {1..1} | PUSH", ""),
        // Wrong only in that there is no file to leave it in.
        (ME, "echo x 1 | curl -o /dev/null --data-binary @- http://gw/metrics/job/a\n"),
        (ME, "echo x 1 | curl -w '' --data-binary @- http://gw/metrics/job/a >/dev/null 2>&1\n"),
    ] {
        tried(&mut faults, || becomes(crontab, script, &Same));
    }
    assert_eq!(faults, 0);
}

#[test]
fn what_is_not_the_same_stays() {
    let again = "executes itself";
    let answer = "keeps the answer";
    let mut faults = 0;
    for (crontab, script, said) in [
        ("* * * * * X! </etc/passwd", "echo x $(wc -l) | PUSH\n", "/x.sh, line 1, replace"),
        ("* * * * * X! 3>/dev/null", "echo x 1 | PUSH\n", "/x.sh, line 1, replace"),
        ("* * * * * X! <<< 1", "echo x 1 | PUSH\n", "/x.sh, line 1, replace"),
        ("* * * * * bash -e -- X!", "echo x 1 | PUSH\n", "/x.sh, line 1, replace"),
        ("* * * * * bash -o pipefail X!", "echo x 1 | PUSH\n", "/x.sh, line 1, replace"),
        ("* * * * * /usr/bin/timeout 5 curl -d 'x 1' http://gw/metrics/job/a", "", "Not understood: "),
        (ME, "curl -T ~/m.prom http://gw/metrics/job/a\n", "the shell makes other words of"),
        (ME, "curl -T DIR/*.prom http://gw/metrics/job/a\n", "the shell makes other words of"),
        (ME, "curl -d x\\ ${X:-'1'} http://gw/metrics/job/a\n", "quotes within"),
        (ME, "curl -d x\\ `echo \\\"1\\\"` http://gw/metrics/job/a\n", "quotes within"),
        (ME, "#!/bin/bash\nfalse | true\necho x ${PIPESTATUS[0]} | PUSH\n", "PIPESTATUS"),
        (ME, "[ \"$L\" ] || L=1 exec flock -n \"$0\" \"$0\"\necho x 1 | PUSH\n", again),
        (ME, "[ \"$L\" ] || { L=1 \"$0\"; exit; }\necho x 1 | PUSH\n", again),
        (ME, "echo x 1 | curl -o DIR/o --data-binary @- http://gw/metrics/job/a\n", answer),
        (ME, "echo x 1 | curl -D DIR/o --data-binary @- http://gw/metrics/job/a\n", answer),
        (ME, "echo x 1 | curl -w '%{http_code}' --data-binary @- http://gw/metrics/job/a\n", answer),
        (ME, "echo x 1 | PUSH >DIR/o\n", answer),
        (ME, "echo x 1 | PUSH 2>>DIR/o\n", answer),
        ("* * * * * echo x 1 | PUSH >>DIR/o 2>&1", "", answer),
        (ME, "echo x 1 | PUSH\r\n", "carriage return"),
        (ME, "sed -n 's/^## //p' \"$0\" | PUSH\n## x 1\n", again),
        (ME, "curl() { :; }\necho x 1 | PUSH\n", "a curl of its own"),
        (ME, "alias curl=true\necho x 1 | PUSH\n", "a curl of its own"),
        (ME, "v=a\n. DIR/m.prom\necho x 1 | PUSH/team/$v\n", "`team` is not the same in each run"),
        (ME, "me=$0\necho x 1 | PUSH\n", again),
        (ME, "x=$(\"$0\" -n)\necho x 1 | PUSH\n", again),
        (ME, &format!("echo x 1 | PUSH\n#{}\n", "a".repeat(100 << 10)), "too long"),
        ("7 3 * * * X!", "echo x 1 | PUSH\n", "no time of day"),
    ] {
        tried(&mut faults, || becomes(crontab, script, &Stays(said)));
    }
    assert_eq!(faults, 0);
}

/// Migrates `crontab`, whose collectors must pass `promdrop check`: how many there are, and all of it on one line.
#[track_caller]
fn said(bench: &Bench, crontab: &str) -> (usize, String) {
    let (_, stdout, _) = migrate(&["--user", "root"], &bench.filled(crontab));
    let (_, collectors, kept) = parts(&stdout);
    ask_cron(kept);
    for (name, yaml) in &collectors {
        bench.0.collector(name.strip_suffix(".yaml").unwrap(), yaml);
    }
    assert_eq!(bench.0.outcome(&["check"]), (0, String::new(), String::new()), "{stdout}");
    (collectors.len(), stdout.replace("\n# ", " "))
}

#[test]
fn a_script_has_one_collector_however_its_lines_differ() {
    let script = "echo x{a=\\\"$1\\\"} 1 | PUSH\n";
    let note = "has a collector already, x.yaml, whose series would be the same.";
    for (crontab, count, is_told) in [
        ("* * * * * X!\n* * * * * sleep 30; X! >/dev/null 2>&1\n", 1, false),
        ("* * * * * X! >>/var/log/x.log\n* * * * * sleep 30; X! &>/dev/null\n", 1, false),
        ("MAILTO=a\n* * * * * X!\nMAILTO=b\n* * * * * sleep 30; X!\n", 1, false),
        ("A=1\n* * * * * X!\nA=1\n* * * * * sleep 30; X!\n", 1, false),
        ("* * * * * X!\nA=1\n* * * * * sleep 30; X!\n", 1, true),
        ("* * * * * X! a\n* * * * * X! b\n", 1, true),
        ("* * * * * X!\n*/2 * * * * X!\n", 1, true),
        ("* * * * * echo x 1 | PUSH\nA=1\n* * * * * echo x 1 | PUSH\n", 1, true),
    ] {
        let bench = Bench::new(script);
        let (found, stdout) = said(&bench, crontab);
        assert_eq!((found, stdout.contains(note)), (count, is_told), "{crontab}{stdout}");
        let all = bench.0.promdrop().args(["run"]).output().unwrap();
        assert!(all.status.success(), "{crontab}{}", String::from_utf8_lossy(&all.stderr));
    }
}

#[test]
fn what_only_job_told_apart_is_said_in_each() {
    let bench = Bench::new("");
    let line =
        |job: &str| format!("* * * * * echo x_{job} 1 | curl --data-binary @- http://gw/metrics/job/{job}\n");
    let note = "Another collector here had another job";
    let (count, stdout) = said(&bench, &(line("a") + &line("b")));
    assert_eq!((count, stdout.matches(note).count()), (2, 2), "{stdout}");
    let bench = Bench::new("");
    let (_, stdout) = said(&bench, &(line("a") + &line("a").replace("x_a", "y")));
    assert!(!stdout.contains(note), "{stdout}");
}

#[test]
fn labels_of_the_text_and_the_group_are_as_told() {
    let bench = Bench::new("");
    let group = |text: &str| {
        format!("* * * * * echo '{text} 1' | curl --data-binary @- http://gw/metrics/job/j/team/t\n")
    };
    let note =
        "A `job` or `instance` in the text, which the Pushgateway overwrote, stays, and `team` is refused.";
    let (_, stdout) = said(&bench, &group("x{job=\"k\"}"));
    assert!(stdout.contains(note), "{stdout}");
    bench.0.run_well(&["x"]);
    assert!(bench.0.text("x.prom").contains("\nx{job=\"k\",team=\"t\"} 1\n"), "{}", bench.0.text("x.prom"));
    let bench = Bench::new("");
    said(&bench, &group("x{team=\"u\"}"));
    assert_ne!(bench.0.outcome(&["run", "x"]).0, 0);
}

#[test]
fn what_an_operator_should_know_is_said() {
    for (crontab, script, note) in [
        (
            "* * * * * echo x 1 | curl -d @- http://gw/metrics/job/a\n",
            "",
            "curl's -d sends a text without its newlines",
        ),
        (
            "* * * * * curl -d 'x 1' http://gw/metrics/job/a\n",
            "",
            "curl's -d sends a text without its newlines",
        ),
        ("7 * * * * X!\n", "echo x 1 | PUSH", "It ran 7 minutes past each full 1h"),
        ("3-59/15 * * * * X!\n", "echo x 1 | PUSH", "It ran 3 minutes past each full 15m"),
        ("* * * * * X!\n", "echo x 1 | PUSH", "a copy of its script"),
        ("* * * * * X!\n", "wget http://a:b@c/\necho x 1 | PUSH", "There may be a password in it"),
        ("* * * * * X!\n", "DB_PASSWORD=a\necho x 1 | PUSH", "There may be a password in it"),
        (
            "* * * * * X!\n",
            "set -e\necho x 1 | PUSH\nls /nowhere\n",
            "decides behind the push on the exit status",
        ),
        (
            "* * * * * X!\n",
            "#!/bin/sh -e\necho x 1 | PUSH\nls /\n",
            "decides behind the push on the exit status",
        ),
        ("* * * * * X!\n", "echo x 1 | PUSH\nexit $?\n", "decides behind the push on the exit status"),
        ("PATH=/opt/bin\n* * * * * backup\n", "", "The PATH of line 1 has no /usr/bin"),
        ("1~5 * * * * backup\n", "", "\"1~5\" is no minute.\n1~5 * * * * backup\n"),
        ("0 5-3 * * * backup\n", "", "so it is empty.\n0 5-3 * * * backup\n"),
        ("* * * * * ~/x.sh\n", "", "~/x.sh can't be read here"),
        ("* * * * * \"$HOME\"/x.sh\n", "", "$HOME/x.sh can't be read here"),
        ("HOME=DIR\n* * * * * \"$HOME/x.sh\"\n", "echo x 1 | PUSH", "replaced by x.yaml"),
        ("HOME=DIR\n* * * * * ~/x.sh\n", "echo x 1 | PUSH", "replaced by x.yaml"),
        ("* * * * * root /bin/a\n0 * * * * bob /bin/b\n", "", "a system crontab is read with --system"),
        ("* * * * * backup promdrop\n", "", "* * * * * promdrop exec backup"),
        (
            "* * * * * for i in 0 30; do sleep $i; X!; done\n",
            "echo x 1 | PUSH",
            "need promdrop.timer, or this line",
        ),
        (
            "* * * * * for i in 0 20 40; do sleep 20; X!; done\n",
            "echo x 1 | PUSH",
            "in the place of the timer: * * * * *  root  promdrop run --every 20s",
        ),
        (
            "*/5 * * * * X!\n*/5 * * * * sleep 150; X!\n",
            "echo x 1 | PUSH",
            "need promdrop.timer, or this line",
        ),
    ] {
        let bench = Bench::new(script);
        let (_, stdout) = said(&bench, crontab);
        assert!(stdout.contains(note), "{crontab}{script}\n{note}\n{stdout}");
    }
}

#[test]
fn what_is_private_is_not_made_public() {
    let bench = Bench::new("echo x 1 | PUSH\n");
    fs::set_permissions(bench.0.path("x.sh"), Permissions::from_mode(0o750)).unwrap();
    let (count, stdout) = said(&bench, "* * * * * X!\n");
    assert_eq!(count, 0, "{stdout}");
    assert!(
        stdout.contains("not everyone may read the script") && stdout.contains("promdrop push job/a"),
        "{stdout}"
    );
}

#[test]
fn no_line_is_longer_than_cron_takes() {
    for length in 900..1000 {
        let bench = Bench::new("");
        let line = format!("* * * * * /bin/{}", "a".repeat(length - 5));
        if length > 998 {
            continue;
        }
        let (_, stdout) = said(&bench, &format!("{line}\n"));
        let is_kept = stdout.contains(&format!("\n{line}\n"));
        let told = stdout.contains("it is longer than the 998 bytes that cron takes");
        assert_eq!(is_kept, told, "{length}");
        assert!(is_kept || length < 940, "{length}");
    }
}

#[test]
fn a_script_that_is_not_utf_8_is_told() {
    let bench = Bench::new("");
    fs::write(
        bench.0.path("x.sh"),
        b"#!/bin/sh\n# \xe9\necho x 1 | curl --data-binary @- http://gw/metrics/job/a\n",
    )
    .unwrap();
    let (count, stdout) = said(&bench, "* * * * * X!\n");
    assert_eq!(count, 0);
    assert!(stdout.contains("the script is not UTF-8"), "{stdout}");
}
