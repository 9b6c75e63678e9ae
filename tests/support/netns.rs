//! Network namespaces for tests.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use super::wait_for;

/// Runs `body` in a thread of its own inside a fresh network namespace whose loopback is up. What it starts lives
/// there too. A panic of `body` is one of the caller.
pub fn in_fresh<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    joined(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root: start tests/run as root");
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.is_ok_and(|status| status.success()), "`ip link set lo up` failed: see tests/run");
        body()
    })
}

/// A network namespace with a loopback that is up, for as long as it lives; for what has several hosts.
pub struct Namespace(File);

impl Namespace {
    /// A fresh one.
    pub fn new() -> Self {
        Self(in_fresh(Self::current).0)
    }

    /// That of the calling thread.
    pub fn current() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    /// That of the process `pid`.
    pub fn of(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/ns/net")).unwrap())
    }

    /// Its path, for programs that are started meanwhile.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs `body` in there, in a thread of its own. A panic of `body` is one of the caller.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        joined(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            body()
        })
    }

    /// Runs ip(8) in there, once for each line.
    #[track_caller]
    pub fn ip(&self, lines: &[&str]) {
        for line in lines {
            self.show(&line.split(' ').collect::<Vec<_>>());
        }
    }

    /// Writes `value` to its sysctl of that name.
    #[track_caller]
    pub fn set(&self, sysctl: &str, value: &str) {
        let path = format!("/proc/sys/{}", sysctl.replace('.', "/"));
        self.run(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A cable from its interface `here` to `there` of `other`, both up. No address of theirs is looked for on it twice:
    /// the kernel drops what comes before that is over.
    #[track_caller]
    pub fn cable(&self, here: &str, other: &Namespace, there: &str) {
        self.ip(&[&format!("link add {here} type veth peer name {there} netns {}", other.path())]);
        for (namespace, end) in [(self, here), (other, there)] {
            namespace.set(&format!("net.ipv6.conf.{end}.accept_dad"), "0");
            namespace.ip(&[&format!("link set {end} up")]);
        }
        for (namespace, end) in [(self, here), (other, there)] {
            // Routes by it are dead until the kernel has found time to notice that it is plugged in.
            wait_for(Duration::from_secs(10), "a cable is up", || {
                let shown = namespace.show(&["-o", "link", "show", end]);
                if shown.contains("state UP") { Ok(()) } else { Err(shown) }
            });
        }
    }

    /// What ip(8) shows in there.
    #[track_caller]
    pub fn show(&self, arguments: &[&str]) -> String {
        let output = self.run(|| Command::new("ip").args(arguments).output()).unwrap();
        assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn joined<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    match thread::scope(|scope| scope.spawn(body).join()) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
