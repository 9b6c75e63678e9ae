//! The module `netstat`: TCP sockets by address family and state.
//!
//! The numbers are those of `netstat -ant`, from the kernel's own list (NETLINK_SOCK_DIAG, sock_diag(7)) instead of the
//! text in /proc/net/tcp, at a fraction of the cost. They are of the network namespace that promdrop runs in.

pub mod netlink;
pub mod wire;

use nix::errno::Errno;

use super::trace::Trace;
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
    fn collect(&self, run: &Run<'_>, _: &mut Trace) -> Result<Collection, Failure> {
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

#[cfg(test)]
mod tests {
    use super::wire::{Dump, Progress};
    use super::*;

    const IPV4: Request = Request::OneFamily(IpFamily::Ipv4);
    const IPV6: Request = Request::OneFamily(IpFamily::Ipv6);
    const MISSING: Error = Error::Refused("list TCP sockets", Errno::ENOENT);
    const INTERRUPTED: Error = Error::Interrupted("sockets changed");

    /// One established socket of `family`, by way of the bytes.
    fn one(family: u8) -> Counts {
        let mut message =
            [88_u32.to_ne_bytes().as_slice(), &18_u16.to_ne_bytes(), &[0; 2], &1_u32.to_ne_bytes()].concat();
        message.extend([0; 4]);
        message.extend([family, 1]);
        message.resize(88, 0);
        let mut dump = Dump::new(Request::BothFamilies, 0);
        assert_eq!(dump.read(&message), Ok(Progress::More));
        dump.counts()
    }

    /// Counts with a kernel that gives these answers, each to the request before it.
    fn scripted(script: &[(Request, Result<Counts, Error>)]) -> Result<Counts, Error> {
        let mut script = script.iter();
        let counted = count(|request| {
            let (expected, answer) = script.next().expect("a request beyond the script");
            assert_eq!(request, *expected);
            answer.clone()
        });
        assert_eq!(script.next(), None, "not asked");
        counted
    }

    #[test]
    fn one_walk_where_the_kernel_grants_it() {
        assert_eq!(scripted(&[(Request::BothFamilies, Ok(one(2)))]), Ok(one(2)));
    }

    #[test]
    fn a_request_for_each_family_where_it_does_not() {
        let both =
            scripted(&[(Request::BothFamilies, Err(MISSING)), (IPV4, Ok(one(2))), (IPV6, Ok(one(10)))])
                .unwrap();
        assert_eq!(both.of(IpFamily::Ipv4, TcpState::Established), 1);
        assert_eq!(both.of(IpFamily::Ipv6, TcpState::Established), 1);
    }

    #[test]
    fn no_ipv6_is_zeros_but_no_ipv4_is_an_error() {
        let no_ipv6 = [(Request::BothFamilies, Err(MISSING)), (IPV4, Ok(one(2))), (IPV6, Err(MISSING))];
        assert_eq!(scripted(&no_ipv6), Ok(one(2)));
        assert_eq!(scripted(&[(Request::BothFamilies, Err(MISSING)), (IPV4, Err(MISSING))]), Err(MISSING));
        let denied = Error::Refused("list TCP sockets", Errno::EPERM);
        let ipv6_denied =
            [(Request::BothFamilies, Err(MISSING)), (IPV4, Ok(one(2))), (IPV6, Err(denied.clone()))];
        assert_eq!(scripted(&ipv6_denied), Err(denied));
    }

    #[test]
    fn an_interrupted_list_is_repeated_but_not_for_ever() {
        let interrupted = || (Request::BothFamilies, Err(INTERRUPTED));
        let good = (Request::BothFamilies, Ok(one(2)));
        assert_eq!(scripted(&[interrupted(), interrupted(), interrupted(), good]), Ok(one(2)));
        let tries: Vec<_> = std::iter::repeat_with(interrupted).take(ATTEMPTS).collect();
        assert_eq!(scripted(&tries), Err(INTERRUPTED));
    }

    #[test]
    fn other_errors_end_it_at_once() {
        for error in [Error::TimedOut, Error::Stopped, Error::Malformed("x".into())] {
            assert_eq!(scripted(&[(Request::BothFamilies, Err(error.clone()))]), Err(error));
        }
    }

    #[test]
    fn failures_say_what_to_do_in_one_short_line() {
        let cases = [
            (MISSING, Outcome::Internal, "load the kernel modules inet_diag and tcp_diag"),
            (Error::Refused("open a socket", Errno::EAFNOSUPPORT), Outcome::Internal, "allow AF_NETLINK"),
            (Error::Refused("open a socket", Errno::EPERM), Outcome::Internal, "(EPERM); allow AF_NETLINK"),
            (Error::Refused("open a socket", Errno::EMFILE), Outcome::Internal, "(EMFILE)"),
            (INTERRUPTED, Outcome::Internal, "in 4 tries: sockets changed"),
            (Error::Malformed("5 bytes at byte 0".into()), Outcome::Internal, "5 bytes at byte 0"),
            (Error::TimedOut, Outcome::Timeout, "raise it"),
        ];
        for (error, outcome, part) in cases {
            let failure = failure(error);
            assert_eq!(failure.outcome, outcome);
            assert!(failure.message.contains(part), "{}", failure.message);
            assert!(failure.message.len() <= 200 && !failure.message.contains('\n'), "{}", failure.message);
            assert!(!failure.stopped);
        }
        assert!(failure(Error::Stopped).stopped);
    }

    #[test]
    fn every_family_and_state_is_exposed_zeros_included() {
        let families = families(&one(10));
        let samples = &families[0].samples;
        assert_eq!(samples.len(), 22);
        let nonzero: Vec<_> = samples.iter().filter(|sample| sample.value != 0.0).collect();
        assert_eq!(nonzero.len(), 1);
        let labels = [("family".into(), "ipv6".into()), ("state".into(), "established".into())];
        assert_eq!(nonzero[0].labels, labels);
        assert_eq!(families[1].samples.len(), 1);
        assert_eq!((&families[1].samples[0].labels, families[1].samples[0].value), (&Vec::new(), 0.0));
    }
}
