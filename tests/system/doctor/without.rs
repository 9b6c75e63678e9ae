//! A machine without systemd, with the shipped cron line, Debian's cron and a node_exporter that somebody started.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::doctor;
use super::host::{Case, LINES, each_is_found_and_mended};
use crate::support::machine::{Machine, with_promdrop};
use crate::support::server::package;
use crate::support::wait_for;

const FUNCTIONS: &str = r#"
D=/var/lib/prometheus/node-exporter
"#;

#[test]
fn what_is_broken_is_found_and_mended_on_a_machine_with_cron() {
    let machine = Machine::without_systemd(&["--private-network", &with_promdrop()]);
    machine.install(&package("bookworm", "prometheus-node-exporter"));
    let line = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/cron/promdrop");
    machine.copy(&line, "/etc/cron.d/promdrop");
    machine.write("/etc/promdrop/collectors.d/netstat.yaml", "module: netstat\ninterval: 1h\n");
    machine.write(LINES, FUNCTIONS);
    machine.sh("ip link set lo up; promdrop run netstat");
    let mut cron = machine.command("cron").arg("-f").spawn().unwrap();
    let mut exporter = machine.command("setpriv");
    exporter.args(["--reuid=prometheus", "--regid=prometheus", "--init-groups", "prometheus-node-exporter"]);
    let mut exporter = exporter.arg("--no-collector.timex").stderr(Stdio::null()).spawn().unwrap();
    wait_for(Duration::from_secs(60), "the machine is healthy", || {
        let found = doctor(&machine, &[]);
        if found.amiss().is_empty() { Ok(()) } else { Err(found.0) }
    });
    let found = doctor(&machine, &[]);
    let [verdict, message, _] = found.check("timer");
    assert!(verdict == "ok" && message.starts_with("cron runs /etc/cron.d/promdrop:"), "{:#}", found.0);

    each_is_found_and_mended(&machine, CASES);
    machine.sh("pkill -x cron");
    cron.wait().unwrap();
    without_a_daemon(&machine);
    drop(machine);
    exporter.wait().unwrap();
}

/// What numbers say is believed: as long as they come, something starts promdrop.
fn without_a_daemon(machine: &Machine) {
    let timer = |verdict: &str, says: &str| {
        let found = doctor(machine, &[]);
        let [found_verdict, message, cure] = found.check("timer");
        assert!(found_verdict == verdict && message.contains(says), "{verdict} {says}: {:#}", found.0);
        cure.to_owned()
    };
    let cure = timer("warning", "starts promdrop, but no cron daemon runs; something has started it, lately");
    assert!(cure.contains("service cron start"), "{cure}");
    machine.sh("crontab -r");
    timer("ok", "neither systemd nor cron runs here, and something else starts promdrop");
    machine.sh(&format!(
        ". {LINES}; sed -i 's/last-success-ms: .*/last-success-ms: 1700000000000/' $D/promdrop.prom"
    ));
    timer("failure", "nothing starts promdrop run");
    machine.sh("mv /run/promdrop /etc/cron.d");
    timer("failure", "starts promdrop, but no cron daemon runs");
}

const CASES: &[Case] = &[
    Case {
        breaks: "mv /etc/cron.d/promdrop /etc/cron.d/promdrop.cron",
        check: "timer",
        verdict: "failure",
        says: "cron passes over /etc/cron.d/promdrop.cron:",
        cure: "mv /etc/cron.d/promdrop.cron /etc/cron.d/promdrop-cron",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "mv /etc/cron.d/promdrop-cron /etc/cron.d/promdrop; chmod g+w /etc/cron.d/promdrop",
        check: "timer",
        verdict: "failure",
        says: "others can write to it: mode 0664",
        cure: "chmod go-w /etc/cron.d/promdrop",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "chown prometheus /etc/cron.d/promdrop",
        check: "timer",
        verdict: "failure",
        says: "it belongs to prometheus",
        cure: "chown root /etc/cron.d/promdrop",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "truncate --size=-1 /etc/cron.d/promdrop",
        check: "timer",
        verdict: "failure",
        says: "its last line has no end",
        cure: "echo >>/etc/cron.d/promdrop",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "sed -i '1i 61 * * * * root true' /etc/cron.d/promdrop",
        check: "timer",
        verdict: "failure",
        says: "line 1 is wrong: ",
        cure: "",
        also: &[],
        mends: "sed -i 1d /etc/cron.d/promdrop",
    },
    Case {
        breaks: "sed -i '1i PROMDROP_TEXTFILE_DIR=/srv' /etc/cron.d/promdrop",
        check: "timer",
        verdict: "failure",
        says: " publishes to /srv, and this looks at /var/lib/prometheus/node-exporter",
        cure: "/etc/default/promdrop",
        also: &[],
        mends: "sed -i 1d /etc/cron.d/promdrop",
    },
    Case {
        breaks: "mv /etc/cron.d/promdrop /run",
        check: "timer",
        verdict: "failure",
        says: "nothing starts promdrop run",
        cure: "/etc/cron.d/promdrop",
        also: &[],
        mends: "echo '* * * * * promdrop run' | crontab -",
    },
];
