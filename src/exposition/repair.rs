//! Small faults of a text that can be put right without a guess at what was meant. Pure.
//!
//! Everything else is left as it is, for [`read`](super::read) to refuse.

use std::borrow::Cow;
use std::fmt;

use super::scan::{Line, Scanner, is_blank};

/// What was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// Lines that end in CR LF.
    CarriageReturns,
    /// Blanks after a value, a TYPE or a HELP text.
    TrailingBlanks,
    /// The last line, a whole sample, had no line feed.
    FinalNewline,
}

/// One kind of repair, told once however often it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// What it was.
    pub what: Repaired,
    /// The first line, from 1.
    pub line: usize,
    /// How many lines.
    pub count: usize,
}

impl fmt::Display for Repair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.what {
            Repaired::CarriageReturns => "repaired CR LF at the end of the line",
            Repaired::TrailingBlanks => "repaired blanks at the end of the line",
            Repaired::FinalNewline => "repaired the missing newline at the end of the last line",
        })?;
        if self.count > 1 {
            write!(out, ", here and in {} more", self.count - 1)?;
        }
        Ok(())
    }
}

/// Repairs `text` where that can't change its meaning; what was done, in the order of the first lines.
///
/// Lines keep their numbers, and all that is left of a line keeps its column.
pub fn repair(text: &[u8]) -> (Cow<'_, [u8]>, Vec<Repair>) {
    let mut out = Output { text, done: 0, repaired: Vec::new() };
    let mut repairs = Vec::new();
    let mut start = 0;
    for (index, whole) in text.split(|byte| *byte == b'\n').enumerate() {
        let end = start + whole.len();
        let is_last = end == text.len();
        let mut note = |what| note(&mut repairs, what, index + 1);
        let line = Ending::of(whole);
        // A CR LF that an editor left, or the half of one that was cut with the newline.
        let is_sample = is_last && line.is_sample();
        if line.carriage_return && (!is_last || is_sample) {
            note(Repaired::CarriageReturns);
        }
        if line.blanks && (!is_last || is_sample) {
            note(Repaired::TrailingBlanks);
        }
        if !is_last || is_sample {
            out.cut(start + line.kept.len(), end);
        }
        if is_sample {
            note(Repaired::FinalNewline);
            out.end();
        }
        start = end + 1;
    }
    (out.finish(), repairs)
}

fn note(repairs: &mut Vec<Repair>, what: Repaired, line: usize) {
    match repairs.iter_mut().find(|repair| repair.what == what) {
        Some(repair) => repair.count += 1,
        None => repairs.push(Repair { what, line, count: 1 }),
    }
}

/// A line without what can go from its end.
struct Ending<'a> {
    kept: &'a [u8],
    carriage_return: bool,
    blanks: bool,
}

impl<'a> Ending<'a> {
    fn of(whole: &'a [u8]) -> Self {
        let nothing = Self { kept: whole, carriage_return: false, blanks: false };
        let (line, carriage_return) = match whole.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (whole, false),
        };
        let length = line.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        let trimmed = line.get(..length).unwrap_or_default();
        // More than one line end is no line end: what wrote it is not known.
        if trimmed.ends_with(b"\r") {
            return nothing;
        }
        let blanks = trimmed.len() < line.len() && ends_for_good(trimmed);
        Self { kept: if blanks { trimmed } else { line }, carriage_return, blanks }
    }

    fn is_sample(&self) -> bool {
        matches!(Scanner::default().scan(self.kept), Ok(Line::Sample { .. }))
    }
}

/// Whether blanks after `line` say nothing. Blanks elsewhere are left: the line is a comment, which may end as it
/// likes, or declares a family by its name alone, which it would no longer do without them, or can't be read.
fn ends_for_good(line: &[u8]) -> bool {
    match Scanner::default().scan(line) {
        Ok(Line::Sample { .. } | Line::Type { kind: Some(_), .. }) => true,
        // node_exporter would serve a HELP text with its blanks. Nobody means or sees them; without them the text is
        // the same to the reader, and the same in every file that was written by hand.
        Ok(Line::Help { .. }) => true,
        _ => false,
    }
}

/// The text with parts left out; a copy only once there is one.
struct Output<'a> {
    text: &'a [u8],
    /// How much of the text is settled.
    done: usize,
    repaired: Vec<u8>,
}

impl<'a> Output<'a> {
    /// Leaves out what stands from `start` to `end`.
    fn cut(&mut self, start: usize, end: usize) {
        if start < end {
            self.repaired.extend_from_slice(self.text.get(self.done..start).unwrap_or_default());
            self.done = end;
        }
    }

    /// Ends the text with a line feed.
    fn end(&mut self) {
        self.repaired.extend_from_slice(self.text.get(self.done..).unwrap_or_default());
        self.done = self.text.len();
        self.repaired.push(b'\n');
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.done == 0 && self.repaired.is_empty() {
            return Cow::Borrowed(self.text);
        }
        self.repaired.extend_from_slice(self.text.get(self.done..).unwrap_or_default());
        Cow::Owned(self.repaired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::read;

    /// The repaired text, and each repair as `LINE: what`.
    #[track_caller]
    fn repaired(text: &str) -> (String, Vec<String>) {
        let (out, repairs) = repair(text.as_bytes());
        let again = repair(&out);
        assert_eq!((&again.0, again.1), (&out, Vec::new()), "not done in one go: {text:?}");
        let told = repairs.iter().map(|repair| format!("{}: {repair}", repair.line)).collect();
        (String::from_utf8(out.into_owned()).unwrap(), told)
    }

    #[test]
    fn each_kind_is_repaired_and_told_once() {
        let newline = "repaired the missing newline at the end of the last line";
        let crlf = "repaired CR LF at the end of the line";
        let blanks = "repaired blanks at the end of the line";
        for (text, expected, told) in [
            ("c_a 1", "c_a 1\n", vec![format!("1: {newline}")]),
            ("c_a 1\nc_b{x=\"1\"} 2", "c_a 1\nc_b{x=\"1\"} 2\n", vec![format!("2: {newline}")]),
            ("c_a 1\r\nc_b 2\n", "c_a 1\nc_b 2\n", vec![format!("1: {crlf}")]),
            (
                "# x\n\r\nc_b 2\r\nc_c 3\r\n",
                "# x\n\nc_b 2\nc_c 3\n",
                vec![format!("2: {crlf}, here and in 2 more")],
            ),
            ("c_a 1 \nc_b 2\t \n", "c_a 1\nc_b 2\n", vec![format!("1: {blanks}, here and in 1 more")]),
            ("# TYPE c_a gauge \nc_a 1\n", "# TYPE c_a gauge\nc_a 1\n", vec![format!("1: {blanks}")]),
            ("# HELP c_a A. \nc_a 1\n", "# HELP c_a A.\nc_a 1\n", vec![format!("1: {blanks}")]),
            (
                "c_b 2\nc_a 1 \r\nc_c 3 \r",
                "c_b 2\nc_a 1\nc_c 3\n",
                vec![
                    format!("2: {crlf}, here and in 1 more"),
                    format!("2: {blanks}, here and in 1 more"),
                    format!("3: {newline}"),
                ],
            ),
        ] {
            assert_eq!(repaired(text), (expected.to_owned(), told), "{text:?}");
            assert!(read(text.as_bytes()).is_err() && read(expected.as_bytes()).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_could_mean_something_is_left() {
        for text in [
            // Data.
            "c_a{x=\"a\rb\"} 1\n",
            "c_a{x=\"a \"} 1\n",
            "# HELP c_a a\rb\n",
            // Cut in the middle.
            "c_a",
            "c_a ",
            "c_a{x=\"1\" ",
            "c_a{x=\"1\"} ",
            "c_a 1\n# TYPE c_b gauge",
            "c_a 1\n# HELP c_b half a te",
            "c_a 1\n# half a comm",
            "c_a 1\n\0\0\0",
            "c_a 1\n\r",
            // More than one line end.
            "c_a 1\r\r\n",
            "c_a 1\r \n",
            "c_a 1\r\t\r\n",
            "c_a 1\r\r",
            // It can't be read without them either.
            "c_a one \n",
            "c_a 1 2 \n",
            "c_a 1 #\n",
            "# TYPE c_a thing \n",
            "# TYPE c_a gauge x\n",
            "# HELP c_a C:\\ \n",
            "c_a 1\u{a0}\n",
            "c_a 1\u{b}\n",
            // Blanks that node_exporter takes.
            "",
            " \n\t\n",
            "c_a 1\n  ",
            "# a comment \n",
            "# HELP c_a \n",
            "# TYPE c_a \n",
            // Nothing to do.
            "# HELP c_a A.\n# TYPE c_a gauge\nc_a 1\n",
        ] {
            let (out, repairs) = repair(text.as_bytes());
            assert!(matches!(out, Cow::Borrowed(_)), "{text:?}");
            assert_eq!((out.as_ref(), repairs.as_slice()), (text.as_bytes(), [].as_slice()), "{text:?}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_is_still_rid_of_its_cr() {
        // So that only what is really wrong is told.
        let (text, _) = repaired("c_a one\r\nc_a{x=\"a\r\nb\"} 1\r\n");
        assert_eq!(text, "c_a one\nc_a{x=\"a\nb\"} 1\n");
        assert!(read(text.as_bytes()).unwrap_err().iter().all(|problem| !problem.message.contains("CR LF")));
    }

    #[test]
    fn a_declaration_by_name_alone_keeps_its_meaning() {
        // The family `c_s_count` comes first, so the sample is its own and no part of the summary.
        let text = "# HELP c_s_count \n# TYPE c_s summary \nc_s_count 1\n";
        let (out, _) = repaired(text);
        assert_eq!(out, "# HELP c_s_count \n# TYPE c_s summary\nc_s_count 1\n");
    }
}
