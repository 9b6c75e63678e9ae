//! The same job bare and by `promdrop exec`: what it gets, what it does and how it ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use super::{NAME, bare, text};
use crate::support::host::Host;
use crate::support::need;

/// Runs `argv` both ways after `prepare`, whose words come before it; both outcomes.
fn both_after(prepare: &[&str], argv: &[&OsStr]) -> (Host, Output, Output) {
    let host = Host::new();
    let exec = host.plain_exec(&[]);
    let run = |words: Vec<&OsStr>| {
        let mut command = bare(words[0].to_str().unwrap());
        command.args(&words[1..]).output().unwrap()
    };
    let before: Vec<&OsStr> = prepare.iter().map(OsStr::new).collect();
    let promdrop: Vec<&OsStr> = [exec.get_program()].into_iter().chain(exec.get_args()).collect();
    let without = run([before.as_slice(), argv].concat());
    let with = run([before.as_slice(), &promdrop, argv].concat());
    (host, without, with)
}

#[track_caller]
fn alike_after(prepare: &[&str], argv: &[&str]) -> Output {
    let argv: Vec<&OsStr> = argv.iter().map(OsStr::new).collect();
    let (_, without, with) = both_after(prepare, &argv);
    assert_eq!(with, without, "{argv:?}");
    with
}

#[track_caller]
fn alike(argv: &[&str]) -> Output {
    alike_after(&["env", "--default-signal"], argv)
}

#[test]
fn it_exits_as_the_job_does() {
    for status in [0, 1, 2, 75, 124, 126, 127, 128, 130, 255] {
        let output = alike(&["sh", "-c", &format!("echo out; echo err >&2; exit {status}")]);
        assert_eq!(output.status.code(), Some(status));
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    }
}

#[test]
fn it_dies_of_the_signal_that_the_job_dies_of() {
    for signal in
        ["HUP", "INT", "QUIT", "ILL", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "PIPE", "ALRM", "TERM"]
    {
        let output = alike(&["sh", "-c", &format!("ulimit -c 0; kill -{signal} $$")]);
        assert!(output.status.signal().is_some(), "{signal}: {:?}", output.status);
    }
    // What is no safe call's to raise is told as a shell tells it.
    let host = Host::new();
    let output = host.exec(&[]).args(["bash", "-c", "kill -RTMIN+5 $$"]).output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 39));
    assert_eq!((host.told("signal"), host.runs("signal")), (39.0, 1.0));
}

#[test]
fn any_bytes_are_read_and_written() {
    let host = Host::new();
    let all: Vec<u8> = (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    fs::write(host.path("in"), &all).unwrap();
    let mut exec = host.exec(&[]);
    exec.args(["sh", "-c", "tee /dev/stderr"]).stdin(File::open(host.path("in")).unwrap());
    let output = exec.output().unwrap();
    assert!(output.status.success() && output.stdout == all && output.stderr == all);
}

#[test]
fn arguments_and_environment_are_any_bytes() {
    let latin = OsString::from_vec(b"\xe9 \"'$\n\xff".to_vec());
    let words = [
        OsStr::new("printf"),
        OsStr::new("%s|"),
        &latin,
        OsStr::new(""),
        OsStr::new("--timeout"),
        OsStr::new("--"),
    ];
    let (_, without, with) = both_after(&["env"], &words);
    assert_eq!(with, without);
    assert_eq!(with.stdout, [b"\xe9 \"'$\n\xff".as_slice(), b"||--timeout|--|"].concat());

    let host = Host::new();
    let mut exec = host.exec(&[]);
    exec.args(["env", "-0"]).env("LATIN", &latin).env("PROMDROP_OUTPUT", "outer");
    let with = exec.output().unwrap().stdout;
    let mut variables: Vec<&[u8]> = with.split(|byte| *byte == 0).filter(|v| !v.is_empty()).collect();
    variables
        .retain(|variable| !variable.starts_with(b"PROMDROP_OUTPUT=/") && !variable.starts_with(b"PATH="));
    assert_eq!(variables, [[b"LATIN=".as_slice(), b"\xe9 \"'$\n\xff"].concat()]);
}

#[test]
fn ignored_and_blocked_signals_group_session_and_limits_are_those_it_was_started_with() {
    // 32 and 33, which glibc keeps for itself, are ignored in what its posix_spawn starts.
    const GLIBC: u64 = 0x1_8000_0000;
    // No shell between: some of them block or unblock signals themselves.
    let lines = "^(Sig[^Q]|Shd|Uid|Gid|Groups|NoNewPrivs|Cap)";
    need("env");
    for prepare in [
        &["env"][..],
        &["env", "--ignore-signal=HUP,USR2,INT", "--block-signal=USR1,ALRM,TERM,CONT"],
        &["nice", "-n5", "nohup"],
    ] {
        let (_, without, with) =
            both_after(prepare, &["grep", "-E", lines, "/proc/self/status"].map(OsStr::new));
        let ignored = |output: &Output| {
            let text = text(&output.stdout);
            let line = text.lines().find(|line| line.starts_with("SigIgn:")).unwrap().to_owned();
            (text.replace(&line, ""), u64::from_str_radix(line[7..].trim(), 16).unwrap())
        };
        let (others, mask) = ignored(&with);
        let (bare_others, bare_mask) = ignored(&without);
        assert_eq!(others, bare_others, "{prepare:?}");
        assert_eq!(mask & !GLIBC, bare_mask & !GLIBC, "{prepare:?}");
    }
    let script = "ulimit -a; umask; pwd; nice; cut -d' ' -f6-8 /proc/self/stat; ls /proc/self/fd";
    alike_after(&["nice", "-n5"], &["sh", "-c", script]);
}

#[test]
fn it_stays_in_the_group_and_session_of_promdrop() {
    let host = Host::new();
    let script = "cut -d' ' -f4-6 /proc/$$/stat; cut -d' ' -f1,5,6 /proc/$PPID/stat";
    let mut exec = host.exec(&[]);
    let output = exec.args(["sh", "-c", script]).output().unwrap();
    let output = text(&output.stdout);
    let (job, promdrop) = output.split_once('\n').unwrap();
    let of = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(of(job), of(promdrop), "{output}");
}

#[test]
fn further_descriptors_are_inherited() {
    let host = Host::new();
    let exec = host.exec(&[]);
    let script = r#"exec "$@" 5>"$0" 7</dev/null"#;
    let file = host.path("five");
    let mut shell = bare("sh");
    shell.args(["-c", script]).arg(&file).arg(exec.get_program()).args(exec.get_args());
    let output = shell.args(["sh", "-c", "echo five >&5; read x <&7 || echo end"]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("end\n".into(), String::new()));
    assert_eq!(fs::read_to_string(file).unwrap(), "five\n");
}

#[test]
fn where_nobody_reads_it_is_ended_as_it_would_be() {
    for words in ["yes", "seq 1 1000000"] {
        let script = format!("set -o pipefail; \"$@\" {words} | head -n1; echo ${{PIPESTATUS[0]}}");
        let (_, without, with) = both_after(&["env", "--default-signal", "bash", "-c", &script, "-"], &[]);
        assert_eq!(with, without);
        assert!(text(&with.stdout).ends_with("\n141\n"), "{}", text(&with.stdout));
    }
}

#[test]
fn a_closed_stdout_is_as_good_as_null() {
    let host = Host::new();
    let exec = host.exec(&[]);
    let mut shell = bare("sh");
    shell.args(["-c", r#"exec "$@" >&-"#, "-"]).arg(exec.get_program()).args(exec.get_args());
    let output =
        shell.args(["sh", "-c", "readlink /proc/self/fd/1 >&2; echo lost; exit 4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    // The shell's $( ) or pipes aren't in the way: readlink's own stdout is the job's stderr.
    assert_eq!(text(&output.stdout), "");
    assert!(host.runs("exit") == 1.0);
}

#[test]
fn a_program_is_found_as_a_shell_finds_it() {
    let host = Host::new();
    let place = host.path("bin");
    fs::create_dir(&place).unwrap();
    let lay = |name: &str, text: &str, mode| {
        fs::write(place.join(name), text).unwrap();
        fs::set_permissions(place.join(name), Permissions::from_mode(mode)).unwrap();
    };
    lay("plain-script", "echo \"$0 $1\"; exit 9\n", 0o755);
    lay("not-executable", "echo no\n", 0o644);
    lay("bad-interpreter", "#!/nonexistent/interpreter\n", 0o755);
    let path = format!("/nonexistent:{}:/usr/bin:/bin", place.display());
    let run = |words: &[&str]| host.exec(&[]).env("PATH", &path).args(words).output().unwrap();

    let script = run(&["plain-script", "a b"]);
    assert_eq!(text(&script.stdout), format!("{}/plain-script a b\n", place.display()));
    assert_eq!((script.status.code(), text(&script.stderr)), (Some(9), String::new()));
    let by_path = run(&[place.join("plain-script").to_str().unwrap(), "x"]);
    assert_eq!(by_path.status.code(), Some(9));

    for (program, status, why) in [
        ("no-such-program", 127, "no such file or directory"),
        ("./no-such-program", 127, "no such file or directory"),
        ("not-executable", 126, "permission denied"),
        ("bad-interpreter", 127, "no such file or directory"),
        ("/", 126, "permission denied"),
    ] {
        let output = run(&[program]);
        assert_eq!(output.status.code(), Some(status), "{program}");
        assert_eq!(text(&output.stderr), format!("promdrop: exec {NAME}: can't start {program}: {why}\n"));
        // As env(1), which says the same in its words.
        let env = Command::new("env").env("PATH", &path).arg(program).output().unwrap();
        assert_eq!(env.status.code(), Some(status), "{program}");
    }
    assert_eq!((host.runs("spawn"), host.told("success"), host.told("exit_status")), (5.0, 0.0, 126.0));
}

#[test]
fn one_in_another_tells_of_both() {
    let host = Host::new();
    let inner = host.promdrop();
    let mut exec = host.exec(&[]);
    exec.arg(inner.get_program()).args(inner.get_args());
    let output = exec.args(["exec", "inner", "--", "sh", "-c", "kill -TERM $$"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(15));
    assert_eq!(host.runs("signal"), 1.0);
    let inner = host.published("exec.inner");
    assert_eq!(inner.value("promdrop_exec_signal", &[("name", "inner")]), 15.0);
}

#[test]
fn words_after_the_command_are_its_own() {
    let host = Host::new();
    let output = host.promdrop().args(["exec", "job", "printf", "%s.", "--label", "-x"]).output().unwrap();
    assert_eq!(text(&output.stdout), "--label.-x.");
    for wrong in [
        &["exec", "Job", "--", "touch", "ran"][..],
        &["exec", "--timeout", "5", "job", "--", "touch", "ran"],
        &["exec", "--lock", "maybe", "job", "--", "touch", "ran"],
        &["exec", "--max-age", "1ms", "job", "--", "touch", "ran"],
        &["exec", "--expect-every", "often", "job", "--", "touch", "ran"],
        &["exec", "--label", "result=x", "job", "--", "touch", "ran"],
        &["exec", "--buckets", "10s,1s", "job", "--", "touch", "ran"],
        &["exec", "--nonsense", "job", "--", "touch", "ran"],
        &["exec", "job"],
    ] {
        let mut command = host.promdrop();
        let output = command.current_dir(host.path("")).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty());
        assert!(!host.path("ran").exists(), "{wrong:?}");
    }
}

#[test]
fn with_children_that_nobody_can_wait_for_it_runs_and_says_that_nothing_is_told() {
    let host = Host::new();
    let exec = host.plain_exec(&[]);
    let mut env = bare("env");
    let place = host.path("tmp");
    fs::create_dir(&place).unwrap();
    env.env("TMPDIR", &place);
    env.arg("--ignore-signal=CHLD").arg(exec.get_program()).args(exec.get_args()).stdin(Stdio::null());
    let output = env.args(["sh", "-c", "grep SigBlk /proc/self/status; kill -TERM $$"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(15));
    assert_eq!(text(&output.stdout), "SigBlk:\t0000000000000000\n");
    assert_eq!(place.read_dir().unwrap().count(), 0);
    let said = "nothing is published of this run: promdrop was started with SIGCHLD ignored";
    assert_eq!(text(&output.stderr), format!("promdrop: exec {NAME}: {said}\n"));
    let exec = host.plain_exec(&["--lock", "skip", "--timeout", "1m", "--quiet-success"]);
    let mut env = bare("env");
    env.arg("--ignore-signal=CHLD").arg(exec.get_program()).args(exec.get_args()).arg("true");
    let stderr = text(&env.output().unwrap().stderr);
    let void = format!("promdrop: exec {NAME}: {said}; void are: --lock, --timeout, --quiet-success\n");
    assert_eq!(stderr, void);
}
