//! A regular file, read in pieces: even of the largest no more is held than its longest line.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};

use super::directory::Stamp;
use crate::exposition::Text;

/// Bytes that are read at once; few enough to stay in the processor's cache while they are looked at.
const PIECE: usize = 256 * 1024;

/// Bytes that are read for one line: those that are asked for often follow each other.
const FOR_A_LINE: usize = 16 * 1024;

/// A file, which should stay as it was when it was looked at.
pub(super) struct Pieces<'a> {
    file: &'a File,
    stamp: Stamp,
    size: usize,
    /// What was read last, and what was there before it.
    buffer: &'a mut Vec<u8>,
    /// Where in the file that begins.
    start: usize,
    /// How many bytes of the buffer that is.
    length: usize,
    /// How many of them are whole lines.
    lines: usize,
    /// Whether it stayed so, as far as it was read.
    same: Result<bool, Errno>,
}

impl<'a> Pieces<'a> {
    /// Of `file`, whose status was `stat`.
    ///
    /// # Errors
    /// `ENOMEM` where it is larger than any memory.
    pub fn new(file: &'a File, stat: &FileStat, buffer: &'a mut Vec<u8>) -> Result<Self, Errno> {
        let size = usize::try_from(stat.st_size).map_err(|_| Errno::ENOMEM)?;
        Ok(Self { file, stamp: Stamp::of(stat), size, buffer, start: 0, length: 0, lines: 0, same: Ok(true) })
    }

    /// Whether it was the same until it was last read from.
    ///
    /// # Errors
    /// Where it could not be read; `ENOMEM` where there is no memory for one of its lines.
    pub fn was_same(&self) -> Result<bool, Errno> {
        self.same
    }

    /// Makes the buffer hold the lines from byte `at` on: `enough` bytes, or one line if that is longer.
    fn fill(&mut self, at: usize, enough: usize) {
        (self.start, self.length, self.lines) = (at, 0, 0);
        // Asked each time: nobody wants to look through the rest of what has changed.
        let same = match self.try_fill(enough) {
            Ok(true) => fstat(self.file).map(|stat| Stamp::of(&stat) == self.stamp),
            other => other,
        };
        if same != Ok(true) {
            self.same = same;
            self.lines = 0;
        }
    }

    /// Whether the file is as long as it should be, where that shows.
    fn try_fill(&mut self, mut enough: usize) -> Result<bool, Errno> {
        // One byte more tells of a file that grows, without reading on for ever.
        let left = self.size.saturating_add(1).saturating_sub(self.start);
        loop {
            enough = enough.min(left);
            if self.buffer.len() < enough {
                let more = enough - self.buffer.len();
                self.buffer.try_reserve_exact(more).map_err(|_| Errno::ENOMEM)?;
                self.buffer.resize(enough, 0);
            }
            let before = self.length;
            while self.length < enough {
                let room = self.buffer.get_mut(self.length..enough).unwrap_or_default();
                let offset = (self.start + self.length) as u64;
                let wanted = room.len();
                match self.file.read_at(room, offset) {
                    Ok(count) => {
                        self.length += count;
                        let is_whole = self.start + self.length == self.size;
                        // Less than is wanted is no more than there is; whether that has changed, its status tells.
                        if count == 0 || count < wanted && is_whole {
                            self.lines = self.length;
                            return Ok(is_whole);
                        }
                    }
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err(e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
                }
            }
            if self.length == left {
                return Ok(false);
            }
            let new = self.buffer.get(before..self.length).unwrap_or_default();
            if let Some(end) = memchr::memrchr(b'\n', new) {
                self.lines = before + end + 1;
                return Ok(true);
            }
            enough = enough.saturating_mul(2);
        }
    }
}

impl Text for Pieces<'_> {
    fn each(&mut self, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let mut at = 0;
        loop {
            // What is there is not read again: of most files, all.
            if self.start != at || self.lines == 0 {
                self.fill(at, PIECE);
            }
            let piece = self.buffer.get(..self.lines).unwrap_or_default();
            if piece.is_empty() || take(piece).is_break() {
                return;
            }
            at += self.lines;
            // To look for more would be to lose what is there.
            if at == self.size {
                return;
            }
        }
    }

    fn line(&mut self, at: usize) -> Option<Vec<u8>> {
        let is_there = |pieces: &Self| {
            let read = pieces.buffer.get(at.checked_sub(pieces.start)?..pieces.length)?;
            let end = memchr::memchr(b'\n', read);
            let is_last = pieces.start + pieces.length == pieces.size && !read.is_empty();
            let end = end.or(is_last.then_some(read.len()))?;
            read.get(..end).map(<[u8]>::to_vec)
        };
        is_there(self).or_else(|| {
            self.fill(at, FOR_A_LINE);
            is_there(self)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::exposition::spots;

    fn file(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn opened<'a>(file: &'a File, buffer: &'a mut Vec<u8>) -> Pieces<'a> {
        Pieces::new(file, &fstat(file).unwrap(), buffer).unwrap()
    }

    /// Its pieces.
    fn pieces(text: &mut dyn Text) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        text.each(&mut |piece| {
            pieces.push(piece.to_vec());
            ControlFlow::Continue(())
        });
        pieces
    }

    #[test]
    fn pieces_are_whole_lines_however_long() {
        let long = "x".repeat(3 * PIECE);
        let short = "c_a 1\n".repeat(PIECE / 4);
        let filling = format!("{}\n", "y".repeat(PIECE - 1));
        for text in [
            String::new(),
            "c_a 1".into(),
            "c_a 1\n".into(),
            short.clone(),
            format!("{short}\n\n{long}\n{short}"),
            format!("{long}\n{long}"),
            filling.clone(),
            format!("{filling}{filling}z"),
            format!("{}\n{filling}", "y".repeat(PIECE)),
        ] {
            let file = file(text.as_bytes());
            let mut buffer = Vec::new();
            let mut read = opened(&file, &mut buffer);
            for _ in 0..2 {
                let pieces = pieces(&mut read);
                assert!(pieces.concat() == text.as_bytes(), "{} bytes", text.len());
                let (last, others) =
                    pieces.split_last().map_or((None, &[][..]), |(last, others)| (Some(last), others));
                assert!(others.iter().all(|piece| piece.ends_with(b"\n")));
                assert_eq!(last.is_some_and(|last| last.ends_with(b"\n")), text.ends_with('\n'));
            }
            assert_eq!(read.was_same(), Ok(true));
            // The longest line, and no more than a piece beside it.
            let longest = text.split_inclusive('\n').map(str::len).max().unwrap_or(0);
            assert!(buffer.capacity() <= (2 * longest).max(PIECE), "{} for {longest}", buffer.capacity());
        }
    }

    #[test]
    fn what_fits_into_a_piece_is_read_once() {
        let text = b"c_a 1\nc_b 2\n";
        let file = file(text);
        let mut buffer = Vec::new();
        let mut read = opened(&file, &mut buffer);
        assert_eq!(pieces(&mut read).concat(), text);
        file.set_len(0).unwrap();
        assert_eq!((pieces(&mut read).concat(), read.line(6)), (text.to_vec(), Some(b"c_b 2".to_vec())));
    }

    #[test]
    fn lines_are_had_in_any_order_and_between_pieces() {
        let lines: Vec<String> = (0..PIECE / 4).map(|i| format!("c_{i} {}", "1".repeat(i % 40))).collect();
        let text = format!("{}\nlast", lines.join("\n"));
        let file = file(text.as_bytes());
        let mut buffer = Vec::new();
        let mut read = opened(&file, &mut buffer);
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1));
        for (number, at) in
            starts.iter().enumerate().step_by(997).chain(starts.iter().enumerate().rev().step_by(1009))
        {
            let line = lines.get(number).map_or("last", String::as_str);
            assert_eq!(read.line(*at).as_deref(), Some(line.as_bytes()), "{number}");
            assert_eq!(read.line(at + 2).as_deref(), line.as_bytes().get(2..));
        }
        assert_eq!(read.line(text.len()), None);
        assert_eq!(pieces(&mut read).concat(), text.as_bytes());
        assert_eq!(read.was_same(), Ok(true));
    }

    #[test]
    fn places_are_the_same_in_pieces_and_in_memory() {
        let text = "# é\u{fffd}\nc_a{x=\"\u{e9}\"} 1\n".repeat(PIECE / 10);
        let file = file(text.as_bytes());
        let mut buffer = Vec::new();
        let mut read = opened(&file, &mut buffer);
        let wanted = || (0..text.len() + 50).rev().step_by(4999);
        let found = spots(&mut read, wanted());
        assert_eq!(found, spots(&mut text.as_bytes(), wanted()));
        let (at, spot) = found.last_key_value().unwrap();
        let line = 1 + text[..*at].matches('\n').count();
        assert_eq!((spot.line, found.len()), (line, wanted().filter(|at| *at < text.len()).count()));
    }

    #[test]
    fn of_a_file_that_changes_the_rest_is_not_read() {
        let file = file("c_a 1\n".repeat(PIECE).as_bytes());
        let mut writer = file.try_clone().unwrap();
        let mut buffer = Vec::new();
        let mut read = opened(&file, &mut buffer);
        let mut count = 0;
        read.each(&mut |_| {
            count += 1;
            writer.write_all(b"c_b 1\n").unwrap();
            ControlFlow::Continue(())
        });
        assert_eq!((count, read.was_same()), (1, Ok(false)));
    }

    #[test]
    fn a_file_of_another_size_is_told_and_not_read_past_it() {
        for (size, text) in [(4, "c_a 1\n"), (7, "c_a 1\n"), (0, "x"), (2 * PIECE, &*"c_a 1\n".repeat(PIECE))]
        {
            let file = file(text.as_bytes());
            let mut buffer = Vec::new();
            let mut read = opened(&file, &mut buffer);
            read.size = size;
            let taken: usize = pieces(&mut read).iter().map(Vec::len).sum();
            assert_eq!(read.was_same(), Ok(false));
            assert!(taken <= size && buffer.len() <= size + 1, "{taken} {}", buffer.len());
        }
        let directory = File::open("/").unwrap();
        let mut buffer = Vec::new();
        let mut read = opened(&directory, &mut buffer);
        assert_eq!((pieces(&mut read), read.was_same()), (vec![], Err(Errno::EISDIR)));
    }
}
