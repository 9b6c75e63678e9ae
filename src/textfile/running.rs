//! The runs of a job that are in progress, as its file's header has them: enough to tell later whether they still are.

use std::fmt;

use super::header::whole_number;

/// So many runs of one job are kept in mind at a time; of more, the newest.
pub(super) const MOST: usize = 256;

/// A process that nothing else can be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the boot (field 22 of proc_pid_stat(5)).
    pub start: u64,
}

/// A run in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The job.
    pub job: Process,
    /// The promdrop that waits for it.
    pub waiter: Process,
    /// The inode of the namespace that both numbers are of.
    pub namespace: u64,
    /// The boot that both times are of.
    pub boot: u128,
}

impl fmt::Display for Running {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, waiter, namespace, boot } = self;
        write!(out, "{} {} {} {} {namespace} {boot:032x}", job.pid, job.start, waiter.pid, waiter.start)
    }
}

impl Running {
    /// Reads what `Display` wrote; `None` on any doubt.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut number = || whole_number(words.next().filter(|word| !word.is_empty())?);
        let mut process = || Some(Process { pid: number()?.try_into().ok()?, start: number()? });
        let (job, waiter) = (process()?, process()?);
        let namespace = number()?;
        let boot = words.next().filter(|word| word.len() == 32 && !word.starts_with('+'))?;
        let boot = u128::from_str_radix(boot, 16).ok()?;
        let running = Self { job, waiter, namespace, boot };
        // Another spelling is not promdrop's.
        (running.to_string() == text).then_some(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_doubt_is_no_run() {
        let good = "7 99 6 98 4026531836 0123456789abcdef0123456789abcdef";
        let read = Running::parse(good).unwrap();
        assert_eq!(read.job, Process { pid: 7, start: 99 });
        assert_eq!(read.waiter, Process { pid: 6, start: 98 });
        assert_eq!(read.boot, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        for (old, new) in [
            ("7 99", "7"),
            ("7 99", "07 99"),
            ("7 99", "-7 99"),
            ("7 99", "+7 99"),
            ("7 99", "4294967296 99"),
            ("7 99", "7  99"),
            ("abcdef0", "ABCDEF0"),
            ("abcdef0", "abcdef"),
            ("0123456789abcdef0123456789abcdef", ""),
            ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef 1"),
            ("01234567", "+1234567"),
        ] {
            assert!(good.contains(old), "{old}");
            assert_eq!(Running::parse(&good.replacen(old, new, 1)), None, "{new}");
        }
    }
}
