//! promdrop rolled out by what fleets use, applied for real on machines of a test's own.

mod alike;
mod ansible;
mod fleet;
mod puppet;

use std::time::Duration;

use crate::package::built;
use crate::support::machine::{Machine, with_promdrop};
use crate::support::wait_for;

/// What Facter finds out for nothing here, some of it by asking clouds.
const FACTER: &str = r#"facts : { blocklist : [ "EC2", "GCE", "Azure", "Xen", "dmi", "disks", "ssh", "partitions", "hypervisors" ] }"#;

/// The option of systemd-nspawn that shows a machine what is shipped, as /srv/packaging.
fn with_packaging() -> String {
    format!("--bind-ro={}/packaging:/srv/packaging", env!("CARGO_MANIFEST_DIR"))
}

/// The timer's first tick, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until these collectors have published; node_exporter, whose answer costs more than a look, is to be asked then.
#[track_caller]
fn await_published(machine: &Machine, stems: &[&str]) {
    wait_for(PATIENCE, "the timer has had them run", || {
        let file = |stem: &&str| format!("/var/lib/prometheus/node-exporter/{stem}.prom");
        let missing: Vec<String> = stems.iter().map(file).filter(|file| !machine.has(file)).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    });
}

/// The package, lying on a machine as [`DEB`].
fn hand_over(machine: &Machine) {
    machine.copy(built(), DEB);
    // The index of all manuals, which takes its time.
    machine.sh("rm -f /var/lib/man-db/auto-update");
}
const DEB: &str = "/root/promdrop.deb";

/// Which of the package's files differ from what it brought. An upgrade asks about those in /etc that do.
#[track_caller]
fn changed(machine: &Machine) -> String {
    machine.sh("dpkg --verify promdrop | sed 's/.* //'")
}

/// The block of `language` in a text of Markdown.
fn block(text: &str, language: &str) -> String {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// A machine that systemd runs, with promdrop's program and what is shipped, in a network of its own.
#[track_caller]
fn booted(options: &[&str]) -> Machine {
    let (program, packaging) = (with_promdrop(), with_packaging());
    Machine::boot(&[&["--private-network", &program, &packaging], options].concat())
}

/// Owner, group, mode and kind of a path inside.
#[track_caller]
fn standing(machine: &Machine, path: &str) -> String {
    machine.sh(&format!("stat --format='%U %G %a %F' {path}")).trim_end().to_owned()
}
