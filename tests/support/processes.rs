//! Which processes a test has left.
//!
//! A network namespace of its own marks everything that a test starts: unlike a session, a process group, an argument
//! or the environment, a daemon doesn't shed it.

use std::fs;
use std::time::Duration;

use super::wait_for;

/// The processes in the network namespace of this thread, which [`in_fresh`](super::netns::in_fresh) has made: number
/// and command line of each. This process is none of them, since only this thread is in there.
pub fn here() -> Vec<String> {
    let namespace = fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_ne!(namespace, fs::read_link("/proc/self/ns/net").unwrap(), "not in a namespace of its own");
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let process = entry.unwrap().path();
        // Not /proc/self and the like.
        if process
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
            .is_none_or(|pid| pid == own)
        {
            continue;
        }
        let Ok(threads) = fs::read_dir(process.join("task")) else { continue };
        // Each thread is asked: one that has ended has no link, and a process may go on without its first.
        let mut threads = threads.flatten();
        let is_here = threads
            .any(|thread| fs::read_link(thread.path().join("ns/net")).ok().as_ref() == Some(&namespace));
        if is_here {
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
