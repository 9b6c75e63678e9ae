//! From before the installation to after the purge, on a machine with systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{built, printed};
use crate::support::machine::Machine;
use crate::support::series::Series;
use crate::support::server::package;
use crate::support::wait_for;

/// The timer's next tick, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const DIRECTORY: &str = "/var/lib/prometheus/node-exporter";
const PING: &str = "/etc/promdrop/collectors.d/ping.yaml";
const NETSTAT: &str = "/etc/promdrop/collectors.d/netstat.yaml";

/// The same package, of a later version with another netstat.yaml.
fn later() -> PathBuf {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promdrop-later");
    let _ = fs::remove_dir_all(&tree);
    printed(Command::new("dpkg-deb").arg("--raw-extract").arg(built()).arg(&tree));
    let edit = |path: &str, from: &str, to: &str| {
        let path = tree.join(path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    edit("DEBIAN/control", concat!("Version: ", env!("CARGO_PKG_VERSION")), "Version: 99");
    edit(&NETSTAT[1..], "interval: 15s", "interval: 10s");
    let later = tree.with_extension("deb");
    printed(Command::new("dpkg-deb").args(["-Znone", "--build"]).arg(&tree).arg(&later));
    fs::remove_dir_all(tree).unwrap();
    later
}

/// What systemd says of the timer: whether it is enabled and active.
fn timer(machine: &Machine) -> String {
    let answers =
        machine.attempt("systemctl is-enabled promdrop.timer || true; systemctl is-active promdrop.timer");
    String::from_utf8_lossy(&answers.stdout).replace('\n', " ").trim_end().to_owned()
}

fn await_success(machine: &Machine) {
    wait_for(PATIENCE, "node_exporter serves netstat and ping", || {
        let scrape = Series::parse(&machine.scrape());
        let success =
            ["netstat", "ping"].map(|stem| scrape.get("promdrop_collector_success", &[("collector", stem)]));
        if success == [Some(1.0); 2] { Ok(()) } else { Err(success) }
    });
}

#[test]
fn it_is_installed_upgraded_removed_and_purged_and_leaves_what_is_others() {
    let machine = Machine::boot(&["--private-network"]);
    // The index of all manuals, which takes its time.
    machine.sh("rm -f /var/lib/man-db/auto-update");
    installed_before_node_exporter(&machine);
    let later = later();
    upgraded(&machine, &later);
    removed(&machine);
    purged(&machine, &later);
}

/// Without the directory there is nothing to do, and it says so; with node_exporter the directory comes.
fn installed_before_node_exporter(machine: &Machine) {
    let said = machine.install(built());
    assert!(said.contains(&format!("there is no directory {DIRECTORY}")), "{said}");
    assert_eq!(timer(machine), "enabled inactive", "{said}");
    let said = machine.sh("dpkg --remove promdrop 2>&1");
    assert!(!said.contains("promdrop: "), "nothing was published, nothing stays: {said}");
    machine.install(built());
    machine.install(&package("bookworm", "prometheus-node-exporter"));
    await_success(machine);
    assert_eq!(timer(machine), "enabled active");
    assert_eq!(machine.sh("systemctl is-failed promdrop.service || true"), "inactive\n");
    let verified =
        machine.sh("cd /usr/lib/systemd/system; systemd-analyze verify promdrop.service promdrop.timer 2>&1");
    assert_eq!(verified, "");
}

fn upgraded(machine: &Machine, later: &Path) {
    let edited = machine.read(PING).replace("127.0.0.1", "127.0.0.2");
    machine.write(PING, &edited);
    let foreign = "# TYPE foreign gauge\nforeign 1\n";
    machine.write(&format!("{DIRECTORY}/foreign.prom"), foreign);
    machine.install(later);
    assert_eq!(machine.read(PING), edited);
    assert!(machine.read(NETSTAT).contains("interval: 10s"));
    assert!(machine.has(&format!("{DIRECTORY}/netstat.prom")), "published stays");
    assert_eq!(timer(machine), "enabled active");

    machine.sh("systemctl --quiet disable --now promdrop.timer");
    machine.install(later);
    assert_eq!(timer(machine), "disabled inactive", "as the administrator left it");
    machine.sh("systemctl --quiet enable --now promdrop.timer");
}

fn removed(machine: &Machine) {
    await_success(machine);
    machine.sh("dpkg --remove promdrop 2>&1");
    assert_eq!(machine.sh(&format!("ls -A {DIRECTORY}")), "foreign.prom\n");
    let scrape = Series::parse(&machine.scrape());
    assert_eq!(scrape.get("foreign", &[]), Some(1.0));
    assert_eq!(scrape.get("promdrop_collector_success", &[("collector", "netstat")]), None);
    assert!(machine.read(PING).contains("127.0.0.2"), "configuration stays");
    assert_eq!(timer(machine), "masked inactive");
}

/// From where /etc/default/promdrop says, too. An administrator's own collector is no part of the package.
fn purged(machine: &Machine, later: &Path) {
    machine.install(later);
    assert_eq!(timer(machine), "enabled active", "as it was when it was removed");
    machine.write("/etc/promdrop/collectors.d/own.yaml", "module: netstat\nenabled: false\n");
    machine.write("/srv/metrics/foreign.prom", "foreign 1\n");
    machine.sh("echo PROMDROP_TEXTFILE_DIR=/srv/metrics >>/etc/default/promdrop");
    machine.sh("echo mine 1 | promdrop write mine");
    let mut job = machine.command("promdrop");
    job.args(["exec", "job", "--", "sh", "-c", "until [ -e /run/go ]; do sleep 0.1; done"]);
    let job = job.stderr(Stdio::piped()).spawn().unwrap();
    wait_for(PATIENCE, "both are published", || {
        let there = machine.sh("ls -A /srv/metrics");
        let wanted = ".promdrop.lock\nexec.job.prom\nforeign.prom\nmine.prom\n";
        if there == wanted { Ok(()) } else { Err(there) }
    });
    // promdrop itself takes nothing from this file then.
    machine.sh("echo 'PROMDROP_NODE_EXPORTER=$(touch /run/executed)' >>/etc/default/promdrop");
    machine.sh("dpkg --purge promdrop 2>&1");
    machine.write("/run/go", "");
    let ended = job.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && said.contains("promdrop was removed while the job ran"), "{said}");
    assert_eq!(machine.sh("ls -A /srv/metrics"), "foreign.prom\n");
    assert!(!machine.has("/run/executed"), "what stands in /etc/default/promdrop is run by nothing");
    let left =
        machine.sh("find /etc /usr /var/lib -path '*promdrop*' -not -type d -o -name '*promdrop*' | sort");
    assert_eq!(left, "/etc/promdrop\n/etc/promdrop/collectors.d/own.yaml\n");
    assert_eq!(machine.sh("systemctl list-units --all --plain --no-legend 'promdrop*'"), "");
}
