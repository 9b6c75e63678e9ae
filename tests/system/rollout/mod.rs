//! What rolls promdrop out to hosts, as it is shipped, by the programs that it is made for.

mod fleet;
mod puppet;

use std::path::{Path, PathBuf};

/// A shipped file or folder.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}
