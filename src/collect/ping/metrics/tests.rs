use super::super::target::{Host, Wanted};
use super::*;
use crate::exposition::{prove, render};
use crate::textfile;

fn target(text: &str, wanted: Wanted) -> Target {
    Target {
        text: text.into(),
        host: Host::Name(text.into()),
        wanted,
        all_addresses: false,
        labels: Vec::new(),
    }
}

/// [`run_with`] what is chosen by default.
fn run(targets: &[(&Target, Option<&str>, Tally)], previous: &State) -> (Vec<Family>, State) {
    run_with(&Choice::default(), targets, previous)
}

/// One run's families and state, of targets with an address each, or none; the families keep every rule.
fn run_with(
    choice: &Choice,
    targets: &[(&Target, Option<&str>, Tally)],
    previous: &State,
) -> (Vec<Family>, State) {
    let address = |text: &str| Address { ip: text.parse().unwrap(), zone: 0 };
    let resolved: Vec<Resolved<'_>> = targets
        .iter()
        .map(|(target, found, _)| Resolved {
            target,
            addresses: found.map(|found| vec![address(found)]).ok_or_else(|| "no".to_owned()),
        })
        .collect();
    let tallied: Vec<Tallied<'_>> = targets
        .iter()
        .filter_map(|(target, found, tally)| Some((*target, address((*found)?), tally)))
        .collect();
    let (families, state) = super::families(choice, &resolved, &tallied, previous);
    let mut text = String::new();
    render(&families, &mut text);
    assert!(prove(text.as_bytes()).is_ok(), "{:?}", prove(text.as_bytes()));
    (families, state)
}

fn tally(sent: u64, times: &[Duration]) -> Tally {
    let mut tally = Tally::default();
    (tally.sent, tally.received, tally.times) = (sent, times.len() as u64, times.to_vec());
    tally
}

/// The values of the series whose names begin with `name`.
fn values(families: &[Family], name: &str) -> Vec<f64> {
    let samples = families.iter().flat_map(|family| &family.samples);
    samples.filter(|sample| sample.name.starts_with(name)).map(|sample| sample.value).collect()
}

#[test]
fn bounds_rise() {
    assert!(BUCKETS.is_sorted_by(|lower, upper| lower < upper), "{BUCKETS:?}");
}

#[test]
fn what_was_probed_has_a_histogram_answered_or_not() {
    let a = target("a", None);
    let (families, state) = run(&[(&a, Some("192.0.2.1"), tally(5, &[]))], &State::default());
    assert_eq!(values(&families, "ping_rtt_seconds"), [0.0; 18]);
    let times = [80_000, 40_000_000, 41_000_000].map(Duration::from_nanos);
    let (families, _) = run(&[(&a, Some("192.0.2.1"), tally(5, &times))], &state);
    let [one, three] = [1.0, 3.0];
    let buckets = [[one; 8].as_slice(), &[three; 8]].concat();
    assert_eq!(values(&families, "ping_rtt_seconds_bucket"), buckets);
    assert_eq!(values(&families, "ping_rtt_seconds_sum"), [0.081_08]);
    assert_eq!(values(&families, "ping_rtt_seconds_count"), [3.0]);
    assert_eq!(values(&families, "ping_packets_sent_total"), [10.0]);
    // One that this host had no room to send a probe to is not lost, and not probed.
    let (families, _) = run(&[(&a, Some("192.0.2.1"), tally(0, &[]))], &state);
    assert_eq!(values(&families, "ping_rtt"), [0.0; 0]);
}

#[test]
fn counters_wait_for_a_target_that_has_no_numbers() {
    let [a, b] = ["a.example", "b/c"].map(|name| target(name, None));
    let (both, one) = (tally(5, &[]), tally(5, &[Duration::from_millis(1)]));
    let [at_a, at_b] = [Some("192.0.2.1"), Some("192.0.2.2")];
    let all = [(&a, at_a, both.clone()), (&b, at_b, one.clone())];
    let (_, mut state) = run(&all, &State::default());
    state.set("nonsense", u64::MAX);
    for away in [None, at_b] {
        // Either it has no address, or no probe to it found room.
        let (families, after) = run(&[(&a, at_a, both.clone()), (&b, away, tally(0, &[]))], &state);
        assert_eq!(values(&families, "ping_packets_sent_total"), [10.0]);
        let (families, after) = run(&all, &after);
        assert_eq!(values(&families, "ping_packets_sent_total"), [15.0, 10.0]);
        assert_eq!(values(&families, "ping_rtt_seconds_count"), [0.0, 2.0]);
        // One that is no longer in the file is forgotten.
        let (_, after) = run(&all[..1], &after);
        let keys: Vec<&str> = after.iter().map(|(key, _)| key).collect();
        assert!(keys.iter().all(|key| key.starts_with("a.example/192.0.2.1/ping_")), "{keys:?}");
    }
}

#[test]
fn each_of_a_name_s_addresses_goes_on_when_its_turn_comes() {
    let a = target("a", None);
    let mut state = State::default();
    for turn in 1..4 {
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            let (families, after) = run(&[(&a, Some(address), tally(5, &[]))], &state);
            assert_eq!(values(&families, "ping_packets_sent_total"), [5.0 * f64::from(turn)]);
            state = after;
        }
    }
}

#[test]
fn old_addresses_are_few() {
    let addresses: Vec<String> = (1..100).map(|n| format!("192.0.2.{n}")).collect();
    let targets: Vec<Target> = (0..200).map(|n| target(&format!("n{n}"), None)).collect();
    let mut state = State::default();
    for address in &addresses[..20] {
        let all: Vec<_> =
            targets.iter().map(|target| (target, Some(address.as_str()), tally(1, &[]))).collect();
        state = run(&all, &state).1;
    }
    // Of each that is not 0 only what was sent.
    let series = |of: &str| state.under(of).filter(|(key, _)| key.ends_with("sent_total")).count();
    assert_eq!(series("n0"), 1 + OLD_OF_ONE);
    let all: usize = targets.iter().map(|target| series(&target.text)).sum();
    assert_eq!(all, targets.len() + OLD_OF_ALL);
}

/// The sizes of the header and the families of 500 targets, after years in which each answered in all times there
/// are.
fn sizes_of_500(choice: &Choice, address: impl Fn(u32) -> String) -> [usize; 2] {
    let targets: Vec<Target> = (0..500).map(|n| target(&address(n), None)).collect();
    let in_each_bucket: Vec<Duration> = BUCKETS.iter().copied().chain([Duration::from_secs(6)]).collect();
    let all: Vec<_> = targets
        .iter()
        .map(|target| {
            let mut tally = tally(20, &in_each_bucket);
            (tally.duplicates, tally.late, tally.out_of_order, tally.refused) = (1, 1, 1, 1);
            (tally.errors, tally.hop_limit) = ([1; 5], Some(64));
            (target, Some(target.text.as_str()), tally)
        })
        .collect();
    let (_, mut state) = run_with(choice, &all, &State::default());
    let grown: Vec<(String, Vec<u64>)> = state
        .iter()
        .map(|(key, numbers)| {
            // Of a histogram's numbers, the bounds and the places of buckets stay what they are.
            let is_total = |at: usize| numbers.len() == 1 || at % 2 == 1;
            let years = |(at, n): (usize, &u64)| if is_total(at) { n * 10_000_000 } else { *n };
            (key.to_owned(), numbers.iter().enumerate().map(years).collect())
        })
        .collect();
    grown.into_iter().for_each(|(key, numbers)| state.set_numbers(key, numbers));
    let (families, module) = run_with(choice, &all, &state);
    assert_eq!(values(&families, "ping_rtt_seconds_count")[499], 160_000_016.0);
    let mut state = State::default();
    state.put("module", &module);
    let header = textfile::Header {
        state,
        ..textfile::Header::new(textfile::Kind::Collector, "/etc/promdrop/collectors.d", "ping.prom")
    };
    let [mut head, mut body] = [String::new(), String::new()];
    header.render(&mut head);
    render(&families, &mut body);
    [head.len(), body.len()]
}

#[test]
fn thousands_of_targets_have_room() {
    let short = |n| format!("10.20.{}.{}", n / 200, n % 200);
    let all = Choice::default();
    let [head, body] = sizes_of_500(&all, short).map(|size| size * 7);
    assert!(head < 2_500_000 && head + body < textfile::MAX_FILE, "{head} + {body}");
    let without_errors = Choice { icmp_errors: false, ..Choice::default() };
    let [head, body] = sizes_of_500(&without_errors, short).map(|size| size * 9);
    assert!(head < 2_500_000 && head + body < textfile::MAX_FILE, "{head} + {body}");
    // With the longest addresses there is room for fewer, and what is too much for the file is still not too much for a
    // header, of 4 MiB.
    let [head, body] = sizes_of_500(&all, |n| format!("2001:db8:1111:2222:3333:4444:5555:{:x}", 0x1000 + n));
    assert!((head + body) * 5 < textfile::MAX_FILE, "{head} + {body}");
    assert!(head * 8 < 5 << 19, "{head}");
}

#[test]
fn what_is_not_chosen_is_not_there() {
    let a = target("a", None);
    let mut answered = tally(5, &[Duration::from_millis(10), Duration::from_millis(26)]);
    (answered.hop_limit, answered.errors, answered.late) = (Some(61), [0, 0, 0, 3, 0], 1);
    let all = [(&a, Some("192.0.2.1"), answered)];
    let count = |choice: &Choice, name| values(&run_with(choice, &all, &State::default()).0, name).len();
    let default = Choice::default();
    assert_eq!(
        [count(&default, "ping_icmp_errors_total"), count(&default, "ping_rtt_summary_seconds")],
        [5, 0]
    );
    let quantiles = vec![Quantile::new(0.5).unwrap()];
    let other = Choice { buckets: vec![Duration::from_millis(20)], quantiles, icmp_errors: false };
    let (families, _) = run_with(&other, &all, &State::default());
    assert_eq!(values(&families, "ping_rtt_seconds_bucket"), [1.0, 2.0]);
    assert_eq!(values(&families, "ping_rtt_summary_seconds"), [0.018, 0.036, 2.0]);
    assert_eq!(values(&families, "ping_icmp_errors_total"), [0.0; 0]);
    assert_eq!(values(&families, "ping_packets_late_total"), [1.0]);
    assert_eq!(values(&families, "ping_rtt_jitter_seconds"), [0.001]);
    assert_eq!(values(&families, "ping_reply_hop_limit"), [61.0]);
    assert_eq!(count(&Choice { buckets: Vec::new(), ..other }, "ping_rtt_seconds"), 0);
}

#[test]
fn all_addresses_of_a_target_have_series_of_their_own() {
    let a = Target { all_addresses: true, ..target("a", None) };
    let addresses = ["192.0.2.1", "2001:db8::1"].map(|ip| Address { ip: ip.parse().unwrap(), zone: 0 });
    let resolved = [Resolved { target: &a, addresses: Ok(addresses.to_vec()) }];
    let [one, two] = [tally(5, &[]), tally(3, &[])];
    let tallied = [(&a, addresses[0], &one), (&a, addresses[1], &two)];
    let (families, state) = super::families(&Choice::default(), &resolved, &tallied, &State::default());
    assert_eq!(values(&families, "ping_packets_sent_total"), [5.0, 3.0]);
    assert_eq!(values(&families, "ping_target_resolved"), [1.0]);
    // One of them is gone for a run.
    let (_, state) = super::families(&Choice::default(), &resolved, &tallied[..1], &state);
    let (families, _) = super::families(&Choice::default(), &resolved, &tallied, &state);
    assert_eq!(values(&families, "ping_packets_sent_total"), [15.0, 6.0]);
}
