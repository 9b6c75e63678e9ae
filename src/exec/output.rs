//! The file that a job writes its own metrics to.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, lstat};
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::textfile::MAX_FILE;

/// What a job gets where there is no such file: what it writes there is lost.
const NOWHERE: &str = "/dev/null";

/// The directory for temporary files. An empty TMPDIR is none: it would be the working directory.
pub fn temporary_place() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|named| !named.is_empty());
    named.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// An empty file in a directory of its own that nobody else can enter, removed with it when this is dropped.
#[derive(Debug)]
pub struct Output {
    place: TempDir,
    path: PathBuf,
    file: File,
}

/// The file of a job, or why there is none.
#[derive(Debug)]
pub struct Offer(io::Result<Output>);

impl Offer {
    /// Makes one in `parent`.
    pub fn make(parent: &Path) -> Self {
        Self(Output::make(parent))
    }

    /// Whether there is a file.
    pub fn is_made(&self) -> bool {
        self.0.is_ok()
    }

    /// Where the job is to write.
    pub fn path(&self) -> &OsStr {
        self.0.as_ref().map_or(OsStr::new(NOWHERE), |output| output.path.as_os_str())
    }

    /// What it wrote, and removes the file.
    ///
    /// # Errors
    /// Why what it wrote can't be used, with the cure.
    pub fn take(self) -> Result<Vec<u8>, String> {
        match self.0 {
            Ok(output) => output.take(),
            Err(error) => Err(format!(
                "the job had no PROMDROP_OUTPUT: {error}\n   = see to the directory for temporary files (TMPDIR)"
            )),
        }
    }
}

impl Output {
    fn make(parent: &Path) -> io::Result<Self> {
        let place = tempfile::Builder::new()
            .prefix("promdrop-exec-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let path = place.path().join("output");
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { place, path, file })
    }

    fn take(self) -> Result<Vec<u8>, String> {
        let Self { place, path, mut file } = self;
        let read = match lstat(&path) {
            // It took it away: there is nothing that it wants to tell.
            Err(Errno::ENOENT) => Ok(Vec::new()),
            Err(errno) => Err(unread(errno.into())),
            Ok(there) if is_same(&there, &file) => file.rewind().map_err(unread).and_then(|()| read(&file)),
            Ok(_) => replaced(&path).and_then(|file| read(&file)),
        };
        // What can't be removed is in a directory for temporary files.
        drop(place);
        read
    }
}

fn is_same(there: &FileStat, file: impl AsFd) -> bool {
    fstat(file).is_ok_and(|own| (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino))
}

/// Opens what the job put in the file's place, as programs do that write anew and rename.
fn replaced(path: &Path) -> Result<File, String> {
    let refused = |what: &str| {
        format!(
            "{what} stands in the place of PROMDROP_OUTPUT\n   = write to the file, or rename one of the job's own to it"
        )
    };
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    // Asked before it is opened: to open a FIFO or a device already does something to it.
    let there = lstat(path).map_err(|errno| unread(errno.into()))?;
    if there.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(refused("no regular file"));
    }
    let file = File::from(open(path, flags, Mode::empty()).map_err(|errno| unread(errno.into()))?);
    let stat = fstat(&file).map_err(|errno| unread(errno.into()))?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(refused("no regular file"));
    }
    if ![0, geteuid().as_raw()].contains(&stat.st_uid) {
        return Err(refused(&format!("a file of user {}", stat.st_uid)));
    }
    Ok(file)
}

fn read(file: &File) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut text).map_err(unread)?;
    if text.len() > MAX_FILE {
        return Err(format!(
            "PROMDROP_OUTPUT holds more than the {MAX_FILE} bytes allowed\n   = write fewer series"
        ));
    }
    Ok(text)
}

fn unread(error: io::Error) -> String {
    format!("PROMDROP_OUTPUT can't be read: {error}")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, chown, symlink};

    use super::*;

    /// What is read after the job did `deed` to the file at its path.
    fn after(deed: impl FnOnce(&Path)) -> Result<Vec<u8>, String> {
        let parent = tempfile::tempdir().unwrap();
        let offer = Offer::make(parent.path());
        deed(Path::new(offer.path()));
        let read = offer.take();
        assert_eq!(parent.path().read_dir().unwrap().count(), 0);
        read
    }

    #[test]
    fn what_is_written_or_renamed_there_is_read() {
        assert_eq!(after(|_| ()).unwrap(), b"");
        assert_eq!(after(|path| fs::write(path, "a 1\n").unwrap()).unwrap(), b"a 1\n");
        assert_eq!(after(|path| fs::remove_file(path).unwrap()).unwrap(), b"");
        let renamed = |path: &Path| {
            fs::write(path.with_extension("new"), "a 2\n").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        };
        assert_eq!(after(renamed).unwrap(), b"a 2\n");
    }

    #[test]
    fn what_is_no_file_of_the_jobs_is_refused() {
        let in_its_place = |deed: &dyn Fn(&Path)| {
            after(|path| {
                fs::remove_file(path).unwrap();
                deed(path);
            })
            .unwrap_err()
        };
        let what = "no regular file stands in the place of PROMDROP_OUTPUT";
        assert!(in_its_place(&|path| symlink("/etc/passwd", path).unwrap()).starts_with(what));
        assert!(in_its_place(&|path| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap()).starts_with(what));
        assert!(in_its_place(&|path| fs::create_dir(path).unwrap()).starts_with(what));
        let theirs = in_its_place(&|path| {
            fs::write(path, "a 1\n").unwrap();
            chown(path, Some(4321), None).unwrap();
        });
        assert!(theirs.starts_with("a file of user 4321 stands"), "{theirs}");
        let huge = after(|path| {
            File::options().write(true).open(path).unwrap().set_len(MAX_FILE as u64 + 1).unwrap()
        });
        assert!(huge.unwrap_err().contains("more than the 16777216 bytes"));
    }

    #[test]
    fn nobody_else_can_look_into_it_and_without_room_there_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let offer = Offer::make(parent.path());
        let path = PathBuf::from(offer.path());
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o700);
        let none = Offer::make(Path::new("/nonexistent"));
        assert_eq!(none.path(), NOWHERE);
        assert!(none.take().unwrap_err().starts_with("the job had no PROMDROP_OUTPUT: "));
    }
}
