use super::counts::Counts;
use super::filter::Filter;
use super::socket::{Socket, States, TcpState};
use super::*;
use crate::config::yaml::decode;
use crate::exposition::Labels;

const BOTH: Walk = Walk::BothFamilies;
const IPV4: Walk = Walk::OneFamily(IpFamily::Ipv4);
const IPV6: Walk = Walk::OneFamily(IpFamily::Ipv6);
const MISSING: Error = Error::Refused("list TCP sockets", Errno::ENOENT);
const INTERRUPTED: Error = Error::Interrupted("sockets changed");

/// The settings of a section, with these labels in its file; or what is wrong.
fn load(section: &str, labels: Labels) -> Result<Settings, Vec<String>> {
    let header = Header { labels, ..Header::new(MODULE.name) };
    let read = decode(section, |root, problems| {
        let mut section = Section::open("netstat", root, problems)?;
        let settings = Settings::read(&mut section, &header);
        section.finish();
        settings
    });
    read.map_err(|found| {
        found.iter().map(|p| format!("{}:{}: {} = {}", p.line, p.column, p.message, p.cure)).collect()
    })
}

fn settings(section: &str) -> Settings {
    load(section, Labels::new()).unwrap()
}

/// An established socket.
fn one(family: IpFamily, local_port: u16, remote_port: u16) -> Socket {
    let state = TcpState::Established;
    Socket { family, state, local_port, remote_port, local_address: [0; 16], queue: 0, limit: 0 }
}

const ONE_IPV4: fn() -> Socket = || one(IpFamily::Ipv4, 22, 40_000);
const ONE_IPV6: fn() -> Socket = || one(IpFamily::Ipv6, 22, 40_000);

/// A step of a kernel's script: the request, whether it has a filter, and the answer.
type Step = (Walk, bool, Result<Socket, Error>);

/// What is counted with a kernel that gives these answers, each to the request before it.
fn scripted<'s>(settings: &'s Settings, script: &[Step]) -> Result<Tally<'s>, Error> {
    let mut script = script.iter();
    let counted = count(settings, |request, tally| {
        let (walk, filtered, answer) = script.next().expect("a request beyond the script");
        assert_eq!((request.walk, request.filter.is_some()), (*walk, *filtered));
        // What a dump has counted before it fails is forgotten.
        let socket = answer.as_ref().map_or_else(|_| ONE_IPV6(), |socket| *socket);
        tally.count(&socket);
        answer.clone().map(drop)
    });
    assert_eq!(script.next(), None, "not asked");
    counted
}

fn counts(sockets: &[Socket]) -> Counts {
    let mut counts = Counts::default();
    for socket in sockets {
        counts.count(socket.family, socket.state, 1);
    }
    counts
}

#[test]
fn one_walk_where_the_kernel_grants_it() {
    let all = settings("{}");
    let tally = scripted(&all, &[(BOTH, false, Ok(ONE_IPV4()))]).unwrap();
    assert_eq!(tally.totals, counts(&[ONE_IPV4()]));
}

#[test]
fn a_request_for_each_family_where_it_does_not() {
    let all = settings("{}");
    let script = [
        (BOTH, false, Err(MISSING)),
        (IPV4, false, Err(INTERRUPTED)),
        (IPV4, false, Ok(ONE_IPV4())),
        (IPV6, false, Err(INTERRUPTED)),
        (IPV6, false, Ok(ONE_IPV6())),
    ];
    assert_eq!(scripted(&all, &script).unwrap().totals, counts(&[ONE_IPV4(), ONE_IPV6()]));
}

#[test]
fn no_ipv6_is_zeros_but_no_ipv4_is_an_error() {
    let all = settings("{}");
    let ipv4 = [(BOTH, false, Err(MISSING)), (IPV4, false, Ok(ONE_IPV4()))];
    let then = |answer| [ipv4.as_slice(), &[(IPV6, false, Err(answer))]].concat();
    assert_eq!(scripted(&all, &then(MISSING)).unwrap().totals, counts(&[ONE_IPV4()]));
    let denied = Error::Refused("list TCP sockets", Errno::EPERM);
    assert_eq!(scripted(&all, &then(denied.clone())), Err(denied));
    assert_eq!(scripted(&all, &[(BOTH, false, Err(MISSING)), (IPV4, false, Err(MISSING))]), Err(MISSING));
}

#[test]
fn where_the_kernel_refuses_the_filter_it_lists_everything() {
    let port = settings("{totals: false, local_ports: [22]}");
    let refused = Error::Refused("list TCP sockets", Errno::EINVAL);
    let good = [(BOTH, true, Ok(ONE_IPV4()))];
    let old = [
        (BOTH, true, Err(refused.clone())),
        (IPV4, true, Err(refused.clone())),
        (BOTH, false, Ok(ONE_IPV4())),
    ];
    for script in [&good[..], &old] {
        let tally = scripted(&port, script).unwrap();
        assert_eq!(port.local_ports.sum(port.local_ports.ranges()[0], &tally.local), counts(&[ONE_IPV4()]));
    }
    let none = [
        (BOTH, true, Err(refused.clone())),
        (IPV4, true, Err(refused.clone())),
        (BOTH, false, Err(refused.clone())),
        (IPV4, false, Err(refused.clone())),
    ];
    assert_eq!(scripted(&port, &none), Err(refused));
}

#[test]
fn an_interrupted_list_is_repeated_but_not_for_ever() {
    let all = settings("{}");
    let interrupted = || (BOTH, false, Err(INTERRUPTED));
    let good = (BOTH, false, Ok(ONE_IPV4()));
    let twice = [interrupted(), interrupted(), interrupted(), good];
    assert_eq!(scripted(&all, &twice).unwrap().totals, counts(&[ONE_IPV4()]));
    let tries: Vec<_> = std::iter::repeat_with(interrupted).take(ATTEMPTS).collect();
    assert_eq!(scripted(&all, &tries), Err(INTERRUPTED));
}

#[test]
fn other_errors_end_it_at_once() {
    for error in [Error::TimedOut, Error::Stopped, Error::Malformed("x".into())] {
        assert_eq!(scripted(&settings("{}"), &[(BOTH, false, Err(error.clone()))]), Err(error));
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

/// The samples of a section's families, of these sockets.
fn exposed(section: &str, sockets: &[Socket]) -> Vec<(String, f64)> {
    let settings = settings(section);
    let mut tally = Tally::new(&settings);
    sockets.iter().for_each(|socket| tally.count(socket));
    let mut samples = Vec::new();
    for family in families::families(&tally) {
        for sample in family.samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            samples.push((format!("{} {}", family.name, labels.join(",")), sample.value));
        }
    }
    samples
}

#[test]
fn every_family_and_state_is_exposed_zeros_included() {
    let samples = exposed("{}", &[ONE_IPV6()]);
    assert_eq!(samples.len(), 23);
    let nonzero: Vec<_> = samples.iter().filter(|(_, value)| *value != 0.0).collect();
    assert_eq!(nonzero, [&("netstat_tcp_connections family=ipv6,state=established".to_owned(), 1.0)]);
    assert_eq!(samples[22], ("count_netstat_wait_connections ".to_owned(), 0.0));
}

#[test]
fn just_what_is_asked_for_is_exposed() {
    let listening = Socket { state: TcpState::Listen, remote_port: 0, queue: 3, limit: 2, ..ONE_IPV4() };
    let sockets = [ONE_IPV4(), listening, one(IpFamily::Ipv6, 5432, 22)];
    let names = |section: &str| -> Vec<String> {
        let samples = exposed(section, &sockets).into_iter();
        samples.map(|(name, value)| format!("{name} {value}").replace("netstat_tcp_", "")).collect()
    };
    assert_eq!(
        names("states: [listen]"),
        ["connections family=ipv4,state=listen 1", "connections family=ipv6,state=listen 0"]
    );
    // All four states with WAIT in their names make the count.
    let waits = names("states: [close_wait, time_wait, fin_wait2, fin_wait1]");
    assert_eq!((waits.len(), waits[8].as_str()), (9, "count_netstat_wait_connections  0"));
    assert_eq!(names("states: [close_wait, time_wait, fin_wait2]").len(), 6);
    assert_eq!(
        names("{totals: false, states: [established, listen], local_ports: [22-5000], remote_ports: [22]}"),
        [
            "local_port_connections port=22-5000,family=ipv4,state=established 1",
            "local_port_connections port=22-5000,family=ipv4,state=listen 1",
            "local_port_connections port=22-5000,family=ipv6,state=established 0",
            "local_port_connections port=22-5000,family=ipv6,state=listen 0",
            "remote_port_connections port=22,family=ipv4,state=established 0",
            "remote_port_connections port=22,family=ipv6,state=established 1",
        ]
    );
    assert_eq!(
        names("{totals: false, listeners: [22, 23]}"),
        [
            "listen_sockets listener=22 1",
            "listen_sockets listener=23 0",
            "listen_queue_connections listener=22 3",
            "listen_queue_connections listener=23 0",
            "listen_queue_limit_connections listener=22 2",
            "listen_queue_limit_connections listener=23 0",
            "listen_queue_fill_ratio listener=22 1",
            "listen_queue_fill_ratio listener=23 0",
        ]
    );
    assert_eq!(names("{totals: false, counters: true}"), [""; 0]);
}

#[test]
fn the_kernel_is_asked_for_no_more_than_is_needed() {
    let states = |words: &[TcpState]| words.iter().fold(States::NONE, |all, state| all.with(*state));
    use TcpState::{Listen, SynRecv, TimeWait};
    for (section, listed, filtered) in [
        ("{}", States::ALL, false),
        ("states: [time_wait]", states(&[TimeWait]), false),
        ("{states: [time_wait], listeners: [22]}", states(&[TimeWait, Listen]), false),
        ("{totals: false, listeners: [22]}", states(&[Listen]), true),
        ("{totals: false, states: [syn_recv], local_ports: [22]}", states(&[SynRecv]), true),
        ("{totals: false, local_ports: [1-65535]}", States::ALL, true),
    ] {
        let settings = settings(section);
        assert_eq!((settings.listed(), settings.filter.is_some()), (listed, filtered), "{section}");
    }
    // Bit by number; a connection that is half open may have either of two.
    assert_eq!(States::ALL.mask(), 0x1ffe);
    assert_eq!(states(&[SynRecv]).mask(), 1 << 3 | 1 << 12);
    assert_eq!(states(&[TimeWait, Listen]).mask(), 1 << 6 | 1 << 10);
    assert!(!settings("{totals: false, counters: true}").needs_list());
    let of =
        |local: &str| settings(&format!("{{totals: false, local_ports: {local}, listeners: [9]}}")).filter;
    let range = |first, last| ports::PortRange { first, last };
    assert_eq!(of("[5-7, 8]"), Filter::new(&[range(5, 8)], &[], &[range(9, 9)]));
}

#[test]
fn what_may_be_written() {
    for text in [
        "{}",
        "{states: [established, syn_sent, syn_recv, fin_wait1, fin_wait2, time_wait, close, close_wait, last_ack, listen, closing]}",
        "{local_ports: [22, 8000-8100, '443', 1-65535], remote_ports: [22, 5432]}",
        "{totals: false, listeners: [443, 127.0.0.1:443, '[::1]:443', '[::]:443', 8000-8100, 0.0.0.0:1-10]}",
        "{totals: false, counters: true, netns: web}",
        "netns: /proc/1/ns/net",
    ] {
        assert_eq!(load(text, Labels::new()).err(), None, "{text}");
    }
}

#[test]
fn labels_of_the_file_and_of_the_module_do_not_meet() {
    let wrong = |section: &str, label: &'static str| {
        load(section, vec![(label.into(), "x".into())]).err().unwrap_or_default().len()
    };
    assert_eq!((wrong("{}", "family"), wrong("{}", "state")), (1, 1));
    assert_eq!((wrong("{}", "port"), wrong("local_ports: [22]", "port")), (0, 1));
    assert_eq!((wrong("{}", "listener"), wrong("listeners: [22]", "listener")), (0, 1));
    assert_eq!((wrong("{}", "netns"), wrong("netns: web", "netns")), (0, 1));
    assert_eq!(wrong("{totals: false, counters: true}", "family"), 0);
}

#[test]
fn entries_are_bounded() {
    let list = |n: u32| format!("local_ports: {:?}", (1..=n).collect::<Vec<_>>());
    assert_eq!(settings(&list(1000)).local_ports.ranges().len(), 1000);
    let wrong = load(&list(1001), Labels::new()).unwrap_err();
    assert!(wrong[0].starts_with("1:14: there are 1001 entries, more than 1000"), "{wrong:?}");
}
