use proptest::prelude::*;

use super::*;
use crate::textfile::Process;

fn running(pid: u32) -> Running {
    let [job, waiter] = [pid, pid + 1].map(|pid| Process { pid, start: 99 });
    Running { job, waiter, namespace: 4_026_531_836, boot: 0x0123_4567_89ab_cdef }
}

fn header() -> Header {
    let mut state = State::default();
    state.set(State::key(&["192.0.2.1", "sent"]), 7);
    Header {
        kind: Kind::Collector,
        source: "/etc/promdrop/collectors.d".into(),
        file: "ping.prom".into(),
        slot: Some(1_754_900_000_000),
        last_success: Some(1_754_900_000_250),
        max_age: Some(Duration::from_secs(300)),
        definition: Some(1_754_800_000_000),
        stale: true,
        failure: Some("timeout: raise it".into()),
        running: vec![running(7)],
        state,
    }
}

fn text(header: &Header) -> String {
    let mut text = String::new();
    header.render(&mut text);
    text
}

#[test]
fn looks_like_this() {
    let expected = "\
# promdrop-format: 1
# promdrop-kind: collector
# promdrop-source: /etc/promdrop/collectors.d
# promdrop-file: ping.prom
# promdrop-slot-ms: 1754900000000
# promdrop-last-success-ms: 1754900000250
# promdrop-max-age-ms: 300000
# promdrop-definition-ms: 1754800000000
# promdrop-stale: 1
# promdrop-failure: timeout: raise it
# promdrop-running: 7 99 8 99 4026531836 00000000000000000123456789abcdef
# promdrop-state: 1 16ce28028c504f51 192.0.2.1/sent=7
";
    assert_eq!(text(&header()), expected);
}

#[test]
fn what_follows_is_not_the_headers() {
    let text = text(&header()) + "# HELP a b\n# promdrop-kind: write\na 1\n";
    assert_eq!(Header::parse(text.as_bytes(), "ping.prom"), Claim::Ours(Box::new(header())));
}

#[test]
fn what_is_in_doubt_is_absent() {
    let good = text(&header());
    for (old, new) in [
        ("format: 1", "format: 2"),
        ("format: 1\n", "format: 1\n# promdrop-format: 1\n"),
        ("kind: collector", "kind: robot"),
        ("kind: collector", "kind: "),
        ("# promdrop-kind: collector\n", ""),
        ("# promdrop-source: /etc/promdrop/collectors.d\n", ""),
        ("# promdrop-file: ping.prom\n", ""),
        ("slot-ms: 1754900000000", "slot-ms: 1754900000000\n# promdrop-slot-ms: 1754900000000"),
        ("slot-ms: 1754900000000", "slot-ms: +1"),
        ("slot-ms: 1754900000000", "slot-ms: "),
        ("slot-ms: 1754900000000", "slot-ms: 1e9"),
        ("slot-ms: 1754900000000", "slot-ms: -1"),
        ("slot-ms: 1754900000000", "slot-ms: 18446744073709551616"),
        ("slot-ms: ", "slot-ms:"),
        ("max-age-ms: 300000", "max-age-ms: 5m"),
        ("max-age-ms: 300000", "max-age-ms: "),
        ("slot-ms", "slots"),
        ("stale: 1", "stale: 0"),
        ("stale: 1", "stale: "),
        ("stale: 1", "stale: 1\n# promdrop-stale: 1"),
        ("running: 7 99", "running: 7"),
        ("running: 7 99", "running: x 99"),
        ("timeout", "time\\out"),
        ("timeout", "\\u{d800}"),
        ("timeout", "\\u{41"),
        ("sent=7\n", "sent=7"),
    ] {
        assert!(good.contains(old), "{old}");
        let bad = good.replace(old, new);
        assert_eq!(Header::parse(bad.as_bytes(), "ping.prom"), Claim::Doubtful, "{bad}");
    }
    let long = good.replace("timeout", &"x".repeat(MAX_FAILURE));
    assert_eq!(Header::parse(long.as_bytes(), "ping.prom"), Claim::Doubtful);
    let large = good.replace("/etc", &"x".repeat(MAX_HEADER));
    assert_eq!(Header::parse(large.as_bytes(), "ping.prom"), Claim::Doubtful);
    let mut latin = good.into_bytes();
    latin[60] = 0xe9;
    assert_eq!(Header::parse(&latin, "ping.prom"), Claim::Doubtful);
}

#[test]
fn a_state_in_doubt_leaves_the_header() {
    let good = text(&header());
    for (old, new) in [("state: 1", "state: 2"), ("sent=7", "sent=6"), ("sent=7", "sent=77")] {
        assert!(good.contains(old), "{old}");
        let expected = Header { state: State::default(), ..header() };
        let read = Header::parse(good.replace(old, new).as_bytes(), "ping.prom");
        assert_eq!(read, Claim::Ours(Box::new(expected)), "{new}");
    }
}

#[test]
fn of_too_many_runs_the_newest_are_kept() {
    let all: Vec<Running> = (0..MOST as u32 + 5).map(running).collect();
    let text = text(&Header { running: all.clone(), ..header() });
    let Claim::Ours(read) = Header::parse(text.as_bytes(), "ping.prom") else { panic!("{text}") };
    assert_eq!(read.running, all[5..]);
}

#[test]
fn another_name_makes_it_a_copy_and_no_header_foreign() {
    assert_eq!(Header::parse(text(&header()).as_bytes(), "pong.prom"), Claim::Copy);
    for foreign in ["", "a 1\n", "\n# promdrop-format: 1\n", "# promdrop-kind: collector\n"] {
        assert_eq!(Header::parse(foreign.as_bytes(), "ping.prom"), Claim::Foreign, "{foreign}");
    }
}

#[test]
fn a_long_failure_is_cut_between_characters() {
    for unit in ["é", "\u{1b}", "\\", "abc"] {
        let failure = Some(unit.repeat(MAX_FAILURE));
        let text = text(&Header { failure, ..header() });
        let line = text.lines().find_map(|line| line.strip_prefix("# promdrop-failure: ")).unwrap();
        assert!((MAX_FAILURE - 8..=MAX_FAILURE).contains(&line.len()), "{line}");
        let Claim::Ours(read) = Header::parse(text.as_bytes(), "ping.prom") else { panic!("{text}") };
        assert!(unit.repeat(MAX_FAILURE).starts_with(&read.failure.unwrap()), "{line}");
    }
}

fn any_running() -> impl Strategy<Value = Running> {
    let process = || any::<(u32, u64)>().prop_map(|(pid, start)| Process { pid, start });
    (process(), process(), any::<u64>(), any::<u128>()).prop_map(|(job, waiter, namespace, boot)| Running {
        job,
        waiter,
        namespace,
        boot,
    })
}

fn headers() -> impl Strategy<Value = Header> {
    let state = proptest::collection::btree_map(any::<String>(), any::<u64>(), 0..8).prop_map(|map| {
        let mut state = State::default();
        for (key, value) in map {
            state.set(State::key(&["x", &key]), value);
        }
        state
    });
    let failure = proptest::option::of("\\PC{0,40}|[\\x00-\\x1f\\\\]{0,20}");
    let kind = proptest::sample::select(Kind::ALL.to_vec());
    let (slot, last_success) = (any::<Option<u64>>(), any::<Option<u64>>());
    let max_age = any::<(Option<u64>, Option<u64>, bool)>();
    let runs = proptest::collection::vec(any_running(), 0..4);
    let names = (any::<String>(), any::<String>());
    (kind, names, slot, last_success, max_age, failure, runs, state).prop_map(
        |(
            kind,
            (source, file),
            slot,
            last_success,
            (max_age, definition, stale),
            failure,
            running,
            state,
        )| Header {
            stale,
            definition,
            kind,
            source,
            file,
            slot,
            last_success,
            max_age: max_age.map(Duration::from_millis),
            failure,
            running,
            state,
        },
    )
}

proptest! {
    #[test]
    fn comes_back_as_it_was_written(header in headers()) {
        let text = text(&header);
        prop_assert!(text.lines().all(|line| line.starts_with(PREFIX)), "{}", text);
        prop_assert!(!text.trim_end_matches('\n').contains(|c: char| c.is_control() && c != '\n'));
        prop_assert_eq!(Header::parse(text.as_bytes(), &header.file), Claim::Ours(Box::new(header)));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        header in headers(), at in any::<proptest::sample::Index>(), bytes in any::<Vec<u8>>(),
    ) {
        let mut text = text(&header).into_bytes();
        let at = at.index(text.len());
        text.splice(at..text.len().min(at + bytes.len() / 2), bytes);
        if let Claim::Ours(read) = Header::parse(&text, "other.prom") {
            prop_assert_eq!(read.file, "other.prom");
        }
    }
}
