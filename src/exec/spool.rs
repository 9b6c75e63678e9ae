//! `--quiet-success`: what a job writes is held back, to be released if it fails.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _, stderr, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::fstat;
use nix::unistd::pipe2;

use super::output::temporary_place;

/// What is held in memory; what is more goes to a file.
const MEMORY: usize = 1 << 20;

/// What goes to the file at most: one that writes without end must not fill the disk that others need.
const MOST: usize = 256 << 20;

/// What is read or written at once.
const CHUNK: usize = 64 << 10;

/// The most that a pipe holds, unless root enlarged it (/proc/sys/fs/pipe-max-size).
const PIPE_SIZE: usize = 1 << 20;

/// Where a piece of output was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// To stdout, or, where both are the same file, to either.
    Stdout,
    /// To stderr.
    Stderr,
}

/// The reading ends of a job's output, and what came out of them.
#[derive(Debug)]
pub struct Tap {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    spool: Spool,
}

/// The writing ends. A job's stdout and stderr are one where promdrop's are the same file, so that what it
/// writes keeps its order.
#[derive(Debug)]
pub struct Ends {
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
}

impl Ends {
    /// For stdout and stderr.
    pub fn fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.stdout.as_fd()), Some(self.stderr.as_ref().unwrap_or(&self.stdout).as_fd())]
    }
}

impl Tap {
    /// Both kinds of ends.
    ///
    /// # Errors
    /// Where the kernel refuses a pipe.
    pub fn new() -> nix::Result<(Self, Ends)> {
        let (out, stdout) = pipe()?;
        let (err, stderr) =
            if is_one_file() { (None, None) } else { pipe().map(|(r, w)| (Some(r), Some(w)))? };
        Ok((Self { stdout: Some(out), stderr: err, spool: Spool::default() }, Ends { stdout, stderr }))
    }

    /// What to poll.
    pub fn fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [&self.stdout, &self.stderr].map(|end| end.as_ref().map(AsFd::as_fd))
    }

    /// Reads what is there, of those that have something.
    pub fn take_in(&mut self, [stdout, stderr]: [bool; 2]) {
        if stdout {
            take_in(&mut self.stdout, Stream::Stdout, &mut self.spool);
        }
        if stderr {
            take_in(&mut self.stderr, Stream::Stderr, &mut self.spool);
        }
    }

    /// Takes in what is left in the pipes once the job has ended: others that hold them are not waited for.
    pub fn drain(&mut self) {
        self.take_in([true, true]);
    }

    /// What came.
    pub fn into_spool(self) -> Spool {
        self.spool
    }
}

fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (end, other) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // Fewer changes between the job and promdrop; the limit of a user may not allow it.
    let _ = fcntl(&end, FcntlArg::F_SETPIPE_SZ(256 << 10));
    Ok((end, other))
}

fn is_one_file() -> bool {
    match (fstat(stdout()), fstat(stderr())) {
        (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        _ => false,
    }
}

/// Reads no more than a pipe holds, so that a flood leaves time for the rest.
fn take_in(end: &mut Option<OwnedFd>, stream: Stream, spool: &mut Spool) {
    let mut chunk = [0; CHUNK];
    for _ in 0..=PIPE_SIZE / CHUNK {
        let Some(fd) = end else { return };
        match nix::unistd::read(fd, &mut chunk) {
            Ok(count) if count > 0 => spool.add(stream, chunk.get(..count).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return,
            // A pipe has no other error to give.
            _ => *end = None,
        }
    }
}

/// Output in the order it came: in memory, and, from 1 MiB on, in a file without a name.
#[derive(Debug, Default)]
pub struct Spool {
    file: Option<File>,
    /// What the file holds, in pieces of one stream each.
    filed: VecDeque<(Stream, usize)>,
    /// Bytes of it.
    size: usize,
    memory: VecDeque<u8>,
    held: VecDeque<(Stream, usize)>,
    /// Why nothing more can be written to the file.
    refused: Option<io::Error>,
    /// Bytes between those of the file and those in memory that are lost.
    lost: usize,
}

/// A piece of what is released.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it was written.
    Written(Stream, &'a [u8]),
    /// So many bytes are missing here, since there was no room for them, and why.
    Missing(usize, String),
}

impl Spool {
    fn add(&mut self, stream: Stream, bytes: &[u8]) {
        push(&mut self.held, stream, bytes.len());
        self.memory.extend(bytes);
        if self.memory.len() > MEMORY {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        if self.refused.is_none() {
            match self.file() {
                Ok(()) => return,
                Err(error) => self.refused = Some(error),
            }
        }
        // The newest tell best why it failed.
        let surplus = self.memory.len().saturating_sub(MEMORY);
        self.memory.drain(..surplus);
        self.lost = self.lost.saturating_add(surplus);
        let mut left = surplus;
        while left > 0
            && let Some((_, length)) = self.held.front_mut()
        {
            let cut = left.min(*length);
            *length -= cut;
            left -= cut;
            if *length == 0 {
                self.held.pop_front();
            }
        }
    }

    /// Moves what is in memory to the file.
    fn file(&mut self) -> io::Result<()> {
        if self.size.saturating_add(self.memory.len()) > MOST {
            return Err(io::Error::other(format!("no more than {} MiB are kept", MOST >> 20)));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(temporary_place())?),
        };
        let before = file.stream_position()?;
        let (one, two) = self.memory.as_slices();
        if let Err(error) = file.write_all(one).and_then(|()| file.write_all(two)) {
            // Half of it would be there twice.
            let _ = file.set_len(before).and_then(|()| file.seek(SeekFrom::Start(before)));
            return Err(error);
        }
        self.size += self.memory.len();
        self.memory.clear();
        for (stream, length) in self.held.drain(..) {
            push(&mut self.filed, stream, length);
        }
        Ok(())
    }

    /// Gives all of it to `take`, in the order it came.
    pub fn release(mut self, take: &mut dyn FnMut(Piece<'_>)) {
        let mut unread = 0;
        if let Some(mut file) = self.file.take() {
            let mut chunk = vec![0; CHUNK];
            if file.rewind().is_err() {
                self.filed.clear();
            }
            for (stream, length) in &self.filed {
                let mut left = *length;
                while left > 0 {
                    let want = left.min(CHUNK);
                    let Some(part) = chunk.get_mut(..want) else { break };
                    if file.read_exact(part).is_err() {
                        unread += left;
                        break;
                    }
                    take(Piece::Written(*stream, part));
                    left -= want;
                }
            }
        }
        if self.lost + unread > 0 {
            let reason =
                self.refused.map_or_else(|| "its file can't be read".to_owned(), |error| error.to_string());
            take(Piece::Missing(self.lost + unread, reason));
        }
        let memory = self.memory.make_contiguous();
        let mut start = 0;
        for (stream, length) in &self.held {
            let end = start + length;
            take(Piece::Written(*stream, memory.get(start..end).unwrap_or_default()));
            start = end;
        }
    }
}

fn push(pieces: &mut VecDeque<(Stream, usize)>, stream: Stream, length: usize) {
    match pieces.back_mut() {
        Some((last, sum)) if *last == stream => *sum += length,
        _ => pieces.push_back((stream, length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(spool: Spool) -> (Vec<u8>, Vec<u8>, Vec<usize>) {
        let (mut out, mut err, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        spool.release(&mut |piece| match piece {
            Piece::Written(Stream::Stdout, bytes) => out.extend_from_slice(bytes),
            Piece::Written(Stream::Stderr, bytes) => err.extend_from_slice(bytes),
            Piece::Missing(count, _) => missing.push(count),
        });
        (out, err, missing)
    }

    /// Bytes that tell where they stood.
    fn bytes(seed: u32, length: usize) -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
    }

    #[test]
    fn what_came_is_given_back_in_its_order() {
        let mut spool = Spool::default();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for round in 0..400 {
            let (one, two) = (bytes(round, 9_001), bytes(!round, 13));
            spool.add(Stream::Stdout, &one);
            spool.add(Stream::Stderr, &two);
            out.extend(one);
            err.extend(two);
        }
        assert!(spool.file.is_some() && !spool.memory.is_empty());
        assert!(released(spool) == (out, err, vec![]));
        assert_eq!(released(Spool::default()), (vec![], vec![], vec![]));
    }

    #[test]
    fn without_room_the_oldest_and_the_newest_stay_and_the_gap_is_told() {
        let all = bytes(1, 5 << 20);
        let mut spool = Spool::default();
        let (first, rest) = all.split_at(MEMORY + 1);
        spool.add(Stream::Stdout, first);
        spool.refused = Some(io::ErrorKind::StorageFull.into());
        for (round, part) in rest.chunks(777).enumerate() {
            spool.add(if round % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, part);
        }
        let mut pieces = Vec::new();
        let mut missing = 0;
        spool.release(&mut |piece| match piece {
            Piece::Written(_, bytes) => pieces.extend_from_slice(bytes),
            Piece::Missing(count, reason) => {
                assert_eq!(pieces, first);
                assert!(!reason.is_empty());
                missing = count;
            }
        });
        assert_eq!(missing, rest.len() - MEMORY);
        assert!(pieces[first.len()..] == rest[missing..]);
    }

    #[test]
    fn the_file_holds_no_more_than_it_may() {
        let mut spool = Spool { size: MOST - (3 << 20), ..Spool::default() };
        let all = bytes(1, 8 << 20);
        all.chunks(CHUNK).for_each(|part| spool.add(Stream::Stdout, part));
        assert!(spool.size <= MOST && spool.refused.is_some());
        let (out, _, missing) = released(spool);
        assert_eq!(out.len() + missing.iter().sum::<usize>(), all.len());
        assert!((3 << 20..=4 << 20).contains(&out.len()), "{}", out.len());
        assert!(all.starts_with(&out[..out.len() - MEMORY]) && all.ends_with(&out[out.len() - MEMORY..]));
    }
}
