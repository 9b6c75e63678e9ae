//! On a terminal: it is the job's as it would be.

use std::fs;
use std::process::{Command, Output};

use super::text;
use crate::support::host::Host;
use crate::support::need;

/// Runs `argv[3:]` on a terminal of its own. `argv[1]` and `argv[2]` are what to wait for and what to type
/// then, in turn, each a list divided by `|`. All that shows is printed; the status is the program's.
const DRIVER: &str = r#"
import os, pty, select, sys, time
waits, keys = ([bytes(part, 'ascii').decode('unicode_escape').encode() for part in text.split('|')] for text in sys.argv[1:3])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
shown, seen, limit = b'', 0, time.time() + 60
while time.time() < limit:
    if waits and waits[0] in shown[seen:]:
        seen = len(shown)
        waits.pop(0)
        os.write(fd, keys.pop(0))
    if not select.select([fd], [], [], 0.1)[0]:
        continue
    try:
        some = os.read(fd, 4096)
    except OSError:
        break
    if not some:
        break
    shown += some
os.write(1, shown)
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"#;

fn on_terminal(waits: &str, keys: &str, command: &Command) -> Output {
    need("python3");
    let mut python = super::bare("python3");
    python.args(["-c", DRIVER, waits, keys]).arg(command.get_program()).args(command.get_args());
    python.env("TERM", "dumb").env("PS1", "$ ").output().unwrap()
}

#[test]
fn it_is_the_jobs_and_an_interrupt_comes_once() {
    let host = Host::new();
    // It waits for each: a trap would run once for two that come together.
    let script = "import os, signal, sys\n\
                  for fd in range(3): print('tty', fd) if os.isatty(fd) else None\n\
                  signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n\
                  print('ready', flush=True)\n\
                  while signal.sigtimedwait([signal.SIGINT], 1): print('caught', flush=True)\n\
                  print('typed', input())\n\
                  sys.exit(7)\n";
    let mut exec = host.exec(&[]);
    exec.args(["python3", "-c", script]);
    let output = on_terminal("ready|caught", "\\x03|word\\n", &exec);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(7), "{shown}");
    for word in ["tty 0", "tty 1", "tty 2", "typed word"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(shown.matches("caught").count(), 1, "{shown}");
}

/// A job that has left the terminal's foreground gets no interrupt from there, and none by promdrop.
#[test]
fn what_a_terminal_sends_is_not_passed_on() {
    let host = Host::new();
    let script = "import os, signal\n\
                  os.setpgid(0, 0)\n\
                  signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n\
                  print('ready', flush=True)\n\
                  print('caught', signal.sigtimedwait([signal.SIGINT], 1))\n";
    let mut exec = host.exec(&[]);
    exec.args(["python3", "-c", script]);
    let output = on_terminal("ready", "\\x03", &exec);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("^C") && shown.contains("caught None"), "{shown}");
}

#[test]
fn an_interrupt_ends_both() {
    let host = Host::new();
    let mut exec = host.exec(&[]);
    exec.args(["sh", "-c", "echo ready; exec sleep 60"]);
    let output = on_terminal("ready", "\\x03", &exec);
    assert_eq!(output.status.code(), Some((-2_i32).rem_euclid(256)), "{}", text(&output.stdout));
    assert_eq!(host.told("signal"), 2.0);
}

#[test]
fn it_is_stopped_from_the_keyboard_and_goes_on_in_the_foreground() {
    let host = Host::new();
    let exec = host.exec(&[]);
    let words: Vec<String> = [exec.get_program()]
        .into_iter()
        .chain(exec.get_args())
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let line = format!("{} sh -c 'echo re\"\"ady; read x; echo got-$x; exit 7'\n", words.join(" "));
    fs::write(host.path("rc"), "set -m\nPS1='prompt> '\n").unwrap();
    let mut bash = Command::new("/bin/bash");
    bash.arg("--noprofile").arg("--rcfile").arg(host.path("rc")).arg("-i");
    // Each time once bash reads again: between, what is typed can get lost.
    let output = on_terminal(
        "prompt>|ready|prompt>|sh -c|prompt>|prompt>",
        &format!("{}|\\x1a|fg\\n|word\\n|echo status-$?\\n|exit\\n", line.replace('\n', "\\n")),
        &bash,
    );
    let shown = text(&output.stdout);
    assert!(shown.contains("Stopped") && shown.contains("got-word") && shown.contains("status-7"), "{shown}");
    assert_eq!(host.told("exit_status"), 7.0);
}
