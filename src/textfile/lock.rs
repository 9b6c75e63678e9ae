//! The directory's lock file: one byte of it for publishing, one for each collector, group or job.
//!
//! The locks are open file description locks (fcntl_locking(2), F_OFD_SETLK): they end with the description, however
//! its process dies, and exclude threads of one process too, since every holder opens a description of its own.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::MutexGuard;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat};
use nix::unistd::{Gid, UnlinkatFlags, fchown, geteuid, unlinkat};

use super::directory::{Directory, is_regular, kind_word};
use super::error::{Class, Error};
use crate::fnv;

/// The lock file's name. It is never removed while anyone holds a lock in it: that would exclude nobody any more.
pub const LOCK_FILE: &str = ".promdrop.lock";

/// How long publishing waits for its lock.
pub(super) const PUBLISH_WAIT: Duration = Duration::from_secs(10);

const PUBLISH_BYTE: libc::off_t = 0;

/// The mode of a lock file of a directory whose group may publish.
const SHARED: u32 = 0o660;

/// How often who waits looks whether the lock file is still the same.
const LOOK: Duration = Duration::from_millis(50);

/// Where a lock comes from that is waited for.
type Waiter = Receiver<nix::Result<Guard>>;

/// Holds a lock until it is dropped.
#[derive(Debug)]
pub struct Guard(File);

impl Drop for Guard {
    fn drop(&mut self) {
        // Closing alone would leave it to a child that was forked meanwhile and has not yet run its program.
        let _ = fcntl(&self.0, FcntlArg::F_OFD_SETLK(&range(libc::F_UNLCK, 0, 0)));
    }
}

/// Holds the lock for publishing until it is dropped, and then lets the next thread try for it.
#[derive(Debug)]
pub(super) struct Publishing<'a> {
    _lock: Guard,
    _turn: MutexGuard<'a, Option<Instant>>,
}

/// How a range is locked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// Excludes writers; asks for a descriptor that can be read.
    Read,
    /// Excludes everyone; asks for a descriptor that can be written.
    Write,
}

/// Tries to lock one byte of the open file description `file`; whether it was free.
pub(super) fn try_lock(file: impl AsFd, byte: libc::off_t, access: Access) -> nix::Result<bool> {
    let kind = match access {
        Access::Read => libc::F_RDLCK,
        Access::Write => libc::F_WRLCK,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&range(kind, byte, 1))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Waits for one byte of `file` in a thread of its own, since the kernel, which serves those who wait in turn, knows no
/// end of waiting. What comes too late is given back at once.
fn wait_for(file: File, byte: libc::off_t) -> std::io::Result<Waiter> {
    let (sender, receiver) = channel();
    let wait = move || {
        let locked = loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&range(libc::F_WRLCK, byte, 1))) {
                Ok(_) => break Ok(Guard(file)),
                Err(Errno::EINTR) => {}
                Err(errno) => break Err(errno),
            }
        };
        let _ = sender.send(locked);
    };
    thread::Builder::new().spawn(wait).map(|_| receiver)
}

fn range(kind: libc::c_int, start: libc::off_t, length: libc::off_t) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        // The kernel demands 0 for locks of descriptions.
        l_pid: 0,
    }
}

/// The byte of what is called `name`: 62 bits of a hash that is the same in every version, past the publishing
/// byte. Two names that met at one byte would only exclude each other.
fn byte_of(name: &str) -> libc::off_t {
    1 + (fnv::hash(name.bytes()) >> 2) as libc::off_t
}

impl Directory {
    /// Takes the lock of collector `name`; `None` where it is taken: the collector still runs from before. It is the
    /// caller's until the guard is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// Where the lock file can't be had or is not to be trusted.
    pub fn lock_collector(&self, name: &str) -> Result<Option<Guard>, Error> {
        self.lock_name(name, Duration::ZERO)
    }

    /// As [`lock_collector`](Self::lock_collector), of anything that has a name of its own, waiting at most `wait`.
    ///
    /// # Errors
    /// As `lock_collector`.
    pub fn lock_name(&self, name: &str, wait: Duration) -> Result<Option<Guard>, Error> {
        self.lock(byte_of(name), wait)
    }

    /// Whether the collector `name` runs right now, told by its lock, which is neither taken nor made. `None` where it
    /// can't be told: the lock file is not for everyone to open, and may not be what it should be.
    pub fn is_running(&self, name: &str) -> Option<bool> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = match openat(self.fd(), LOCK_FILE, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Some(false),
            Err(_) => return None,
        };
        self.check_lock_file(&fstat(&file).ok()?).ok()?;
        let mut range = range(libc::F_WRLCK, byte_of(name), 1);
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut range)).ok()?;
        Some(range.l_type != libc::F_UNLCK as libc::c_short)
    }

    /// Takes the lock for publishing, waiting at most `wait` for other processes.
    pub(super) fn lock_publishing(&self, wait: Duration) -> Result<Publishing<'_>, Error> {
        // Threads queue here: if each tried for the lock by itself, an unlucky one would find it taken every time.
        let start = Instant::now();
        let mut turn = self.turn();
        // Who has waited behind one that did so in vain tries once: or their waits would add up.
        let in_vain = turn.is_some_and(|in_vain| in_vain > start);
        let left = if in_vain { Duration::ZERO } else { wait };
        if let Some(lock) = self.lock(PUBLISH_BYTE, left)? {
            return Ok(Publishing { _lock: lock, _turn: turn });
        }
        *turn = Some(Instant::now());
        Err(self.locked(wait))
    }

    /// That a lock could not be had for all of `wait`.
    pub fn locked(&self, wait: Duration) -> Error {
        // Hundredths are enough.
        let wait = (wait.as_secs_f64() * 100.0).round() / 100.0;
        let message = format!("another process held the lock for all of {wait} s");
        Error::new(Class::Lock, &self.path().join(LOCK_FILE), message, "see who: lsof, or /proc/locks")
    }

    /// Removes the lock file, unless somebody holds a lock in it. Who waits for one meanwhile sees that it is gone, and
    /// makes another.
    ///
    /// # Errors
    /// Where a lock is held, or the file can't be removed.
    pub(super) fn remove_lock_file(&self) -> Result<(), Error> {
        let path = self.path().join(LOCK_FILE);
        let failed =
            |action: &'static str| move |e: Errno| Error::io(&self.path().join(LOCK_FILE), action, e);
        let (file, opened) = self.open_lock_file()?;
        let all = range(libc::F_WRLCK, 0, 0);
        let guard = match fcntl(&file, FcntlArg::F_OFD_SETLK(&all)) {
            Ok(_) => Guard(file),
            Err(Errno::EAGAIN | Errno::EACCES) => {
                let message = "another promdrop still runs, and may publish yet";
                return Err(Error::new(Class::Lock, &path, message, "do this again once it has ended"));
            }
            Err(e) => return Err(failed("lock it")(e)),
        };
        if self.is_lock_file(&opened)? {
            unlinkat(self.fd(), LOCK_FILE, UnlinkatFlags::NoRemoveDir).map_err(failed("remove it"))?;
        }
        drop(guard);
        Ok(())
    }

    fn lock(&self, byte: libc::off_t, wait: Duration) -> Result<Option<Guard>, Error> {
        let start = Instant::now();
        loop {
            let (file, opened) = self.open_lock_file()?;
            let left = wait.saturating_sub(start.elapsed());
            if let Some(guard) = self.take(file, &opened, byte, left)? {
                return Ok(Some(guard));
            }
            // A file that was replaced says nothing about the lock: the new one is tried in any case.
            let patience = if self.is_lock_file(&opened)? { wait } else { wait + LOOK };
            if start.elapsed() >= patience {
                return Ok(None);
            }
        }
    }

    /// Locks `byte` of `file`, waiting at most `wait`; `None` where it is taken, or the file is not the lock file any
    /// more: who comes now opens the new one, so this lock would exclude nobody.
    fn take(
        &self,
        file: File,
        opened: &FileStat,
        byte: libc::off_t,
        wait: Duration,
    ) -> Result<Option<Guard>, Error> {
        let path = self.path().join(LOCK_FILE);
        let failed = |e: Errno| Error::io(&path, "lock it", e);
        let guard = if try_lock(&file, byte, Access::Write).map_err(failed)? {
            Some(Guard(file))
        } else if wait.is_zero() {
            None
        } else {
            match wait_for(file, byte) {
                Ok(waiter) => self.await_turn(&waiter, opened, wait)?.transpose().map_err(failed)?,
                // The limit of processes allows no more threads: it is tried again.
                Err(_) => {
                    thread::sleep(LOOK.min(wait));
                    None
                }
            }
        };
        Ok(if self.is_lock_file(opened)? { guard } else { None })
    }

    /// What `waiter` gets within `wait`, while the file `opened` is the lock file.
    fn await_turn(
        &self,
        waiter: &Waiter,
        opened: &FileStat,
        wait: Duration,
    ) -> Result<Option<nix::Result<Guard>>, Error> {
        let start = Instant::now();
        while self.is_lock_file(opened)? {
            // What is published meanwhile is read meanwhile, and not while others wait for this one.
            let _ = self.look();
            let left = wait.saturating_sub(start.elapsed());
            match waiter.recv_timeout(left.min(LOOK)) {
                Err(RecvTimeoutError::Timeout) if left.is_zero() => break,
                Ok(locked) => return Ok(Some(locked)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(None)
    }

    /// Whether the lock file's name still leads to the file `opened`.
    fn is_lock_file(&self, opened: &FileStat) -> Result<bool, Error> {
        match fstatat(self.fd(), LOCK_FILE, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
            Err(Errno::ENOENT) => Ok(false),
            // Not to know is not that somebody else has it.
            Err(e) => Err(Error::io(&self.path().join(LOCK_FILE), "look at it", e)),
        }
    }

    /// Opens the lock file, a description of its own for every holder; makes it where there is none.
    fn open_lock_file(&self) -> Result<(File, FileStat), Error> {
        let path = self.path().join(LOCK_FILE);
        let flags =
            OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let mut tries = 0..100;
        let opened = loop {
            match openat(self.fd(), LOCK_FILE, flags, Mode::empty()) {
                // Made here or by another process, and only where somebody removes it, over and over.
                Err(Errno::ENOENT) if tries.next().is_some() => self.create_lock_file()?,
                opened => break opened,
            }
        };
        let file = match opened {
            Ok(fd) => File::from(fd),
            Err(Errno::ELOOP) => return Err(self.untrusted_lock("is a symbolic link")),
            Err(Errno::ENXIO | Errno::EISDIR) => return Err(self.untrusted_lock("is not a regular file")),
            Err(e) => return Err(self.not_allowed(&path, "open it", e.into())),
        };
        let stat = fstat(&file).map_err(|e| Error::io(&path, "look at it", e))?;
        self.check_lock_file(&stat)?;
        Ok((file, stat))
    }

    /// Whoever can open the lock file can hold it for ever: it must belong to those who may publish.
    fn check_lock_file(&self, stat: &FileStat) -> Result<(), Error> {
        if !is_regular(stat) {
            return Err(self.untrusted_lock(&format!("is {}", kind_word(stat))));
        }
        if stat.st_mode & 0o002 != 0 {
            return Err(self.untrusted_lock("can be written by anyone"));
        }
        let directory = self.stat();
        let owners = [0, geteuid().as_raw(), directory.st_uid];
        let shared = self.is_of_group() && stat.st_gid == directory.st_gid;
        if !owners.contains(&stat.st_uid) && !shared {
            return Err(self.untrusted_lock(&format!("belongs to user {}", stat.st_uid)));
        }
        Ok(())
    }

    /// Gives a lock file that was made before the directory was the group's to that group too. Where this user may not,
    /// the next one does who may.
    pub(super) fn share_lock_file(&self) {
        let group = self.stat().st_gid;
        let user = geteuid();
        let is_to_be_shared = |stat: &FileStat| {
            (stat.st_gid != group || stat.st_mode & SHARED != SHARED)
                && (user.is_root() || user.as_raw() == stat.st_uid)
        };
        let there = fstatat(self.fd(), LOCK_FILE, AtFlags::AT_SYMLINK_NOFOLLOW);
        if !self.is_of_group() || !there.is_ok_and(|stat| is_to_be_shared(&stat)) {
            return;
        }
        let Ok((file, _)) = self.open_lock_file() else { return };
        // The group first: the mode is not for the one before.
        let given = fchown(&file, None, Some(Gid::from_raw(group)));
        let _ = given.and_then(|()| fchmod(&file, Mode::from_bits_truncate(SHARED)));
    }

    /// Whether the directory's group may publish, and nobody else but its user.
    fn is_of_group(&self) -> bool {
        self.stat().st_mode & 0o022 == 0o020
    }

    fn untrusted_lock(&self, why: &str) -> Error {
        let path = self.path().join(LOCK_FILE);
        Error::new(Class::Refused, &path, format!("the lock file {why}"), "remove it: promdrop makes its own")
    }

    /// Puts a new lock file in place with its final mode and group, unless another process is first.
    fn create_lock_file(&self) -> Result<(), Error> {
        let path = self.path().join(LOCK_FILE);
        let failed = |e: nix::Error| Error::io(&path, "create it", e);
        let temporary = self.temporary()?;
        let directory = self.stat();
        let group = Some(Gid::from_raw(directory.st_gid));
        // Where promdrop may not give it to the directory's group, its user alone can use it.
        let shared = self.is_of_group() && fchown(temporary.as_file(), None, group).is_ok();
        let mode = if shared { SHARED } else { 0o600 };
        fchmod(temporary.as_file(), Mode::from_bits_truncate(mode)).map_err(failed)?;
        match temporary.persist_noclobber(self.anchor().join(LOCK_FILE)) {
            Ok(_) => Ok(()),
            Err(e) if e.error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(()),
            Err(e) => Err(self.refused(&path, "create it", e.error)),
        }
    }
}

#[cfg(test)]
mod tests;
