//! promdrop rolled out by what fleets use, applied for real on machines of a test's own.

mod ansible;
mod fleet;
mod puppet;

use crate::support::machine::{Machine, with_promdrop};

/// What Facter finds out for nothing here, some of it by asking clouds.
const FACTER: &str = r#"facts : { blocklist : [ "EC2", "GCE", "Azure", "Xen", "dmi", "disks", "ssh", "partitions", "hypervisors" ] }"#;

/// The option of systemd-nspawn that shows a machine what is shipped, as /srv/packaging.
fn with_packaging() -> String {
    format!("--bind-ro={}/packaging:/srv/packaging", env!("CARGO_MANIFEST_DIR"))
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
