//! The kernel's word on what has changed in the directory, so that not all of it has to be looked at again and again.
//!
//! It knows nothing of what links lead to, of writes through another name of a file or through memory, nor, on network
//! filesystems, of what other hosts do: the next process, which looks at everything, meets those.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A watch on a directory; see inotify(7).
#[derive(Debug)]
pub(super) struct Watch(Inotify);

impl Watch {
    /// Watches `directory` from now on; `None` where the kernel has no watch left.
    pub fn new(directory: BorrowedFd<'_>) -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
        let changes = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB;
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        inotify.add_watch(path.as_str(), changes | AddWatchFlags::IN_ONLYDIR).ok()?;
        Some(Self(inotify))
    }

    /// The names of which something has changed since this was asked last; `None` where that can't be told.
    pub fn changed(&self) -> Option<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        loop {
            match self.0.read_events() {
                // Without a name it is of the directory itself: too much has happened, or it is gone.
                Ok(events) => {
                    for event in events {
                        let lost = AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED;
                        if event.mask.intersects(lost) {
                            return None;
                        }
                        names.extend(event.name);
                    }
                }
                Err(Errno::EAGAIN) => return Some(names),
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}
