//! What promdrop tells its supervisor, and what comes back: length-prefixed frames on two pipes.

use std::io::{self, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{Limits, Resources};
use super::secrets::Secret;
use crate::collect::account::Identity;
use crate::collect::trace::Usage;

/// A command writes at most this much to its stdout; more is not read, and the command is ended.
pub const STDOUT_LIMIT: usize = 4 << 20;

/// Of a command's stderr, the last of it are kept.
pub const STDERR_LIMIT: usize = 8 << 10;

/// A command that writes more than this to its stderr is ended: nobody wants to read it, and it costs CPU time until the
/// timeout.
pub const STDERR_FLOOD: usize = 64 << 20;

/// What a command left behind may end by itself for so long (`tee` in a process substitution does).
pub const LINGER: Duration = Duration::from_millis(250);

/// From TERM to KILL.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long KILL is tried: a process that hangs in the kernel (a dead NFS server) doesn't end of it.
pub const KILL_LIMIT: Duration = Duration::from_secs(1);

/// How long output is awaited that only a process outside the supervisor's reach could still write.
pub const DRAIN: Duration = Duration::from_millis(250);

/// No timeout is longer, so that sums of times stay in range.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A frame is at most this long: longer ones are refused on both sides.
const FRAME_LIMIT: usize = 8 << 20;

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specification {
    /// The path of the program.
    pub program: String,
    /// Its arguments; the first is what it is told its own name is.
    pub argv: Vec<String>,
    /// The whole of its environment.
    pub environment: Vec<(String, String)>,
    /// More variables of it.
    pub secrets: Vec<(String, Secret)>,
    /// Where it starts.
    pub directory: String,
    /// Whom it runs as; `None`: as promdrop.
    pub identity: Option<Identity>,
    /// The permissions that files it makes don't get.
    pub umask: u32,
    /// Its priority; `None`: promdrop's own.
    pub nice: Option<i32>,
    /// Whether no program that it starts can give it more rights (setuid, file capabilities).
    pub no_new_privileges: bool,
    /// What each process of it may use.
    pub limits: Limits,
    /// It is ended after this long, or after [`LONGEST`].
    pub timeout: Duration,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// From its start to its end; what it left behind doesn't count.
    pub duration: Duration,
    /// Processes that it left behind and that did not end by themselves.
    pub leftovers: usize,
    /// Processes that not even KILL could end.
    pub survivors: usize,
    /// Its output did not end with it and what it left behind: a process out of reach holds it open.
    pub undrained: bool,
    /// What it used, its launcher included.
    pub usage: Usage,
    /// What it wrote to stdout.
    pub stdout: Captured,
    /// What it wrote to stderr.
    pub stderr: Captured,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It was not started: the step that failed, and the errno.
    NotStarted(Step, i32),
    /// By itself, with this status.
    Exited(i32),
    /// By this signal, which did not come from its supervisor.
    Signalled(i32),
    /// After its timeout, by its supervisor.
    TimedOut,
    /// For more output than [`STDOUT_LIMIT`], by its supervisor.
    OverLimit,
    /// For more on its stderr than [`STDERR_FLOOD`], by its supervisor.
    Flooding,
    /// Because promdrop gave it up or was told to end.
    Stopped,
}

/// A step of starting a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Starting the launcher, which takes the others.
    Launcher,
    /// Setting its priority.
    Nice,
    /// Forbidding it more rights.
    Privileges,
    /// Setting this limit.
    Limit(Resources),
    /// Becoming its user.
    User,
    /// Entering its directory.
    Directory,
    /// Executing the program.
    Program,
}

/// Output, as far as it was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The bytes. They travel in a frame of their own.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// There was more: after these bytes for stdout, before them for stderr.
    pub truncated: bool,
}

impl Specification {
    /// As one frame; `None` where it is too long for one.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        put_frame(&mut out, &serde_json::to_vec(self).ok()?)?;
        Some(out)
    }

    /// Reads the frame that [`encode`](Self::encode) made, and no byte more.
    ///
    /// # Errors
    /// `UnexpectedEof` where `from` ends before.
    pub fn receive(from: &mut impl Read) -> io::Result<Self> {
        let mut prefix = [0; 4];
        from.read_exact(&mut prefix)?;
        let length = frame_length(prefix).ok_or(io::ErrorKind::InvalidData)?;
        let mut content = vec![0; length];
        from.read_exact(&mut content)?;
        serde_json::from_slice(&content).map_err(Into::into)
    }
}

impl Report {
    /// The most bytes that a report takes: both outputs and a page for the rest.
    pub const MAX: usize = STDOUT_LIMIT + STDERR_LIMIT + 4096;

    /// As three frames: the report, the bytes of stdout, those of stderr.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        put_frame(&mut out, &serde_json::to_vec(self).ok()?)?;
        put_frame(&mut out, &self.stdout.bytes)?;
        put_frame(&mut out, &self.stderr.bytes)?;
        Some(out)
    }

    /// From the three frames and nothing after them; `None` for anything else.
    pub fn decode(text: &[u8]) -> Option<Self> {
        let (content, text) = take_frame(text)?;
        let (stdout, text) = take_frame(text)?;
        let (stderr, text) = take_frame(text)?;
        let mut report: Self = serde_json::from_slice(content).ok()?;
        report.stdout.bytes = stdout.to_vec();
        report.stderr.bytes = stderr.to_vec();
        text.is_empty().then_some(report)
    }
}

/// The length that a frame begins with, if it is an allowed one.
fn frame_length(prefix: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(prefix)).ok().filter(|length| *length <= FRAME_LIMIT)
}

fn put_frame(out: &mut Vec<u8>, content: &[u8]) -> Option<()> {
    let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= FRAME_LIMIT)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(content);
    Some(())
}

fn take_frame(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = text.split_first_chunk::<4>()?;
    rest.split_at_checked(frame_length(*prefix)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            stdout: Captured { bytes: b"a 1\n\xff".to_vec(), truncated: false },
            stderr: Captured { bytes: vec![0; STDERR_LIMIT], truncated: true },
            end: End::NotStarted(Step::Directory, 2),
            duration: Duration::ZERO,
            leftovers: 0,
            survivors: 0,
            undrained: false,
            usage: Usage::default(),
        }
    }

    #[test]
    fn a_report_comes_back_as_it_was() {
        assert_eq!(Report::decode(&report().encode().unwrap()), Some(report()));
    }

    #[test]
    fn a_report_that_is_cut_or_goes_on_is_none() {
        let whole = report().encode().unwrap();
        for cut in 0..whole.len() {
            assert_eq!(Report::decode(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Report::decode(&[whole, vec![0]].concat()), None);
    }

    #[test]
    fn the_largest_report_fits() {
        let largest = Report {
            end: End::NotStarted(Step::Directory, i32::MIN),
            duration: Duration::MAX,
            leftovers: usize::MAX,
            survivors: usize::MAX,
            undrained: false,
            usage: Usage { cpu: Duration::MAX, memory_peak: u64::MAX },
            stdout: Captured { bytes: vec![0; STDOUT_LIMIT], truncated: false },
            stderr: Captured { bytes: vec![0; STDERR_LIMIT], truncated: false },
        };
        assert!(largest.encode().unwrap().len() <= Report::MAX);
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused() {
        assert_eq!(frame_length(u32::MAX.to_be_bytes()), None);
        assert_eq!(Report::decode(&[0xff; 64]), None);
        let long = Specification {
            program: "/bin/sh".into(),
            argv: vec!["x".repeat(FRAME_LIMIT)],
            environment: Vec::new(),
            secrets: Vec::new(),
            directory: "/".into(),
            identity: None,
            umask: 0,
            nice: None,
            no_new_privileges: false,
            limits: Limits::default(),
            timeout: Duration::from_secs(1),
        };
        assert_eq!(long.encode(), None);
    }
}
