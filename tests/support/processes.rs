//! Which processes a test has left.
//!
//! A network namespace of its own marks everything that a test starts: unlike a session, a process group, an argument
//! or the environment, a daemon doesn't shed it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::wait_for;

/// The processes in the network namespace of this thread, which [`in_fresh`](super::netns::in_fresh) has made: number
/// and command line of each. This process is none of them, since only this thread is in there.
pub fn here() -> Vec<String> {
    let namespace = fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_ne!(namespace, fs::read_link("/proc/self/ns/net").unwrap(), "not in a namespace of its own");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let process = entry.unwrap().path();
        // No link: no process, or one that has ended.
        if fs::read_link(process.join("ns/net")).ok().as_ref() == Some(&namespace)
            && process != Path::new("/proc/thread-self")
        {
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            found.push(format!(
                "{}: {}",
                process.display(),
                String::from_utf8_lossy(&command).replace('\0', " ")
            ));
        }
    }
    found
}

/// Waits until there is none; fails after `limit` and says which there are.
#[track_caller]
pub fn await_none(limit: Duration) {
    wait_for(limit, "no process is left", || {
        let left = here();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}
