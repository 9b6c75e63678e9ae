//! The module `netstat`: TCP sockets by address family and state, by port, and what waits to be accepted.
//!
//! The numbers are those of `netstat -ant` and ss, from the kernel's own list (NETLINK_SOCK_DIAG, sock_diag(7)) instead
//! of the text in /proc/net/tcp, at a fraction of the cost. All views of a run come from one list. They are of the
//! network namespace that promdrop runs in, or of one that the file names.
//!
//! - [`settings`]: the section of the collector file; [`ports`], [`listeners`], [`namespace`]: what may stand in it.
//! - [`socket`], [`wire`], [`filter`]: the bytes of the request and of the answer. Pure.
//! - [`counts`], [`tally`], [`families`]: from sockets to samples. Pure.
//! - [`netlink`]: the kernel's list; [`counters`]: its counters.

pub mod counters;
pub mod counts;
pub mod families;
pub mod filter;
pub mod listeners;
pub mod namespace;
pub mod netlink;
pub mod ports;
pub mod settings;
pub mod socket;
pub mod tally;
pub mod wire;

use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;

use super::aside::aside;
use super::stop::Stop;
use super::trace::Trace;
use super::{Collection, Collector, Failure, Module, Outcome, Run};
use crate::config::Header;
use crate::config::yaml::Section;
use crate::exposition::{Family, add_labels};
use settings::Settings;
use socket::IpFamily;
use tally::Tally;
use wire::{Request, Walk};

/// Its line in the table of modules.
pub const MODULE: Module = Module { name: "netstat", needs_section: false, takes_user: false, read };

/// A dump that was interrupted is repeated until it has been tried this often.
const ATTEMPTS: usize = 4;

/// Why there are no counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The kernel refused a step: what could not be done, and its errno.
    Refused(&'static str, Errno),
    /// The list is not whole, for this reason; another try may give a whole one.
    Interrupted(&'static str),
    /// The answer is not what the kernel's headers promise.
    Malformed(String),
    /// The deadline was reached.
    TimedOut,
    /// promdrop was told to end.
    Stopped,
}

/// A configured netstat collector.
#[derive(Debug)]
struct Netstat(Arc<Settings>);

fn read(section: &mut Section<'_>, header: &Header) -> Option<Box<dyn Collector>> {
    Some(Box::new(Netstat(Arc::new(Settings::read(section, header)?))))
}

impl Collector for Netstat {
    fn collect(&self, run: &Run<'_>, trace: &mut Trace) -> Result<Collection, Failure> {
        let (mut families, notes) = match &self.0.netns {
            None => measure(&self.0, run.deadline, run.stop)?,
            Some(_) => elsewhere(&self.0, run)?,
        };
        trace.notes.extend(notes);
        if let Some(namespace) = &self.0.netns {
            let label = vec![("netns".into(), namespace.text().to_owned().into())];
            add_labels(&mut families, &label).map_err(|_| Failure::fault())?;
        }
        Ok(Collection { families, ..Collection::default() })
    }
}

/// Families and notes.
type Measured = (Vec<Family>, Vec<String>);

/// Measures in the namespace that the settings name, by a thread that goes there.
fn elsewhere(settings: &Arc<Settings>, run: &Run<'_>) -> Result<Measured, Failure> {
    let (settings, deadline) = (Arc::clone(settings), run.deadline);
    let measured = aside("netstat", deadline, run.stop, move || {
        if let Some(namespace) = &settings.netns {
            namespace.enter()?;
        }
        // The run's own belongs to a thread that may be gone.
        let stop = Stop::listen().map_err(|errno| failure(Error::Refused("listen for signals", errno)))?;
        measure(&settings, deadline, &stop)
    });
    measured.unwrap_or_else(|unfinished| Err(unfinished.failure("looking into the network namespace", run)))
}

/// Measures in the namespace of the calling thread.
fn measure(settings: &Settings, deadline: Instant, stop: &Stop) -> Result<Measured, Failure> {
    let mut measured = Measured::default();
    if settings.needs_list() {
        let mut buffer = vec![0; netlink::BUFFER];
        let tally = count(settings, |request, tally| {
            netlink::dump(request, deadline, stop, &mut buffer, &mut |socket| tally.count(socket))
        });
        measured.0 = families::families(&tally.map_err(failure)?);
    }
    if settings.counters {
        let (families, notes) =
            counters::read().map_err(|message| Failure::new(Outcome::Internal, message))?;
        measured.0.extend(families);
        measured.1 = notes;
    }
    Ok(measured)
}

/// Counts by the cheapest requests that `dump` is granted.
fn count<'s>(
    settings: &'s Settings,
    mut dump: impl FnMut(&Request<'_>, &mut Tally<'s>) -> Result<(), Error>,
) -> Result<Tally<'s>, Error> {
    if settings.filter.is_some() {
        match walk(settings, true, &mut dump) {
            // A filter only saves time.
            Err(Error::Refused(..)) => {}
            counted => return counted,
        }
    }
    walk(settings, false, &mut dump)
}

fn walk<'s>(
    settings: &'s Settings,
    filtered: bool,
    dump: &mut impl FnMut(&Request<'_>, &mut Tally<'s>) -> Result<(), Error>,
) -> Result<Tally<'s>, Error> {
    let filter = settings.filter.as_ref().filter(|_| filtered);
    let mut add = |start: &Tally<'s>, walk| {
        let request = Request { walk, states: settings.listed(), filter };
        repeat(|| {
            let mut tally = start.clone();
            dump(&request, &mut tally).map(|()| tally)
        })
    };
    let nothing = Tally::new(settings);
    match add(&nothing, Walk::BothFamilies) {
        // The older type of request may go one day; the newer one names what is missing.
        Err(Error::Refused(..)) => {}
        counted => return counted,
    }
    let ipv4 = add(&nothing, Walk::OneFamily(IpFamily::Ipv4))?;
    match add(&ipv4, Walk::OneFamily(IpFamily::Ipv6)) {
        // A kernel that lists IPv4 but doesn't know IPv6 has no such sockets.
        Err(Error::Refused(_, Errno::ENOENT)) => Ok(ipv4),
        counted => counted,
    }
}

/// Repeats a dump that was interrupted.
fn repeat<T>(mut dump: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match dump() {
            Err(Error::Interrupted(_)) => {}
            ended => return ended,
        }
    }
    dump()
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Refused(step, errno) => {
            let reason = errno.desc();
            Failure::new(Outcome::Internal, format!("can't {step}: {reason} ({errno:?}){}", cure(errno)))
        }
        Error::Interrupted(why) => Failure::new(
            Outcome::Internal,
            format!("no whole list of TCP sockets in {ATTEMPTS} tries: {why}; the next run tries again"),
        ),
        Error::Malformed(what) => Failure::new(
            Outcome::Internal,
            format!(
                "the kernel's list of TCP sockets can't be read: {what}; please report it with `uname -r`"
            ),
        ),
        Error::TimedOut => {
            Failure::new(Outcome::Timeout, "the list of TCP sockets took longer than `timeout`; raise it")
        }
        Error::Stopped => Failure::stopped(),
    }
}

/// What to do about an errno, to be put behind it.
fn cure(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::ECONNREFUSED | Errno::EINVAL => {
            "; load the kernel modules inet_diag and tcp_diag"
        }
        // systemd answers EAFNOSUPPORT for a family that is not allowed.
        Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT => {
            "; allow AF_NETLINK (RestrictAddressFamilies= of the unit, seccomp, SELinux)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests;
