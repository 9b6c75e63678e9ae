//! What processes have used of the machine.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::collect::trace::Usage;

/// What all children of this process have used so far that were waited for, with all that they waited for.
///
/// # Errors
/// Where the kernel doesn't tell.
pub fn of_children() -> nix::Result<Usage> {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = (used.user_time() + used.system_time()).num_microseconds();
    Ok(Usage {
        cpu: Duration::from_micros(u64::try_from(micros).unwrap_or_default()),
        memory_peak: u64::try_from(used.max_rss()).unwrap_or_default().saturating_mul(1024),
    })
}
