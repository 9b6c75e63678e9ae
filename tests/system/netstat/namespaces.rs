//! Another network namespace, by name and by path, and those that can't be entered.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::*;
use crate::support::host::Host;
use crate::support::mounts::{in_private, mount_tmpfs};

/// Runs `body` in a fresh namespace, beside another called `web` that holds sockets in every state and a listener on
/// 127.0.0.1:8080. What ss says there and here is `body`'s to ask. `/run` is the test's own.
fn beside_web<T: Send>(body: impl FnOnce(&Counted) -> T + Send) -> T {
    in_private(|| {
        mount_tmpfs("mode=0755", Path::new("/run"));
        stdout("ip", &["netns", "add", "web"]);
        in_fresh(|| {
            let (is_there, there) = mpsc::channel();
            let (done, is_done) = mpsc::channel::<()>();
            thread::scope(|scope| {
                scope.spawn(move || {
                    setns(File::open("/run/netns/web").unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                    stdout("ip", &["link", "set", "lo", "up"]);
                    let mut held = settled(every_state());
                    let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
                    *held.expected.get_mut(&("ipv4".to_owned(), "listen".to_owned())).unwrap() += 1;
                    is_there.send(ss("")).unwrap();
                    assert_eq!(ss(""), held.expected);
                    // Until the body has ended, well or not.
                    let _ = is_done.recv();
                });
                let expected = there.recv().unwrap();
                let result = body(&expected);
                drop(done);
                result
            })
        })
    })
}

#[test]
fn a_name_or_a_path_is_looked_into_and_not_stayed_in() {
    beside_web(|expected| {
        let here = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = std::net::TcpStream::connect(here.local_addr().unwrap()).unwrap();
        for (namespace, label) in [("web", "web"), ("/run/netns/web", "/run/netns/web")] {
            let section =
                format!("{{netns: {namespace}, local_ports: [8080], listeners: [8080], counters: true}}");
            let there = series(&section);
            let with = |labels: &[(&'static str, &'static str)]| [labels, &[("netns", label)]].concat();
            for family in IpFamily::ALL.map(IpFamily::word) {
                for state in TcpState::ALL.map(TcpState::word) {
                    let count = expected.get(&(family.to_owned(), state.to_owned())).copied().unwrap_or(0);
                    let found = there
                        .value("netstat_tcp_connections", &with(&[("family", family), ("state", state)]));
                    assert_eq!(found, f64::from(count), "{family} {state}");
                }
            }
            // The one there, without the connection here.
            let port = |state| with(&[("port", "8080"), ("family", "ipv4"), ("state", state)]);
            assert_eq!(there.value("netstat_tcp_local_port_connections", &port("listen")), 1.0);
            assert_eq!(there.value("netstat_tcp_local_port_connections", &port("established")), 0.0);
            let listener = with(&[("listener", "8080")]);
            assert_eq!(there.value("netstat_tcp_listen_queue_connections", &listener), 0.0);
            // Each state was brought about by segments there; there are three here, and the answer to one.
            assert!(there.value("netstat_tcp_sent_segments_total", &with(&[])) > 100.0);
            let here = series("{listeners: [8080], counters: true}");
            assert_eq!(here.value("netstat_tcp_listen_queue_connections", &[("listener", "8080")]), 1.0);
            assert_eq!(here.value("netstat_tcp_sent_segments_total", &[]), 3.0);
        }
    });
}

#[test]
fn a_run_publishes_both_namespaces_side_by_side() {
    beside_web(|expected| {
        let host = Host::new();
        let yaml = "module: netstat\nnetstat:\n  netns: web\n";
        host.collector("netstat", "module: netstat\n").collector("netstat-web", yaml);
        host.run_well(&[]);
        let there = |state| {
            let labels = [("family", "ipv6"), ("state", state), ("netns", "web")];
            host.published("netstat-web").value("netstat_tcp_connections", &labels)
        };
        for state in ["listen", "time_wait", "close_wait"] {
            assert_eq!(there(state), f64::from(expected[&("ipv6".to_owned(), state.to_owned())]), "{state}");
        }
        assert_eq!(host.published("netstat").value("count_netstat_wait_connections", &[]), 0.0);
    });
}

/// Why it fails, with this namespace.
#[track_caller]
fn refusal(namespace: &str) -> String {
    let section = format!("{{netns: '{namespace}', counters: true}}");
    let failure = collect(&section, Instant::now() + TIMEOUT, &Stop::listen().unwrap()).unwrap_err();
    assert_eq!(failure.outcome, Outcome::Internal);
    failure.message
}

#[test]
fn what_can_not_be_entered_is_told_with_its_cure() {
    beside_web(|_| {
        let missing = "there is no network namespace /run/netns/db; `ip netns` lists them";
        assert_eq!(refusal("db"), missing);
        let absent = refusal("/run/absent");
        assert!(absent.starts_with("can't open the network namespace /run/absent: No such file"), "{absent}");
        fs::write("/run/file", "x").unwrap();
        mkfifo("/run/fifo", Mode::from_bits_truncate(0o600)).unwrap();
        for other in ["/run/file", "/run/fifo", "/run", "/dev/null", "/proc/self/ns/mnt"] {
            assert_eq!(refusal(other), format!("{other} is not a network namespace"));
        }
        // As `ip netns` leaves behind a name whose mount is gone.
        fs::write("/run/netns/gone", "").unwrap();
        assert_eq!(refusal("gone"), "/run/netns/gone is not a network namespace");

        // This changes the calling thread alone, and those that it starts.
        use rustix::thread::{Uid, set_thread_res_uid};
        let nobody = Uid::from_raw(65534);
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let denied = "may not enter the network namespace /run/netns/web: that takes CAP_SYS_ADMIN, and of a unit \
                      RestrictNamespaces=net";
        assert_eq!(refusal("web"), denied);
    });
}

/// Runs `body` in a thread that has these capabilities and no others.
fn with_capabilities<T: Send>(set: CapabilitySet, body: impl FnOnce() -> T + Send) -> T {
    let none = CapabilitySet::empty();
    let inside = || {
        set_capabilities(None, CapabilitySets { effective: set, permitted: set, inheritable: none }).unwrap();
        body()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap())
}

#[test]
fn the_namespace_of_a_process_takes_the_right_to_trace_it_and_a_name_does_not() {
    beside_web(|expected| {
        // A child is in the namespace of the thread that starts it; it ends with its input.
        let start = || {
            setns(File::open("/run/netns/web").unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
        };
        let mut process = thread::scope(|scope| scope.spawn(start).join().unwrap());
        let path = format!("/proc/{}/ns/net", process.id());
        let listening = |netns: &str| {
            let found = series(&format!("{{netns: '{netns}'}}"));
            let labels = [("family", "ipv4"), ("state", "listen"), ("netns", netns)];
            found.value("netstat_tcp_connections", &labels)
        };
        let there = f64::from(expected[&("ipv4".to_owned(), "listen".to_owned())]);

        let admin = CapabilitySet::SYS_ADMIN;
        let denied = format!(
            "may not open the network namespace {path}: that of another process takes CAP_SYS_PTRACE; a name in \
             /run/netns doesn't, and `ip netns attach` gives one"
        );
        assert_eq!(with_capabilities(admin, || refusal(&path)), denied);
        assert_eq!(with_capabilities(admin, || listening("web")), there);
        assert_eq!(with_capabilities(admin | CapabilitySet::SYS_PTRACE, || listening(&path)), there);
        // As the message says.
        stdout("ip", &["netns", "attach", "attached", &process.id().to_string()]);
        assert_eq!(with_capabilities(admin, || listening("attached")), there);
        drop(process.stdin.take());
        assert!(process.wait().unwrap().success());
    });
}

#[test]
fn deadline_and_end_hold_there_too() {
    beside_web(|_| {
        let stop = Stop::listen().unwrap();
        let late = collect("netns: web", Instant::now(), &stop).unwrap_err();
        assert_eq!(late.outcome, Outcome::Timeout);
        raise(Signal::SIGTERM).unwrap();
        let ended = collect("netns: web", Instant::now() + TIMEOUT, &stop).unwrap_err();
        assert!(ended.stopped, "{ended:?}");
    });
}
