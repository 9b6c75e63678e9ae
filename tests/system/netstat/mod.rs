//! The module netstat against the kernel, netstat and ss, over sockets held in every state.

mod churn;
mod counters;
mod listeners;
mod namespaces;
mod ports;

use std::fmt::Debug;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use promdrop::collect::netstat::counts::Counts;
use promdrop::collect::netstat::families::{CONNECTIONS, WAITING};
use promdrop::collect::netstat::netlink::{BUFFER, dump};
use promdrop::collect::netstat::socket::{IpFamily, Socket, States, TcpState};
use promdrop::collect::netstat::wire::{Request, Walk};
use promdrop::collect::netstat::{Error, MODULE};
use promdrop::collect::stop::Stop;
use promdrop::collect::trace::Trace;
use promdrop::collect::{Collection, Failure, Outcome, Run, State};
use promdrop::config::Header;
use promdrop::config::yaml::{Section, decode};
use promdrop::exposition::{prove, render};

use crate::support::need;
use crate::support::netns::in_fresh;
use crate::support::series::Series;
use crate::support::tcp::{Counted, Held, every_state, time_waits};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the module with this section as the runner does, in the namespace of the calling thread.
fn collect(section: &str, deadline: Instant, stop: &Stop) -> Result<Collection, Failure> {
    let header = Header::new(MODULE.name);
    let collector = decode(section, |root, problems| {
        let mut section = Section::open(MODULE.name, root, problems)?;
        let collector = (MODULE.read)(&mut section, &header);
        section.finish();
        collector
    });
    let previous = State::default();
    let run =
        Run { collector: "netstat", deadline, timeout: TIMEOUT, max_series: None, previous: &previous, stop };
    collector.unwrap().collect(&run, &mut Trace::default())
}

fn collect_now() -> Collection {
    collect("{}", Instant::now() + TIMEOUT, &Stop::listen().unwrap()).unwrap()
}

/// What the module publishes with this section.
#[track_caller]
fn series(section: &str) -> Series {
    let families = collect(section, Instant::now() + TIMEOUT, &Stop::listen().unwrap()).unwrap().families;
    let mut text = String::new();
    render(&families, &mut text);
    assert!(prove(text.as_bytes()).is_ok(), "{text}");
    Series::parse(&text)
}

/// The samples of `netstat_tcp_connections` that are not 0.
fn connections(collection: &Collection) -> Counted {
    let family = collection.families.iter().find(|family| family.name == CONNECTIONS.name).unwrap();
    let mut counted = Counted::new();
    for sample in &family.samples {
        let [(_, family), (_, state)] = sample.labels.as_slice() else { panic!("{sample:?}") };
        if sample.value != 0.0 {
            counted.insert((family.to_string(), state.to_string()), sample.value as u32);
        }
    }
    counted
}

fn wait_connections(collection: &Collection) -> f64 {
    let family = collection.families.iter().find(|family| family.name == WAITING.name).unwrap();
    let [sample] = family.samples.as_slice() else { panic!("{family:?}") };
    sample.value
}

fn stdout(program: &str, args: &[&str]) -> String {
    need(program);
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `netstat -an` shows of TCP, in the words of promdrop's labels.
pub fn netstat() -> Counted {
    let mut counted = Counted::new();
    for line in stdout("netstat", &["-an"]).lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let family = match columns[0] {
            "tcp" => "ipv4",
            "tcp6" => "ipv6",
            _ => continue,
        };
        *counted.entry((family.to_owned(), columns[5].to_lowercase())).or_default() += 1;
    }
    counted
}

/// What ss shows of the sockets that `filter` names.
fn ss(filter: &str) -> Counted {
    let mut counted = Counted::new();
    for (family, option) in [("ipv4", "-4"), ("ipv6", "-6")] {
        for line in stdout("ss", &["-H", "-tan", option, filter]).lines() {
            let state = match line.split_whitespace().next().unwrap() {
                "ESTAB" => "established".to_owned(),
                "FIN-WAIT-1" => "fin_wait1".to_owned(),
                "FIN-WAIT-2" => "fin_wait2".to_owned(),
                word => word.to_lowercase().replace('-', "_"),
            };
            *counted.entry((family.to_owned(), state)).or_default() += 1;
        }
    }
    counted
}

fn dumped(walk: Walk, buffer: &mut [u8]) -> Result<Counts, Error> {
    let request = Request { walk, states: States::ALL, filter: None };
    let mut counts = Counts::default();
    let deadline = Instant::now() + TIMEOUT;
    dump(&request, deadline, &Stop::listen().unwrap(), buffer, &mut |socket| {
        counts.count(socket.family, socket.state, 1);
    })?;
    Ok(counts)
}

fn nonzero(counts: Counts) -> Counted {
    let all = IpFamily::ALL.into_iter().flat_map(|family| TcpState::ALL.map(|state| (family, state)));
    all.map(|(family, state)| ((family.word().to_owned(), state.word().to_owned()), counts.of(family, state)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// Waits for `found` to become `expected`: an acknowledgement may be up to 40 ms late, and nothing tells of it.
fn settles<T: PartialEq + Debug>(expected: &T, mut found: impl FnMut() -> T) {
    let limit = Instant::now() + TIMEOUT;
    loop {
        let now = found();
        if now == *expected {
            return;
        }
        assert!(Instant::now() < limit, "found {now:#?}\nwhere there are {expected:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn settled(held: Held) -> Held {
    settles(&held.expected, || connections(&collect_now()));
    held
}

#[test]
fn every_state_is_counted_to_the_socket() {
    in_fresh(|| {
        let held = settled(every_state());
        let states: std::collections::BTreeSet<&str> =
            held.expected.keys().map(|(_, state)| state.as_str()).collect();
        // All but `close`, which no socket on the kernel's tables has.
        assert_eq!(states.len(), TcpState::ALL.len() - 1, "{states:?}");
        assert_eq!(netstat(), held.expected);
        assert_eq!(ss(""), held.expected);
        assert_eq!(connections(&collect_now()), held.expected);
    });
}

#[test]
fn the_wait_count_is_that_of_the_pipeline() {
    in_fresh(|| {
        let _held = settled(every_state());
        let pipeline = stdout("sh", &["-c", "netstat -an | grep -i wait | wc -l"]);
        let ours = wait_connections(&collect_now());
        assert_eq!(ours, pipeline.trim().parse::<f64>().unwrap());
        assert!(ours > 0.0);
    });
}

#[test]
fn both_types_of_request_count_alike() {
    in_fresh(|| {
        let held = settled(every_state());
        let mut buffer = vec![0; BUFFER];
        let both = dumped(Walk::BothFamilies, &mut buffer).unwrap();
        let ipv4 = dumped(Walk::OneFamily(IpFamily::Ipv4), &mut buffer).unwrap();
        let ipv6 = dumped(Walk::OneFamily(IpFamily::Ipv6), &mut buffer).unwrap();
        assert_eq!(both, ipv4 + ipv6);
        assert!(nonzero(ipv4).keys().all(|(family, _)| family == "ipv4"));
        assert!(nonzero(ipv6).keys().all(|(family, _)| family == "ipv6"));
        assert_eq!(nonzero(both), held.expected);
    });
}

#[test]
fn a_list_of_many_datagrams_is_whole() {
    in_fresh(|| {
        // About 100 bytes each: several times the buffer.
        let held = settled(time_waits(2000));
        assert_eq!(netstat(), held.expected);
    });
}

#[test]
fn no_sockets_are_zeros() {
    in_fresh(|| {
        let collection = collect_now();
        assert_eq!(connections(&collection), Counted::new());
        assert_eq!(wait_connections(&collection), 0.0);
        assert_eq!(collection.families[0].samples.len(), 22);
    });
}

#[test]
fn an_unprivileged_user_sees_the_same() {
    in_fresh(|| {
        let held = settled(every_state());
        // These change the calling thread alone, which ends with the test.
        use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
        let (nobody, nogroup) = (Uid::from_raw(65534), Gid::from_raw(65534));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(nogroup, nogroup, nogroup).unwrap();
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let refused = std::fs::read("/etc/shadow").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "still privileged");
        assert_eq!(connections(&collect_now()), held.expected);
    });
}

#[test]
fn a_deadline_that_is_past_is_a_timeout() {
    in_fresh(|| {
        let failure = collect("{}", Instant::now(), &Stop::listen().unwrap()).unwrap_err();
        assert_eq!(failure.outcome, Outcome::Timeout);
        assert!(failure.message.contains("`timeout`"), "{}", failure.message);
    });
}

#[test]
fn being_told_to_end_ends_it() {
    in_fresh(|| {
        let stop = Stop::listen().unwrap();
        // Blocked, so that only `stop` sees it, and for this thread alone.
        raise(Signal::SIGTERM).unwrap();
        let failure = collect("{}", Instant::now() + TIMEOUT, &stop).unwrap_err();
        assert!(failure.stopped, "{failure:?}");
    });
}

#[test]
fn a_datagram_that_was_cut_is_refused() {
    in_fresh(|| {
        let _held = time_waits(1);
        let error = dumped(Walk::BothFamilies, &mut [0; 64]).unwrap_err();
        assert_eq!(error, Error::Malformed("a datagram longer than 64 bytes".to_owned()));
    });
}
