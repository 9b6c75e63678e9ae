//! promdrop rolled out by what fleets use, applied for real on machines of a test's own.

mod fleet;
mod puppet;

/// What Facter finds out for nothing here, some of it by asking clouds.
const FACTER: &str = r#"facts : { blocklist : [ "EC2", "GCE", "Azure", "Xen", "dmi", "disks", "ssh", "partitions", "hypervisors" ] }"#;

/// The option of systemd-nspawn that shows a machine what is shipped, as /srv/packaging.
fn with_packaging() -> String {
    format!("--bind-ro={}/packaging:/srv/packaging", env!("CARGO_MANIFEST_DIR"))
}
