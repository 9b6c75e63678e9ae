//! Network namespaces, so that tests have ports and sockets to themselves.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

/// Runs `body` in a new thread inside a fresh network namespace with lo up; what it starts lives there too. Its
/// panics are passed on.
pub fn in_fresh<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a fresh network namespace needs root");
        let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip, of iproute2");
        assert!(status.success(), "ip link set lo up: {status}");
        body()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
