//! The module `netstat`: TCP sockets by address family and state.
//!
//! The numbers are those of `netstat -ant`, from the kernel's own list (NETLINK_SOCK_DIAG, sock_diag(7)) instead of the
//! text in /proc/net/tcp, at a fraction of the cost. They are of the network namespace that promdrop runs in.

pub mod netlink;
pub mod wire;

use nix::errno::Errno;

use super::{Collection, Collector, Failure, Module, Outcome, Run};
use crate::config::Header;
use crate::config::yaml::Section;
use crate::exposition::{Descriptor, Family, Kind};
use wire::{Counts, IpFamily, Request, TcpState};

/// Its line in the table of modules.
pub const MODULE: Module = Module { name: "netstat", needs_section: false, takes_user: false, read };

/// Sockets by family and state; every pair is there, zeros included.
pub const CONNECTIONS: Descriptor = Descriptor {
    name: "netstat_tcp_connections",
    help: "TCP sockets by address family and state, listening ones included; IPv6 sockets that talk IPv4 count as ipv6.",
    kind: Kind::Gauge,
};

/// What `netstat -ant | grep -i wait | wc -l` prints.
pub const WAITING: Descriptor = Descriptor {
    name: "count_netstat_wait_connections",
    help: "TCP sockets in the states FIN_WAIT1, FIN_WAIT2, TIME_WAIT and CLOSE_WAIT.",
    kind: Kind::Gauge,
};

const WAIT_STATES: [TcpState; 4] =
    [TcpState::FinWait1, TcpState::FinWait2, TcpState::TimeWait, TcpState::CloseWait];

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

#[derive(Debug)]
struct Netstat;

fn read(_: &mut Section<'_>, _: &Header) -> Option<Box<dyn Collector>> {
    Some(Box::new(Netstat))
}

impl Collector for Netstat {
    fn collect(&self, run: &Run<'_>) -> Result<Collection, Failure> {
        let mut buffer = vec![0; netlink::BUFFER];
        let counts =
            count(|request| netlink::dump(request, run.deadline, run.stop, &mut buffer)).map_err(failure)?;
        Ok(Collection { families: families(&counts), ..Collection::default() })
    }
}

/// Counts by the cheapest requests that `dump` is granted.
fn count(mut dump: impl FnMut(Request) -> Result<Counts, Error>) -> Result<Counts, Error> {
    match repeat(|| dump(Request::BothFamilies)) {
        // The older type of request may go one day; the newer one names what is missing.
        Err(Error::Refused(..)) => {}
        counted => return counted,
    }
    let ipv4 = repeat(|| dump(Request::OneFamily(IpFamily::Ipv4)))?;
    match repeat(|| dump(Request::OneFamily(IpFamily::Ipv6))) {
        Ok(ipv6) => Ok(ipv4 + ipv6),
        // A kernel that lists IPv4 but doesn't know IPv6 has no such sockets.
        Err(Error::Refused(_, Errno::ENOENT)) => Ok(ipv4),
        Err(error) => Err(error),
    }
}

/// Repeats a dump that was interrupted.
fn repeat(mut dump: impl FnMut() -> Result<Counts, Error>) -> Result<Counts, Error> {
    for _ in 1..ATTEMPTS {
        match dump() {
            Err(Error::Interrupted(_)) => {}
            ended => return ended,
        }
    }
    dump()
}

fn families(counts: &Counts) -> Vec<Family> {
    let mut connections = Family::new(&CONNECTIONS);
    let mut waiting = 0.0;
    for family in IpFamily::ALL {
        for state in TcpState::ALL {
            let n = f64::from(counts.of(family, state));
            let labels = vec![("family".into(), family.word().into()), ("state".into(), state.word().into())];
            connections.push(labels, n);
            if WAIT_STATES.contains(&state) {
                waiting += n;
            }
        }
    }
    let mut wait_connections = Family::new(&WAITING);
    wait_connections.push(Vec::new(), waiting);
    vec![connections, wait_connections]
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
