//! Targets to addresses, anew in each run, names under a deadline.
//!
//! getaddrinfo(3) can't be told when to give up, so it runs in threads that are left behind when the time is over.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use nix::net::if_::if_nametoindex;

use super::gateway::default_gateways;
use super::packet::Version;
use super::session::Address;
use super::target::{Host, Target, can_be_pinged};
use crate::collect::stop::Stop;

/// Names looked up at once. More only load the resolver.
const THREADS: usize = 32;

/// Addresses that are taken of one target. What a name stands for can grow, but not without bounds.
pub const MOST_ADDRESSES: usize = 64;

/// A target and the addresses that were found for it, at least one, or why there is none.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// The target.
    pub target: &'a Target,
    /// Its addresses: one, unless all are wanted.
    pub addresses: Result<Vec<Address>, String>,
}

/// Addresses for all `targets`, in their order. Literals never touch the resolver.
pub fn addresses<'a>(targets: &'a [Target], deadline: Instant, stop: &Stop) -> Vec<Resolved<'a>> {
    // Each name once, though it may be wanted in both families.
    let mut names: BTreeMap<&str, Answer> = BTreeMap::new();
    let mut gateways = None;
    for target in targets {
        match target.host {
            Host::Name(_) => _ = names.insert(&target.text, Err("it was not looked up".to_owned())),
            Host::Gateway => gateways = gateways.or_else(|| Some(all_gateways())),
            Host::Address(..) => {}
        }
    }
    let asked: Vec<&str> = names.keys().copied().collect();
    let answers = resolve(&asked, deadline, stop, look_up);
    names.values_mut().zip(answers).for_each(|(slot, answer)| *slot = answer);
    let resolve = |target: &Target| match &target.host {
        Host::Address(ip, None) => Ok(vec![Address { ip: *ip, zone: 0 }]),
        Host::Address(ip, Some(zone)) => match if_nametoindex(zone.as_str()) {
            Ok(zone) => Ok(vec![Address { ip: *ip, zone }]),
            Err(error) => Err(format!("interface {zone}: {}", error.desc())),
        },
        Host::Gateway => match &gateways {
            Some(Ok(found)) => choose(found.iter().copied(), target),
            Some(Err(error)) => Err(format!("the routes can't be read: {error}")),
            None => Err("the routes were not read".to_owned()),
        },
        Host::Name(_) => match names.get(target.text.as_str()) {
            Some(Ok(found)) => choose(found.iter().map(address), target),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it was not looked up".to_owned()),
        },
    };
    targets.iter().map(|target| Resolved { target, addresses: resolve(target) }).collect()
}

fn all_gateways() -> io::Result<Vec<Address>> {
    let [mut all, ipv6] = [default_gateways(Version::V4)?, default_gateways(Version::V6)?];
    all.extend(ipv6);
    Ok(all)
}

fn address(found: &SocketAddr) -> Address {
    let zone = match found {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    };
    Address { ip: found.ip(), zone }
}

/// Those of `found` that the target's family allows and that a host can answer from: the first, or all, each once.
fn choose(found: impl Iterator<Item = Address>, target: &Target) -> Result<Vec<Address>, String> {
    let most = if target.all_addresses { MOST_ADDRESSES } else { 1 };
    let mut chosen = Vec::new();
    for address in found {
        let fits = target.wanted.is_none_or(|wanted| wanted == Version::of(address.ip));
        if fits && can_be_pinged(address.ip).is_ok() && chosen.len() < most && !chosen.contains(&address) {
            chosen.push(address);
        }
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    Err(match (&target.host, target.wanted) {
        (Host::Gateway, Some(version)) => format!("this host has no {} default gateway", version.word()),
        (Host::Gateway, None) => "this host has no default gateway".to_owned(),
        (_, Some(version)) => format!("it has no {} address that can be pinged", version.word()),
        (_, None) => "it has no address that can be pinged".to_owned(),
    })
}

/// What was found for a name: its addresses in the resolver's order, or why there are none.
type Answer = Result<Vec<SocketAddr>, String>;

/// Asks the host's resolver (getaddrinfo: /etc/hosts, DNS, whatever nsswitch.conf says) for all addresses of `name`.
fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    std::net::ToSocketAddrs::to_socket_addrs(&(name, 0)).map(Iterator::collect)
}

/// Looks all `names` up by `look_up`, concurrently, and returns an answer for each, in their order. Those that are
/// not there at `deadline` or when `stop` is raised are answered with that.
fn resolve(
    names: &[&str],
    deadline: Instant,
    stop: &Stop,
    look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Copy + Send + 'static,
) -> Vec<Answer> {
    let mut answers: Vec<Answer> =
        names.iter().map(|_| Err("the resolver did not answer in time".to_owned())).collect();
    if names.is_empty() {
        return answers;
    }
    // Each thread holds a writing end; the reading end hangs up when the last has finished.
    let (finished, running) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return names.iter().map(|_| Err(format!("no pipe: {error}"))).collect(),
    };
    let queue: VecDeque<(usize, String)> =
        names.iter().enumerate().map(|(at, name)| (at, (*name).to_owned())).collect();
    let queue = Arc::new(Mutex::new(queue));
    let (results, found) = mpsc::channel();
    let mut started = 0;
    for _ in 0..names.len().min(THREADS) {
        let Ok(running) = running.try_clone() else { break };
        let (queue, results) = (Arc::clone(&queue), results.clone());
        let thread = thread::Builder::new().name("resolve".into()).spawn(move || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((at, name)) = next else { break };
                if results.send((at, look_up(&name).map_err(|error| error.to_string()))).is_err() {
                    break;
                }
            }
            drop(running);
        });
        if thread.is_err() {
            break;
        }
        started += 1;
    }
    drop(running);
    if started == 0 {
        return names.iter().map(|_| Err("no thread can be started to look it up".to_owned())).collect();
    }
    stop.or_hangup(&finished, deadline);
    // Threads that hang find nothing more to do when they wake up.
    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for (at, answer) in found.try_iter() {
        if let Some(slot) = answers.get_mut(at) {
            *slot = answer;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn soon(limit: Duration) -> Instant {
        Instant::now() + limit
    }

    fn port(port: u16) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], port))]
    }

    fn target(wanted: Option<Version>, all_addresses: bool, host: Host) -> Target {
        Target { text: "a".into(), host, wanted, all_addresses, labels: Vec::new() }
    }

    #[test]
    fn addresses_of_the_wanted_family_are_taken_one_or_all() {
        let bad = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1"];
        let found = bad.into_iter().chain(["2001:db8::1", "192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        let found: Vec<_> = found.map(|ip| Address { ip: ip.parse().unwrap(), zone: 0 }).collect();
        let choose = |wanted, all| {
            let host = Host::Name("a".into());
            let chosen = super::choose(found.iter().copied(), &target(wanted, all, host))?;
            Ok(chosen.iter().map(|address| address.ip.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(choose(None, false), Ok::<_, String>("2001:db8::1".into()));
        assert_eq!(choose(Some(Version::V4), false), Ok("192.0.2.1".into()), "none that can not answer");
        assert_eq!(choose(None, true), Ok("2001:db8::1 192.0.2.1 192.0.2.2".into()), "each once");
        assert_eq!(choose(Some(Version::V4), true), Ok("192.0.2.1 192.0.2.2".into()));
    }

    #[test]
    fn what_has_no_address_says_why_and_what_has_too_many_is_bounded() {
        let many: Vec<Address> =
            (1..=200).map(|n| Address { ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)), zone: 0 }).collect();
        let choose = |wanted, all, host| super::choose(many.iter().copied(), &target(wanted, all, host));
        assert_eq!(choose(None, true, Host::Gateway).unwrap().len(), MOST_ADDRESSES);
        let none = choose(Some(Version::V6), true, Host::Name("a".into()));
        assert_eq!(none, Err("it has no ipv6 address that can be pinged".into()));
        let none = choose(Some(Version::V6), false, Host::Gateway);
        assert_eq!(none, Err("this host has no ipv6 default gateway".into()));
    }

    #[test]
    fn every_name_gets_its_own_answer() {
        let stop = Stop::listen().unwrap();
        let names: Vec<String> = (1..=200).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let answers = resolve(&names, soon(Duration::from_secs(60)), &stop, |name| {
            if name == "7" { Err(io::Error::other("no such name")) } else { Ok(port(name.parse().unwrap())) }
        });
        for (at, answer) in answers.iter().enumerate() {
            match at + 1 {
                7 => assert_eq!(answer, &Err("no such name".to_owned())),
                n => assert_eq!(answer, &Ok(port(u16::try_from(n).unwrap()))),
            }
        }
    }

    #[test]
    fn a_name_that_hangs_holds_up_no_other_and_not_the_run() {
        let stop = Stop::listen().unwrap();
        let begin = Instant::now();
        let answers = resolve(&["hangs", "answers"], soon(Duration::from_millis(300)), &stop, |name| {
            if name == "hangs" {
                loop {
                    thread::park();
                }
            }
            Ok(port(1))
        });
        assert_eq!(answers, [Err("the resolver did not answer in time".to_owned()), Ok(port(1))]);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }

    #[test]
    fn no_more_threads_than_the_bound_and_as_many() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let stop = Stop::listen().unwrap();
        // Each waits until the bound is reached, so that all run at once or the deadline passes.
        let names = vec!["x"; THREADS * 3];
        let answers = resolve(&names, soon(Duration::from_secs(60)), &stop, |_| {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            while MOST.load(Ordering::SeqCst) < THREADS {
                thread::yield_now();
            }
            NOW.fetch_sub(1, Ordering::SeqCst);
            Ok(port(1))
        });
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(MOST.load(Ordering::SeqCst), THREADS);
    }
}
