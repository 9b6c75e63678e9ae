//! The package on a machine without systemd, where cron does what the timer does elsewhere.

use std::process::Stdio;
use std::time::Duration;

use super::built;
use crate::support::machine::Machine;
use crate::support::wait_for;

/// A minute until cron starts the line, and as much again for a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
const DIRECTORY: &str = "/var/lib/prometheus/node-exporter";

/// What bash offers for the last of these words.
fn completed(machine: &Machine, words: &[&str]) -> String {
    let script = r#"source /usr/share/bash-completion/completions/promdrop
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        $(complete -p promdrop | sed 's/.* -F \([^ ]*\) .*/\1/') "$1" "${@: -1}" "${@: -2:1}"
        echo "${COMPREPLY[*]}""#;
    let output = machine.command("bash").args(["-euc", script, "bash"]).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What zsh makes of a word's beginning and a tab, at a terminal; compinit finds the completions as for any user.
const ZSH: &str = r#"
    zmodload zsh/zpty
    zpty shell zsh -f
    zpty -w shell 'autoload -Uz compinit && compinit -D -u; promdrop() { print -r -- "called ""with <$*>" }'
    zpty -w shell $'promdrop stat\t'
    zpty -r -m shell seen '*called with <*>*'
    print -r -- ${${seen##*called with <}%%>*}"#;

fn assert_all_shells_complete(machine: &Machine) {
    assert_eq!(completed(machine, &["promdrop", "stat"]), "status");
    assert_eq!(completed(machine, &["promdrop", "run", "--ev"]), "--every");
    // One that finds no completions waits for ever.
    let zsh = machine.command("timeout").args(["60", "zsh", "-fc", ZSH]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&zsh.stdout), "status\n", "{zsh:?}");
    let fish = machine.sh("fish -c 'complete --do-complete \"promdrop stat\"'");
    assert!(fish.starts_with("status\t"), "{fish}");
}

/// The command of the line that removal leaves.
fn line(machine: &Machine) -> String {
    let table = machine.read("/etc/cron.d/promdrop");
    let (_, command) = table.lines().last().unwrap().split_once("root").unwrap();
    command.trim_start().to_owned()
}

#[test]
fn real_cron_runs_the_installed_line_and_removal_ends_what_it_runs() {
    let machine = Machine::without_systemd(&["--private-network"]);
    machine.sh(&format!("rm -f /var/lib/man-db/auto-update; mkdir -p {DIRECTORY}; cron"));
    let said = machine.install(built());
    assert!(!said.contains("promdrop: "), "{said}");

    assert_all_shells_complete(&machine);
    let pages = machine.sh("man --where promdrop promdrop.yaml");
    assert_eq!(pages, "/usr/share/man/man8/promdrop.8.gz\n/usr/share/man/man5/promdrop.yaml.5.gz\n");

    let status = wait_for(PATIENCE, "cron has had netstat and ping published", || {
        let status = machine.attempt("promdrop status");
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        if text.matches(" success ").count() == 2 { Ok(text) } else { Err(text) }
    });
    assert!(status.contains("netstat") && status.contains("ping"), "{status}");

    // The run that published goes on for most of the minute, and would publish again; so would one of a user's crontab.
    let mut by_hand = machine.command("promdrop");
    by_hand.args(["--textfile-dir", DIRECTORY, "run", "--every=15s", "--for=1h"]);
    let mut by_hand = by_hand.stderr(Stdio::null()).spawn().unwrap();
    wait_for(PATIENCE, "it runs", || {
        machine.attempt("pgrep --full '[-]-for=1h'").status.success().then_some(()).ok_or(())
    });
    machine.sh("dpkg --remove promdrop 2>&1");
    let running = machine.attempt("pgrep --list-full promdrop");
    assert_eq!(String::from_utf8_lossy(&running.stdout), "");
    by_hand.wait().unwrap();
    assert_eq!(machine.sh(&format!("ls -A {DIRECTORY}")), "");
    let line = line(&machine);
    assert!(line.contains("promdrop run"), "{line}");
    assert_eq!(machine.sh(&format!("{{ {line}; }} 2>&1")), "", "cron has nothing to mail");
    machine.sh("dpkg --purge promdrop 2>&1");
    assert!(!machine.has("/etc/cron.d/promdrop") && !machine.has("/etc/promdrop"));
}
