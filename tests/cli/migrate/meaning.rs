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
        ("7 3 * * * X!", "echo x 1 | PUSH\n", "no time of day"),
    ] {
        tried(&mut faults, || becomes(crontab, script, &Stays(said)));
    }
    assert_eq!(faults, 0);
}
