//! Network namespaces: a test has ports, routes and sockets to itself.

use nix::sched::{CloneFlags, unshare};

/// Runs `body` in a new thread and a fresh network namespace with lo up; programs it starts live there too. Passes on
/// what it returns, and its panic.
pub fn in_fresh<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let inside = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own: these tests need root");
        super::need("ip");
        let lo = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(lo.expect("ip, just found").success(), "lo doesn't come up");
        body()
    });
    inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
