//! The Ansible role, played by Debian's ansible-core and by a current one.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::{DEB, await_published, block, booted, changed, hand_over, standing, with_packaging};
use crate::support::machine::{Machine, with_promdrop};
use crate::support::series::Series;
use crate::support::server::{package, part};

/// Debian's.
const ANSIBLE: &str = "/usr/bin/ansible-playbook";

const DIRECTORY: &str = "/var/lib/prometheus/node-exporter";
const COLLECTORS: &str = "/etc/promdrop/collectors.d";

/// What promdrop check says of a mistake.
const BAD: &[&str] = &["unknown key `intervall`", "did you mean `interval`?"];

/// The role needs no facts. To look for results a thousand times a second costs as much as a third of all else.
const SETTINGS: &str = "\
[defaults]
roles_path = /srv/packaging/ansible
gathering = explicit
pipelining = True
internal_poll_interval = 0.02
";

/// What came of a play.
struct Played(String);

impl Played {
    /// What its last line counts.
    #[track_caller]
    fn count(&self, what: &str) -> u32 {
        let recap = self.0.lines().rfind(|line| line.starts_with("localhost ")).unwrap_or(&self.0);
        let count = recap.split_whitespace().find_map(|word| word.strip_prefix(what)?.strip_prefix('='));
        count.unwrap_or_else(|| panic!("no {what}: {}", self.0)).parse().unwrap()
    }

    /// That nothing failed.
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.count("failed"), 0, "{}", self.0);
        self
    }

    /// That it failed and said all of this.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        assert_eq!(self.count("failed"), 1, "{}", self.0);
        for word in words {
            assert!(self.0.contains(word), "no {word}: {}", self.0);
        }
    }
}

/// A README whose playbook is played.
const ROLES: &str = include_str!("../../../packaging/ansible/promdrop/README.md");
const OWN: &str = include_str!("../../../README.md");

/// Plays the playbook of a README, with `variables` that win over its own.
#[track_caller]
fn play_of(readme: &str, machine: &Machine, program: &str, variables: &str, arguments: &[&str]) -> Played {
    machine.write("/root/site.yml", &block(readme, "yaml")).write("/root/variables.yml", variables);
    machine.write("/root/ansible.cfg", SETTINGS);
    let Output { stdout, stderr, .. } = machine
        .command(program)
        .args(["--connection=local", "--inventory=localhost,", "--diff"])
        // Root is there already: no sudo at each task.
        .args(["--extra-vars=ansible_python_interpreter=/usr/bin/python3 ansible_become=false"])
        .arg("--extra-vars=@/root/variables.yml")
        .args(arguments)
        .arg("/root/site.yml")
        .env("ANSIBLE_CONFIG", "/root/ansible.cfg")
        .output()
        .unwrap();
    Played(String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

/// Plays that of the role, where promdrop is there already.
#[track_caller]
fn play(machine: &Machine, variables: &str, arguments: &[&str]) -> Played {
    let variables = format!("promdrop_install: none\n{variables}");
    play_of(ROLES, machine, ANSIBLE, &variables, arguments)
}

/// The current ansible-core, and the option of systemd-nspawn that shows it to a machine.
fn current() -> (String, String) {
    let program = part("ansible-lint/bin", "ansible-playbook").canonicalize().unwrap();
    let tree = program.parent().unwrap().parent().unwrap();
    (program.display().to_string(), format!("--bind-ro={}", tree.display()))
}

#[test]
fn a_host_gets_its_checks_and_loses_them() {
    let (current, with_current) = current();
    let machine = Machine::boot(&["--private-network", &with_packaging(), &with_current]);
    machine.install(&package("bookworm", "prometheus-node-exporter"));
    hand_over(&machine);
    let play = |program: &str, variables: &str, arguments: &[&str]| {
        let install = format!("promdrop_install: deb\npromdrop_deb: {DEB}\n");
        play_of(ROLES, &machine, program, &(install + variables), arguments)
    };

    // Looked at only: what would be done is shown, and nothing is.
    machine.sh("touch /run/before");
    let played = play(ANSIBLE, "", &["--check"]).good();
    assert!(played.count("changed") > 0 && played.0.contains("+module: netstat\n"), "{}", played.0);
    let touched = format!("find /etc /usr/bin /usr/lib/systemd {DIRECTORY} -newer /run/before");
    assert_eq!(machine.sh(&touched), "");

    // Done, and node_exporter serves it by the timer.
    let secret = "promdrop_secret_collectors: {token: {module: command, command: {argv: [printf, \
                  'token_age_seconds{key=\"%s\"} 7\\n', hunter2]}}}\n";
    let played = play(ANSIBLE, secret, &[]).good();
    assert!(!played.0.contains("hunter2"), "the secret is shown: {}", played.0);
    assert_eq!(standing(&machine, &format!("{COLLECTORS}/token.yaml")), "root root 600 regular file");
    assert_eq!(standing(&machine, &format!("{COLLECTORS}/netstat.yaml")), "root root 644 regular file");
    await_published(&machine, &["netstat", "mail-queue", "token"]);
    let scrape = Series::parse(&machine.scrape());
    assert_eq!(scrape.get("promdrop_collector_success", &[("collector", "netstat")]), Some(1.0));
    assert_eq!(scrape.get("mail_queue_waiting", &[("team", "mail"), ("shift", "off")]), Some(0.0));
    assert_eq!(scrape.get("token_age_seconds", &[("key", "hunter2")]), Some(7.0));
    assert_eq!(machine.sh("systemctl is-enabled promdrop.timer"), "enabled\n");

    // What the package brought is as it was, but for the definition of the data.
    assert_eq!(changed(&machine), format!("{COLLECTORS}/netstat.yaml\n"));

    // Again, by the other version: all is as it should be, and promdrop doctor finds it so.
    let played = play(&current, &format!("{secret}promdrop_doctor: true\n"), &[]).good();
    assert_eq!(played.count("changed"), 0, "{}", played.0);

    // A bad one: promdrop's own words, and the good one stands.
    let bad = "promdrop_collectors: {netstat: {module: netstat, intervall: 15s}}\n";
    play(ANSIBLE, bad, &[]).refused(BAD);
    assert!(machine.read(&format!("{COLLECTORS}/netstat.yaml")).contains("interval: 15s"));

    // One is no longer among the data: its file and its series go, and not by a run that happens to come.
    let fewer = "promdrop_purge_collectors: true\npromdrop_schedule: none\n\
                 promdrop_collectors: {netstat: {module: netstat, interval: 15s}}\n";
    play(ANSIBLE, fewer, &[]).good();
    assert_eq!(machine.sh(&format!("ls {COLLECTORS}")), "netstat.yaml\n");
    let scrape = Series::parse(&machine.scrape());
    assert!(!scrape.has("mail_queue_waiting") && !scrape.has("token_age_seconds"), "{:?}", scrape.names());
    scrape.value("promdrop_collector_success", &[("collector", "netstat")]);
    assert_eq!(machine.attempt("systemctl is-enabled promdrop.timer").stdout, b"disabled\n");

    // All of it goes, but for what isn't the role's.
    machine.write(&format!("{DIRECTORY}/other.prom"), "other 1\n");
    play(ANSIBLE, &format!("{fewer}promdrop_state: absent\n"), &[]).good();
    assert_eq!(machine.sh("find /etc /usr/bin -name '*promdrop*'"), "");
    assert_eq!(machine.sh(&format!("ls --almost-all {DIRECTORY}")), "other.prom\n");
}

/// One kind of node_exporter's installation, and what becomes of the host.
struct Kind {
    variables: &'static str,
    user: &'static str,
    directory: &'static str,
    standing: &'static str,
    dropins: &'static [(&'static str, &'static str)],
}

/// Each goes over into the next, with what it has laid down.
const KINDS: [Kind; 3] = [
    Kind {
        variables: "promdrop_node_exporter: puppet\npromdrop_textfile_dir: /run/node-exporter/textfile\n\
                    promdrop_commands_sandbox: true\npromdrop_service_options: [Nice=5]\n",
        user: "node-exporter",
        directory: "/run/node-exporter/textfile",
        standing: "node-exporter node-exporter 755 directory",
        dropins: &[
            ("commands", "CapabilityBoundingSet=CAP_SETUID CAP_SETGID"),
            ("options", "Nice=5"),
            ("textfile", "ReadWritePaths=-/run/node-exporter/textfile\n"),
        ],
    },
    Kind {
        variables: "promdrop_node_exporter: upstream\npromdrop_users: [alice]\npromdrop_netns_sandbox: true\n",
        user: "node_exporter",
        directory: "/var/lib/node_exporter/textfile_collector",
        standing: "node_exporter promdrop 1775 directory",
        dropins: &[("netns", "RestrictNamespaces=net"), ("textfile", "CapabilityBoundingSet=CAP_CHOWN")],
    },
    Kind {
        variables: "promdrop_node_exporter: prometheus_collection\npromdrop_schedule: cron\n",
        user: "node-exp",
        directory: "/var/lib/node_exporter",
        standing: "node-exp node-exp 775 directory",
        dropins: &[("textfile", "CapabilityBoundingSet=CAP_DAC_OVERRIDE")],
    },
];

#[test]
fn each_kind_of_node_exporter_has_its_directory_and_the_sandbox_lets_promdrop_in() {
    let machine = booted(&[]);
    let only = "promdrop_purge_collectors: true\npromdrop_collectors: {one: {module: command, command: \
                {argv: [echo, one_up 1]}}}\n";
    machine.sh("useradd --system node_exporter; useradd --system node-exp; useradd alice");
    let played = play(&machine, &format!("{only}{}", KINDS[0].variables), &[]);
    played.refused(&["failed to look up user node-exporter", "Install node_exporter first"]);
    machine.sh("useradd --system node-exporter");

    for Kind { variables, user, directory, standing: expected, dropins } in KINDS {
        play(&machine, &format!("{only}{variables}"), &[]).good();
        assert_eq!(standing(&machine, directory), expected);
        let there = machine.sh("cd /etc/systemd/system/promdrop.service.d; ls");
        let names: String = dropins.iter().map(|(name, _)| format!("{name}.conf\n")).collect();
        assert_eq!(there, names, "{variables}");
        for (name, text) in dropins {
            let text_there = machine.read(&format!("/etc/systemd/system/promdrop.service.d/{name}.conf"));
            assert!(text_there.contains(text), "{name}: {text_there}");
        }
        // In the unit's own sandbox; and node_exporter's user can read it.
        machine.sh("systemctl start promdrop.service");
        let published =
            machine.sh(&format!("setpriv --reuid={user} --clear-groups cat {directory}/one.prom"));
        assert!(published.contains("\none_up 1\n"), "{published}");
        // Either the timer or cron.
        let cron = variables.contains("cron");
        assert_eq!(machine.has("/etc/cron.d/promdrop"), cron);
        let timer = machine.attempt("systemctl is-active promdrop.timer").stdout;
        assert_eq!(timer == b"active\n", !cron, "{variables}");
        if variables.contains("alice") {
            machine.sh("runuser -u alice promdrop exec job true");
            assert_eq!(
                standing(&machine, &format!("{directory}/exec.job.prom")),
                "alice alice 644 regular file"
            );
        }
        // What lies in memory is there again after the next boot.
        let line = "/etc/tmpfiles.d/promdrop.conf";
        assert_eq!(machine.has(line), directory.starts_with("/run/"), "{variables}");
        if machine.has(line) {
            machine.sh(&format!("rm -r /run/node-exporter; systemd-tmpfiles --create {line}"));
            assert_eq!(standing(&machine, directory), expected);
        }
    }
    assert!(
        machine
            .read("/etc/cron.d/promdrop")
            .ends_with("\n* * * * *  root  exec promdrop run --every 15s --for 1m\n")
    );
}

#[test]
fn without_systemd_cron_has_the_line_and_what_cannot_be_meant_is_refused() {
    let machine = Machine::without_systemd(&["--private-network", &with_promdrop(), &with_packaging()]);
    let secret = "promdrop_secret_collectors: {netstat: {module: netstat, secret: hunter2}}\n";
    for (variables, words) in [
        (
            "promdrop_schedule: hourly\npromdrop_purge_collectors: perhaps\npromdrop_users: {a: b}\n",
            &[
                "value of promdrop_schedule must be one of",
                "'promdrop_purge_collectors' is of type",
                "'promdrop_users' is of type",
            ][..],
        ),
        ("promdrop_node_exporter: custom\n", &["promdrop_textfile_dir", "--collector.textfile.directory"]),
        ("promdrop_schedule: timer\n", &["promdrop_schedule: timer needs systemd"]),
        (secret, &["each stands in only one of"]),
    ] {
        let played = play(&machine, variables, &[]);
        played.refused(words);
        assert!(!played.0.contains("hunter2"), "{}", played.0);
    }
    assert!(!machine.has("/etc/promdrop"));
    play_of(OWN, &machine, ANSIBLE, "promdrop_install: none\n", &[]).good();
    assert_eq!(standing(&machine, "/etc/cron.d/promdrop"), "root root 644 regular file");
    // The package's own line, so that none of dpkg's questions comes of it.
    assert_eq!(machine.read("/etc/cron.d/promdrop"), include_str!("../../../packaging/cron/promdrop"));
    assert!(!machine.has("/etc/systemd/system/promdrop.timer"));
    // What the line starts finds all it needs.
    machine.sh("promdrop run");
    assert!(machine.read(&format!("{DIRECTORY}/mail-queue.prom")).contains("\nmail_queue_waiting"));

    // Looked at only, a mistake is told as well.
    let bad = "promdrop_collectors: {netstat: {module: netstat, intervall: 15s}}\n";
    play(&machine, bad, &["--check"]).refused(BAD);
}

#[test]
fn ansible_lint_finds_nothing() {
    let role = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/ansible/promdrop");
    let home = tempfile::TempDir::new().unwrap();
    let bin = part("ansible-lint/bin", "ansible-lint");
    let Output { status, stdout, stderr } = Command::new(&bin)
        .args(["--offline", "--strict", "--profile=production", "--nocolor"])
        .arg(&role)
        .current_dir(home.path())
        .env("ANSIBLE_HOME", home.path())
        .env("PATH", format!("{}:/usr/bin:/bin", bin.parent().unwrap().display()))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{stdout}{stderr}");
    assert!(stderr.contains("Passed: 0 failure(s), 0 warning(s)"), "{stderr}");
}
