use proptest::prelude::*;

use super::*;
use crate::exposition::{Kind, prove, render};

const SENT: Descriptor = Descriptor { name: "x_sent_total", help: "S.", kind: Kind::Counter };
const TIMES: Histogram<'static> = Histogram {
    family: Descriptor { name: "x_seconds", help: "T.", kind: Kind::Histogram },
    bounds: &[Duration::from_micros(250), Duration::from_secs(1)],
};
/// The same in another version.
const FINER: Histogram<'static> = Histogram {
    bounds: &[Duration::from_micros(250), Duration::from_millis(1), Duration::from_secs(1)],
    ..TIMES
};

fn labels(host: &str) -> Labels {
    vec![("host".into(), host.to_owned().into())]
}

/// A run that adds to both, and what it publishes, which keeps every rule.
#[track_caller]
fn run(previous: &State, histogram: &Histogram<'_>, n: u64, times: &[Duration]) -> (Vec<Family>, State) {
    let mut totals = Totals::after(previous);
    totals.add(&SENT, "a", labels("a"), n);
    totals.observe(histogram, "a", &labels("a"), times);
    let (families, state) = totals.finish();
    let mut text = String::new();
    render(&families, &mut text);
    assert!(prove(text.as_bytes()).is_ok(), "{:?}\n{text}", prove(text.as_bytes()));
    (families, state)
}

fn text(families: &[Family]) -> String {
    let mut text = String::new();
    render(families, &mut text);
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn values(families: &[Family]) -> Vec<f64> {
    families.iter().flat_map(|family| &family.samples).map(|sample| sample.value).collect()
}

/// What the next run reads of `state`.
fn read_back(state: &State) -> State {
    State::parse(&state.render()).unwrap()
}

#[test]
fn each_time_is_in_its_bucket_and_all_go_on() {
    let micros = |all: &[u64]| all.iter().map(|n| Duration::from_micros(*n)).collect::<Vec<_>>();
    let (_, state) = run(&State::default(), &TIMES, 3, &micros(&[0, 250, 251]));
    let (families, _) = run(&read_back(&state), &TIMES, 2, &micros(&[1_000_000, 5_000_000]));
    let expected = "x_seconds_bucket{host=\"a\",le=\"0.00025\"} 2\n\
                    x_seconds_bucket{host=\"a\",le=\"1\"} 4\n\
                    x_seconds_bucket{host=\"a\",le=\"+Inf\"} 5\n\
                    x_seconds_sum{host=\"a\"} 6.000501\n\
                    x_seconds_count{host=\"a\"} 5\n\
                    x_sent_total{host=\"a\"} 5\n";
    assert_eq!(text(&families), expected);
}

#[test]
fn nothing_seen_is_all_zeros() {
    let (families, state) = run(&State::default(), &TIMES, 0, &[]);
    assert_eq!(values(&families), [0.0; 6]);
    assert_eq!(values(&run(&read_back(&state), &TIMES, 0, &[]).0), [0.0; 6]);
}

#[test]
fn a_million_runs_add_up_to_the_last_nanosecond() {
    // As floats, added up one by one, these would be off by some microseconds.
    let times = [Duration::from_nanos(100_000_001), Duration::from_nanos(33_333)];
    let mut state = State::default();
    for round in 0..1000 {
        // Most of a run's time is the making of samples, which the rounds' last runs look at.
        let mut counted = Counted::read(state.numbers("a/x_seconds").unwrap_or_default(), TIMES.bounds)
            .unwrap_or_else(|| Counted::nothing(TIMES.bounds));
        let mut sent = state.get("a/x_sent_total");
        for _ in 1..1000 {
            sent = sent.saturating_add(5);
            times.iter().for_each(|time| counted.add(*time, TIMES.bounds));
            counted = Counted::read(&counted.numbers(TIMES.bounds), TIMES.bounds).unwrap();
        }
        state.set("a/x_sent_total", sent);
        state.set_numbers("a/x_seconds", counted.numbers(TIMES.bounds));
        let (families, next) = run(&read_back(&state), &TIMES, 5, &times);
        let runs = f64::from((round + 1) * 1000);
        let sum = f64::from(round + 1) * 1000.0 * 100_033_334.0 / 1e9;
        assert_eq!(values(&families), [runs, 2.0 * runs, 2.0 * runs, sum, 2.0 * runs, 5.0 * runs]);
        state = next;
    }
    assert_eq!(state.get("a/x_sent_total"), 5_000_000);
    let numbers = state.numbers("a/x_seconds").unwrap();
    assert_eq!(numbers[1..], [100_033_334_000_000, 0, 1_000_000, 1, 1_000_000]);
}

#[test]
fn other_bounds_start_the_histogram_again_and_nothing_else() {
    let (_, state) = run(&State::default(), &TIMES, 3, &[Duration::from_millis(2); 3]);
    let (families, state) = run(&read_back(&state), &FINER, 1, &[Duration::from_millis(2)]);
    assert_eq!(values(&families), [0.0, 0.0, 1.0, 1.0, 0.002, 1.0, 4.0]);
    let (families, _) = run(&read_back(&state), &FINER, 1, &[Duration::from_millis(2)]);
    assert_eq!(values(&families), [0.0, 0.0, 2.0, 2.0, 0.004, 2.0, 5.0]);
}

#[test]
fn at_the_end_of_the_numbers_they_stay_where_they_are() {
    let mut state = State::default();
    state.set("a/x_sent_total", u64::MAX - 1);
    let full = vec![hash(TIMES.bounds), u64::MAX - 1, 0, u64::MAX - 1, 2, 7];
    state.set_numbers("a/x_seconds", full);
    let mut before = values(&run(&state, &TIMES, 0, &[]).0);
    for _ in 0..3 {
        let (families, next) = run(&read_back(&state), &TIMES, 2, &[Duration::ZERO, Duration::MAX]);
        let now = values(&families);
        assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?} {now:?}");
        (before, state) = (now, next);
    }
    assert_eq!(state.get("a/x_sent_total"), u64::MAX);
    assert_eq!(state.numbers("a/x_seconds").unwrap()[1..], [u64::MAX, 0, u64::MAX, 2, 10]);
}

#[test]
fn numbers_that_this_promdrop_does_not_write_are_a_new_start() {
    let bounds = hash(TIMES.bounds);
    for bad in [
        vec![],
        vec![bounds],
        vec![bounds + 1, 5, 0, 1],
        vec![bounds, 5, 0],
        vec![bounds, 5, 3, 1],
        vec![bounds, 5, u64::MAX, 1],
        vec![bounds, 5, 0, 1, 0, 1],
    ] {
        let mut state = State::default();
        state.set_numbers("a/x_seconds", bad.clone());
        state.set_numbers("a/x_sent_total", vec![5, 5]);
        assert_eq!(values(&run(&state, &TIMES, 0, &[]).0), [0.0; 6], "{bad:?}");
    }
}

#[test]
fn what_is_not_shown_is_kept_series_by_series_or_forgotten() {
    let nothing = State::default();
    let mut before = Totals::after(&nothing);
    for key in [["a", "1"], ["a", "2"], ["a", "3"], ["a/b", "1"], ["ab", "1"]].map(|key| State::key(&key)) {
        before.add(&SENT, &key, labels("a"), 1);
        before.observe(&TIMES, &key, &labels("a"), &[Duration::ZERO]);
    }
    let (_, mut before) = before.finish();
    before.set("a/1/x_of_old_total", 1);
    before.set("a", 1);
    let mut totals = Totals::after(&before);
    totals.add(&SENT, "a/1", labels("a"), 1);
    assert_eq!([totals.keep(&["a"], 1), totals.keep(&["a"], 0), totals.keep(&["none"], 9)], [1, 0, 0]);
    let (families, state) = totals.finish();
    assert_eq!(text(&families), "x_sent_total{host=\"a\"} 2\n", "what is kept is not shown");
    let keys: Vec<&str> = state.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a/1/x_sent_total", "a/2/-", "a/2/x_seconds", "a/2/x_sent_total"]);
}

const ERRORS: Descriptor = Descriptor { name: "x_errors_total", help: "E.", kind: Kind::Counter };
const SPREAD: Descriptor = Descriptor { name: "x_spread_seconds", help: "Q.", kind: Kind::Summary };

/// A run that adds to both, and what it publishes, which keeps every rule.
#[track_caller]
fn run_others(previous: &State, errors: &[u64], shares: &[f64], times: &[u64]) -> (String, State) {
    let mut totals = Totals::after(previous);
    totals.add_each(&ERRORS, "a", &labels("a"), "kind", &["p", "q", "r"], errors);
    let quantiles: Vec<Quantile> = shares.iter().map(|share| Quantile::new(*share).unwrap()).collect();
    let times: Vec<Duration> = times.iter().map(|ms| Duration::from_millis(*ms)).collect();
    totals.summarize(&SPREAD, "a", &labels("a"), &quantiles, &times);
    let (families, state) = totals.finish();
    let mut all = String::new();
    render(&families, &mut all);
    assert!(prove(all.as_bytes()).is_ok(), "{:?}\n{all}", prove(all.as_bytes()));
    (text(&families), state)
}

#[test]
fn each_value_of_a_label_goes_on_by_itself() {
    let (_, state) = run_others(&State::default(), &[0, 2, 0], &[], &[]);
    let (text, state) = run_others(&read_back(&state), &[1, 3, 0], &[], &[]);
    let expected = "x_errors_total{host=\"a\",kind=\"p\"} 1\n\
                    x_errors_total{host=\"a\",kind=\"q\"} 5\n\
                    x_errors_total{host=\"a\",kind=\"r\"} 0\n";
    assert!(text.starts_with(expected), "{text}");
    // Of another version, with other values.
    let mut other = State::default();
    other.set_numbers("a/x_errors_total", vec![1, 5]);
    for state in [other, State::default()] {
        assert!(run_others(&state, &[0, 0, 7], &[], &[]).0.contains("kind=\"q\"} 0\n"));
    }
    assert_eq!(state.numbers("a/x_errors_total"), Some([1, 5, 0].as_slice()));
}

#[test]
fn quantiles_are_of_the_last_run_and_sum_and_count_of_all() {
    let (_, state) = run_others(&State::default(), &[0; 3], &[0.5], &[7000]);
    let (text, state) =
        run_others(&read_back(&state), &[0; 3], &[0.0, 0.5, 0.9, 1.0], &[4000, 1000, 3000, 2000]);
    let expected = "x_spread_seconds{host=\"a\",quantile=\"0\"} 1\n\
                    x_spread_seconds{host=\"a\",quantile=\"0.5\"} 2.5\n\
                    x_spread_seconds{host=\"a\",quantile=\"0.9\"} 3.7\n\
                    x_spread_seconds{host=\"a\",quantile=\"1\"} 4\n\
                    x_spread_seconds_sum{host=\"a\"} 17\n\
                    x_spread_seconds_count{host=\"a\"} 5\n";
    assert!(text.ends_with(expected), "{text}");
    let (text, _) = run_others(&state, &[0; 3], &[0.5], &[]);
    let none = "x_spread_seconds_sum{host=\"a\"} 17\nx_spread_seconds_count{host=\"a\"} 5\n";
    assert!(text.ends_with(none) && !text.contains("quantile"), "{text}");
    let (text, _) = run_others(&State::default(), &[0; 3], &[0.5], &[3]);
    assert!(text.contains("quantile=\"0.5\"} 0.003\n"), "of one value it is that\n{text}");
}

#[test]
fn a_quantile_is_a_share() {
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(Quantile::new(share), None);
    }
}

#[test]
fn what_goes_on_with_a_gauge_is_what_was_carried() {
    let nothing = State::default();
    let mut totals = Totals::after(&nothing);
    assert_eq!(totals.carried::<2>(&SENT, "a"), None);
    totals.carry(&SENT, "a", &[9, 0]);
    let (families, state) = totals.finish();
    assert!(families.is_empty());
    let state = read_back(&state);
    assert_eq!(Totals::after(&state).carried(&SENT, "a"), Some([9, 0]));
    assert_eq!(Totals::after(&state).carried::<3>(&SENT, "a"), None, "of another version");
}

#[test]
fn zeros_take_no_room() {
    let (_, state) = run(&State::default(), &TIMES, 0, &[]);
    assert!(state.is_empty() && run_others(&state, &[0; 3], &[0.5], &[]).1.is_empty());
}

#[test]
fn what_was_shown_last_is_kept_first() {
    let mut state = State::default();
    // The lowest key is the oldest.
    for shown in ["a/1", "a/2", "a/3", "a/4", "a/2", "a/5"] {
        let mut totals = Totals::after(&state);
        totals.add(&SENT, shown, labels("a"), 1);
        totals.keep(&["a"], 2);
        let next = totals.finish().1;
        state = read_back(&next);
    }
    let sent = |series: &str| state.get(&format!("{series}/x_sent_total"));
    assert_eq!(["a/1", "a/2", "a/3", "a/4", "a/5"].map(sent), [0, 2, 0, 1, 1]);
}

/// What befalls the state between two runs.
#[derive(Debug, Clone)]
enum Between {
    Nothing,
    Gone,
    /// This byte is put in the place of the one there.
    Edited(proptest::sample::Index, u8),
    /// Another version, with other bounds, runs next.
    Upgrade,
}

proptest! {
    #[test]
    fn nothing_decreases_but_by_a_new_start_of_all(
        runs in proptest::collection::vec(
            (
                0..1_000_u64,
                proptest::collection::vec((0..4_000_000_000_u64).prop_map(Duration::from_nanos), 0..4),
                prop_oneof![
                    6 => Just(Between::Nothing),
                    1 => Just(Between::Gone),
                    2 => any::<(proptest::sample::Index, u8)>().prop_map(|(at, to)| Between::Edited(at, to)),
                    1 => Just(Between::Upgrade),
                ],
            ),
            1..12,
        ),
    ) {
        let (mut state, mut before, mut histogram) = (State::default(), Vec::new(), &TIMES);
        for (n, times, between) in runs {
            let mut line = state.render().into_bytes();
            let mut upgraded = false;
            match between {
                Between::Nothing => {}
                Between::Gone => line.clear(),
                Between::Edited(at, to) => *at.get_mut(&mut line) = to,
                Between::Upgrade => {
                    upgraded = true;
                    histogram = if histogram.bounds == TIMES.bounds { &FINER } else { &TIMES };
                }
            }
            let read = std::str::from_utf8(&line).ok().and_then(State::parse);
            let in_doubt = read.as_ref() != Some(&state);
            let (families, next) = run(&read.unwrap_or_default(), histogram, n, &times);
            let alone = values(&run(&State::default(), histogram, n, &times).0);
            let now = values(&families);
            let parts = histogram.bounds.len() + 3;
            if in_doubt {
                prop_assert_eq!(&now, &alone);
            } else {
                if upgraded {
                    prop_assert_eq!(&now[..parts], &alone[..parts]);
                    before.drain(..before.len().saturating_sub(1));
                }
                // From the end, where the counter is.
                for (before, now) in before.iter().rev().zip(now.iter().rev()) {
                    prop_assert!(before <= now, "{before} {now}");
                }
            }
            (state, before) = (next, now);
        }
    }

    #[test]
    fn any_numbers_make_a_histogram_that_keeps_the_rules(
        known in any::<bool>(), numbers in proptest::collection::vec(prop_oneof![any::<u64>(), 0..4_u64], 0..8),
    ) {
        let mut state = State::default();
        let hash = known.then_some(hash(TIMES.bounds));
        state.set_numbers("a/x_seconds", hash.into_iter().chain(numbers).collect());
        run(&state, &TIMES, 1, &[Duration::from_millis(1)]);
    }
}
