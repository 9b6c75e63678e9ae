//! Commands that mean harm: nothing of them reaches the directory as it is, nor the terminal, and none outlives its run.

use std::time::Duration;

use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::single::{NAME, Single, shell};
use crate::support::{names, need, processes};

/// Stands in what must be published nowhere.
const EVIL: &str = "EVIL";

/// Nothing but printable characters, tabs and the ends of lines.
#[track_caller]
fn assert_harmless(script: &str, text: &str) {
    let bad: String = text.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t')).collect();
    assert!(bad.is_empty(), "{script}: {bad:?} in {text:?}");
}

#[test]
fn what_they_print_reaches_neither_the_directory_nor_the_terminal() {
    need("python3");
    for (script, word) in [
        ("printf 'EVIL\\033[2J\\033]0;title\\007 1\\n'", "output"),
        ("printf '# HELP a EVIL\\033[31m\\na 1\\n'", "output"),
        ("printf '\\033[2J\\rEVIL\\b\\b' >&2; exit 3", "exit"),
        ("printf '\\302\\233EVIL31m\\n' >&2; printf '\\302\\233EVIL\\n'", "output"),
        ("head -c 100000 /dev/urandom", "output"),
        ("head -c 100000 /dev/urandom >&2; exit 3", "exit"),
        ("printf 'a 1\\000EVIL\\n'", "output"),
        ("printf '\\000\\000\\000'", "output"),
        ("printf 'a{b=\"EVIL\\377\\376\"} 1\\n'", "output"),
        ("printf '\\377\\376' >&2; exit 3", "exit"),
        ("head -c 1G /dev/zero | tr '\\\\0' x", "limit"),
        ("head -c 3M /dev/zero | tr '\\\\0' x", "output"),
        // What kills node_exporter, or turns a scrape against itself.
        ("printf 'evil{b=\"EVIL\"} 1\\nevil{b=\"EVIL\"} 2\\n'", "output"),
        ("printf 'a{__name__=\"EVIL\"} 1\\n'", "output"),
        ("printf 'a{b=\"EVIL\",b=\"EVIL\"} 1\\n'", "output"),
        ("printf '# TYPE evil counter\\n# TYPE evil gauge\\nevil 1\\n# HELP evil EVIL\\n'", "output"),
        ("printf '# TYPE evil histogram\\nevil_bucket{le=\"EVIL\"} 1\\n'", "output"),
        ("printf 'promdrop_collector_success{collector=\"it\",b=\"EVIL\"} 1\\n'", "invalid"),
        ("printf 'a 1 1\\n# EVIL\\nevil 2 999\\n'", "output"),
    ] {
        let run = Single::run(&shell("timeout: 20s", script, ""));
        run.ended(word);
        assert_harmless(script, &run.said);
        assert_eq!(
            names(&run.host.textfile_dir()),
            [".promdrop.lock", "it.prom", "promdrop.prom"],
            "{script}"
        );
        let published = run.host.text("it.prom");
        assert_harmless(script, &published);
        assert!(!published.contains(EVIL) && !published.contains("\nevil"), "{script}: {published}");
        assert!(published.len() < 8192, "{script}: {} bytes", published.len());
        let (status, stdout, stderr) = run.host.outcome(&["test", NAME]);
        assert_eq!(status, 1, "{script}");
        assert_harmless(script, &(stdout + &stderr));
    }
}

/// A label may hold any text, which node_exporter serves: it is published, and shown with its control characters made
/// visible.
#[test]
fn a_label_with_terminal_escapes_does_not_reach_the_terminal() {
    let script = "printf 'a{b=\"\\033[2J\\033]0;title\\007\\302\\2331m\\r\"} 1\\n'";
    let run = Single::run(&shell("", script, ""));
    run.ended("success");
    assert_harmless(script, &run.said);
    let (status, stdout, stderr) = run.host.outcome(&["test", NAME]);
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("a{b=\"\\x1b[2J\\x1b]0;title\\x07\\x9b1m\\x0d\"} 1\n"), "{stdout}");
    assert_harmless(script, &(stdout + &stderr));
}

#[test]
fn no_descriptor_leads_into_promdrop() {
    need("python3");
    let script = "exec python3 -c '
import os
found = sorted(int(fd) for fd in os.listdir(\"/proc/self/fd\"))
for fd in found + list(range(3, 1024)):
    for text in (b\"EVIL 1\\n\", b\"\\0\\0\\0\\1EVIL\"):
        try: os.write(fd, text)
        except OSError: pass
for name in (\"0\", \"1\", \"2\", \"3\", \"4\", \"5\"):
    try: open(\"/proc/%d/fd/%s\" % (os.getppid(), name), \"wb\", 0).write(b\"EVIL 1\\n\"); print(\"in\", name)
    except OSError: pass
os._exit(3)
'";
    for user in ["user: nobody", ""] {
        let run = Single::run(&shell(user, script, ""));
        // As root it can write to its supervisor's pipes, which is less than it could do else; then there is no report.
        run.ended(if user.is_empty() { "internal" } else { "exit" });
        assert!(!run.host.text("it.prom").contains(EVIL));
    }
}

/// What is to be alive no longer.
const TREES: [(&str, &str); 6] = [
    (
        // Which the kernel calls a zombie.
        "a process without its first thread",
        "exec python3 -c '
import ctypes, os, signal, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): time.sleep(600)
os.setsid()
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall(60, 0)
'",
    ),
    (
        "new sessions",
        "for i in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; sleep 600; sleep 600' & done; wait",
    ),
    (
        "twice forked",
        "setsid sh -c 'setsid sh -c \"trap \\\"\\\" TERM; sleep 600; sleep 600\" & sleep 600' & sleep 600",
    ),
    ("a holder of the pipe", "(trap '' TERM; exec setsid sleep 600) & exec sleep 600"),
    (
        "a chain",
        "exec python3 -c '
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    if os.fork(): os._exit(0)
    os.setsid()
'",
    ),
    ("a stopped one", "setsid sh -c 'kill -STOP $$' & sleep 600"),
];

#[test]
fn no_tree_outlives_its_timeout() {
    need("python3");
    for (what, script) in TREES {
        in_fresh(|| {
            let host = Host::new();
            let run = Single::run_on(host, &shell("timeout: 1s", script, ""));
            processes::await_none(Duration::from_millis(100));
            // The chain's first link exits with 0 at once, without output.
            run.ended(if what == "a chain" { "output" } else { "timeout" });
            assert!(!run.said.contains("could not be ended"), "{what}: {}", run.said);
            // The timeout, the grace, a second for KILL, and the rest for a busy machine.
            assert!(run.took < Duration::from_secs(6), "{what}: {:?}", run.took);
        });
    }
}
