//! What the directory, the kernel or the rules refused: where, what, and the cure.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::diagnostic::{Problem, show_all};

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The text breaks a rule of what node_exporter can serve.
    Invalid,
    /// What stands at the name is not ours to touch: somebody else's file, a link, a FIFO.
    Refused,
    /// It contradicts what another file of the directory, or node_exporter itself, holds.
    Conflict,
    /// Larger than promdrop publishes.
    Limit,
    /// The lock could not be had in time, or others, who take none, wrote all the while.
    Lock,
    /// The kernel refused: disk full, read-only, no permission.
    Io,
}

/// Why the directory is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What sort of thing went wrong.
    pub class: Class,
    /// The file or directory it is about.
    pub path: PathBuf,
    /// What is wrong; one, or for [`Class::Invalid`] each at its place in `text`.
    pub problems: Vec<Problem>,
    /// The text that was not published; empty but for [`Class::Invalid`].
    pub text: String,
    /// For [`Class::Conflict`], the families that contradict another file.
    pub families: Vec<String>,
}

impl Error {
    /// An error of one problem that stands in no text.
    pub fn new(class: Class, path: &Path, message: impl Into<String>, cure: impl Into<String>) -> Self {
        let problems = vec![Problem::whole(message, cure)];
        Self { class, path: path.to_owned(), problems, text: String::new(), families: Vec::new() }
    }

    /// The kernel refused `action` on `path`.
    pub(super) fn io(path: &Path, action: &str, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let errno = error.raw_os_error().map(Errno::from_raw);
        let reason = errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_lowercase());
        let cure = errno.map_or("", cure);
        Self::new(Class::Io, path, format!("can't {action}: {reason}"), cure)
    }
}

fn cure(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSPC => "free space or inodes on its filesystem: see df and df -i",
        Errno::EFBIG => "raise the limit on the size of files that it was started with: ulimit -f",
        Errno::EDQUOT => "the quota of promdrop's user is used up: free space or raise it",
        Errno::EROFS => {
            "remount its filesystem writable, or add the directory to ReadWritePaths= of promdrop's unit"
        }
        Errno::EACCES | Errno::EPERM => {
            "give the user that promdrop runs as permission, or run promdrop as the directory's owner"
        }
        Errno::EIO => "the disk or its filesystem fails: see dmesg",
        Errno::EMFILE | Errno::ENFILE => "too many files are open: raise the limit (LimitNOFILE=)",
        Errno::ENOMEM => "memory is short: see dmesg, and raise the limit if there is one (MemoryMax=)",
        // Where no signal is caught only filesystems of the network know of it.
        Errno::EINTR => "something interrupted it: run promdrop again",
        Errno::ENOLCK | Errno::EOPNOTSUPP => "its filesystem has no file locks: use a local one",
        _ => "",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_all(out, &self.path.to_string_lossy(), &self.text, &self.problems)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_and_the_cure() {
        let error = Error::io(Path::new("/d/x.prom"), "write it", Errno::ENOSPC);
        let expected = "/d/x.prom: can't write it: no space left on device\n   \
                        = free space or inodes on its filesystem: see df and df -i";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_usual_refusals_have_a_cure() {
        use Errno::{EACCES, EDQUOT, EINTR, EIO, EMFILE, ENOLCK, ENOMEM, EPERM, EROFS};
        for errno in [EACCES, EDQUOT, EINTR, EIO, EMFILE, ENOLCK, ENOMEM, EPERM, EROFS] {
            assert!(!cure(errno).is_empty(), "{errno}");
        }
    }
}
