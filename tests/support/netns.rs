//! Network namespaces for tests.

use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// Runs `body` in a thread of its own inside a fresh network namespace whose loopback is up. What it starts lives
/// there too. A panic of `body` is one of the caller.
pub fn in_fresh<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root: start tests/run as root");
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.is_ok_and(|status| status.success()), "`ip link set lo up` failed: see tests/run");
        body()
    };
    match thread::scope(|scope| scope.spawn(inside).join()) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
