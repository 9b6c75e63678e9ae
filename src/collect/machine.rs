//! Which host this is, for what has to differ from host to host.

use std::fs;
use std::sync::OnceLock;

/// machine-id(5), where D-Bus keeps it on a host without systemd, and the host's name for want of both.
const PLACES: [&str; 3] = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"];

/// This host. What tells is read once, and only if it is asked for.
#[derive(Debug, Default)]
pub struct Machine(OnceLock<String>);

impl Machine {
    /// What this host has that no other has; empty where it has nothing.
    pub fn id(&self) -> &str {
        self.0.get_or_init(|| {
            let mut texts = PLACES.iter().filter_map(|place| fs::read_to_string(place).ok());
            // `uninitialized` stands in images until their first boot.
            let told = texts.find(|text| !matches!(text.trim(), "" | "uninitialized"));
            told.unwrap_or_default().trim().to_owned()
        })
    }
}
