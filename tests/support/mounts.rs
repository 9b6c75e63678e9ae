//! Mounts that only a test sees.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::need;

/// Runs `body` in a thread of its own inside a fresh mount namespace: what is mounted there is mounted nowhere else,
/// and goes with the thread and what it started. A panic of `body` is one of the caller.
pub fn in_private<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    need("mount");
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace needs root: start tests/run as root");
        mount(&["--make-rprivate"], Path::new("/"));
        body()
    };
    match thread::scope(|scope| scope.spawn(inside).join()) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// mount(8) with `options` on `place`.
#[track_caller]
pub fn mount(options: &[&str], place: &Path) {
    let status = Command::new("mount").args(options).arg(place).status().unwrap();
    assert!(status.success(), "mount {options:?} {} failed", place.display());
}

/// Mounts a new tmpfs on `place`, which has to be in a namespace of the test's own.
#[track_caller]
pub fn mount_tmpfs(options: &str, place: &Path) {
    mount(&["-t", "tmpfs", "-o", options, "tmpfs"], place);
}

/// Takes away what is mounted on `place`, in use or not.
#[track_caller]
pub fn unmount(place: &Path) {
    let status = Command::new("umount").arg("--lazy").arg(place).status().unwrap();
    assert!(status.success(), "umount {} failed", place.display());
}

/// Mounts a new tmpfs on `place` with these files, given by their paths below it.
pub fn mount_files(place: &str, files: &[(&str, &str)]) {
    let place = Path::new(place);
    mount_tmpfs("mode=0755", place);
    for (path, text) in files {
        let path = place.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
