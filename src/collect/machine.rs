//! Which host this is, for what has to differ from host to host.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use crate::config::Header;
use crate::config::fields::Stem;
use crate::schedule::{self, Slots};

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

    /// The slots of a collector on this host.
    pub fn slots(&self, stem: &Stem, header: &Header) -> Slots {
        let offset = match header.splay {
            true => schedule::offset(self.id(), stem.as_str(), header.interval),
            false => Duration::ZERO,
        };
        Slots::new(header.interval, offset)
    }
}
