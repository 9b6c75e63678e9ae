//! Debian's package, as packaging/debian/build makes it: what it holds, and what installing, upgrading and removing it does to
//! a machine. And the static build, which no package knows.

mod alone;
mod contents;
mod life;
mod systemless;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use crate::support::server::part;

/// A path of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a program of this machine prints, which must succeed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}

/// The package, built once.
pub fn built() -> &'static Path {
    static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promdrop.deb");
        let tools = part("cargo-deb/bin", "cargo-deb");
        let path = format!("{}:{}", tools.parent().unwrap().display(), env::var("PATH").unwrap());
        let mut build = Command::new(repository("packaging/debian/build"));
        printed(build.args(["--fast", "--output"]).arg(&package).env("PATH", path));
        package
    });
    &PACKAGE
}
