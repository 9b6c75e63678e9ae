//! A machine with the tools that scripts and examples run: those that `tests/run` unpacks, and stand-ins for those that
//! no test machine has. They lie over /usr and /etc where only one test sees them, so that each is found where a
//! collector looks for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use tempfile::TempDir;

use super::mounts::{in_private, mount};
use super::netns::in_fresh;

/// Where the outputs are that stand-ins print; its README.md says where they come from.
const OUTPUTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tools");

/// Prints the file of tests/data/tools that is named after its own command line, or fails.
const STAND_IN: &str = r#"#!/bin/sh
set -- "${0##*/}" "$@"
file=/usr/lib/outputs/$(printf %s "$*" | tr -c 'A-Za-z0-9.,=-' _)
[ -f "$file" ] || { echo "no output for: $*" >&2; exit 99; }
cat "$file"
[ ! -f "$file.exit" ] || exit "$(cat "$file.exit")"
"#;

/// The tools that `tests/run` unpacks, as one tree.
pub fn unpacked() -> PathBuf {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join(".test-parts/tools");
    let packages = tree.join("packages");
    assert!(packages.is_file(), "{} is not here: run tests/run, which fetches it", packages.display());
    tree
}

/// What lies over this machine's own files. What is put in before [`within`](Self::within) is there from its start.
#[derive(Debug)]
pub struct Tools(TempDir);

impl Tools {
    /// The unpacked tools alone.
    pub fn new() -> Self {
        let tools = Self(TempDir::new().unwrap());
        for directory in ["etc", "usr/lib/outputs"] {
            fs::create_dir_all(tools.0.path().join(directory)).unwrap();
        }
        // What this machine has beyond Debian would be found first.
        tools.hide("/usr/local/bin").hide("/usr/local/sbin");
        tools
    }

    /// Puts a file at `path`, which is below /usr or /etc.
    pub fn file(&self, path: &str, mode: u32, text: &str) -> &Self {
        let place = self.place(path);
        fs::write(&place, text).unwrap();
        fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Gives an unpacked file another group and mode, as its package's scripts do when it is installed.
    pub fn unpacked_file(&self, path: &str, group: u32, mode: u32) -> &Self {
        let place = self.place(path);
        fs::copy(unpacked().join(&path[1..]), &place).unwrap();
        chown(&place, None, Some(group)).unwrap();
        fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Takes `path`, which is below /usr or /etc, out of sight.
    pub fn hide(&self, path: &str) -> &Self {
        // How overlayfs spells that a lower file is gone.
        mknod(&self.place(path), SFlag::S_IFCHR, Mode::empty(), makedev(0, 0)).unwrap();
        self
    }

    /// Puts a stand-in at `path` that prints what tests/data/tools, or a folder in it, holds of the tool.
    pub fn stand_in(&self, path: &str, folder: &str) -> &Self {
        self.file(path, 0o755, STAND_IN);
        let tool = path.rsplit('/').next().unwrap();
        for entry in fs::read_dir(Path::new(OUTPUTS).join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.strip_prefix(tool).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
                fs::copy(entry.path(), self.0.path().join("usr/lib/outputs").join(name)).unwrap();
            }
        }
        self
    }

    /// Runs `body` where all this is in place, with a network of its own that ends at the loopback interface.
    pub fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let unpacked = unpacked();
        let over = self.0.path().display();
        in_private(|| {
            let lower = format!("lowerdir={over}/usr:{}/usr:/usr", unpacked.display());
            mount(&["-t", "overlay", "-o", &lower, "overlay"], Path::new("/usr"));
            mount(
                &["-t", "overlay", "-o", &format!("lowerdir={over}/etc:/etc"), "overlay"],
                Path::new("/etc"),
            );
            in_fresh(body)
        })
    }

    fn place(&self, path: &str) -> PathBuf {
        let place = self.0.path().join(path.strip_prefix('/').unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    }
}
