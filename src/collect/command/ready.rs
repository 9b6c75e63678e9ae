//! poll(2) over descriptors some of which may be gone.

use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll};

/// Waits at most `limit`; which of `fds` have something to tell, end and error included. An interrupted wait tells
/// nothing.
///
/// # Errors
/// poll(2)'s own: no memory.
pub fn ready<const N: usize>(fds: [Option<PollFd<'_>>; N], limit: Duration) -> nix::Result<[bool; N]> {
    let mut present: Vec<PollFd<'_>> = fds.iter().flatten().cloned().collect();
    // Rounded up, or a wait of half a millisecond would be a busy one.
    let limit = limit.saturating_add(Duration::from_nanos(999_999));
    match poll(&mut present, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok([false; N]),
        Err(errno) => return Err(errno),
    }
    let mut told = present.iter().map(|fd| fd.revents().is_none_or(|events| !events.is_empty()));
    Ok(fds.map(|fd| fd.is_some() && told.next().unwrap_or(false)))
}
