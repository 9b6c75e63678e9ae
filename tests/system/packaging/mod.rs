//! What promdrop is started by: the systemd units and the cron line that are shipped, as they are.

mod boot;
mod cron;
mod sandbox;
mod ticks;
mod trace;
mod unit;
mod units;

use std::fs;
use std::path::{Path, PathBuf};

/// A shipped file.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Puts the definitions that are installed into `directory`.
fn install_collectors(directory: &Path) {
    for stem in ["netstat", "ping"] {
        let file = format!("{stem}.yaml");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d").join(&file);
        fs::copy(from, directory.join(file)).unwrap();
    }
}
