//! The table at several widths, and what is made of files that others could have written.

use std::time::Duration;

use proptest::prelude::*;

use super::rows::{Content, Definition, Row, Sight, State, Status, assemble};
use super::table::{Paper, cut, render, width_of};
use crate::exposition;
use crate::schedule::Slots;
use crate::textfile::{self, Header, Holder, Kind, Published};

const NOW: u64 = 1_764_000_000_000;
const SECONDS: f64 = 1_764_000_000.0;

fn status(collectors: Vec<Row>) -> Status {
    Status {
        now_timestamp_seconds: SECONDS,
        last_run_timestamp_seconds: Some(SECONDS - 12.0),
        foreign_files: 2,
        failures: 0,
        collectors,
    }
}

fn row(name: &str, state: State) -> Row {
    Row {
        kind: Some("collector"),
        module: Some("command".into()),
        file: Some(format!("{name}.prom")),
        interval_seconds: Some(60.0),
        offset_seconds: Some(0.0),
        ..Row::new(name, state)
    }
}

/// A bit of everything.
fn some() -> Status {
    let good = Row {
        module: Some("netstat".into()),
        running: Some(false),
        result: Some("success"),
        interval_seconds: Some(15.0),
        last_run_timestamp_seconds: Some(SECONDS - 12.2),
        age_seconds: Some(12.2),
        duration_seconds: Some(0.0014),
        series: Some(23),
        next_due_timestamp_seconds: Some(SECONDS + 2.1),
        ..row("netstat", State::Success)
    };
    let failed = Row {
        result: Some("timeout"),
        reason: Some("es hat länger als die 10 s gebraucht: 接続がありません".into()),
        failed: true,
        offset_seconds: Some(23.417),
        last_run_timestamp_seconds: Some(SECONDS - 40.0),
        age_seconds: Some(200.0),
        duration_seconds: Some(10.04),
        series: Some(0),
        next_due_timestamp_seconds: Some(SECONDS + 19.5),
        ..row("mail-queue", State::Failed)
    };
    let stale = Row {
        result: Some("success"),
        failed: true,
        max_age_seconds: Some(300.0),
        last_run_timestamp_seconds: Some(SECONDS - 7_300.0),
        age_seconds: Some(7_300.0),
        duration_seconds: Some(75.0),
        next_due_timestamp_seconds: Some(SECONDS - 7_240.0),
        running: Some(true),
        ..row("raid", State::Stale)
    };
    let never = Row { next_due_timestamp_seconds: Some(SECONDS), ..row("smart", State::Never) };
    let written = Row {
        kind: Some("write"),
        module: None,
        interval_seconds: None,
        last_run_timestamp_seconds: Some(SECONDS - 200_000.0),
        age_seconds: Some(200_000.0),
        series: Some(1_204),
        ..row("backup", State::Success)
    };
    status(vec![written, failed, good, stale, never])
}

/// The table without its colours.
fn table(status: &Status, width: Option<usize>) -> String {
    render(status, Paper { width, colour: false })
}

const WIDE: &str = "\
COLLECTOR   MODULE   INTERVAL  RESULT          LAST RUN  AGE  NEXT    SERIES  DURATION  FILE             REASON
backup      write    -         success         2d ago     2d  -         1204         -  backup.prom
mail-queue  command  1m +23s   timeout         40s ago    3m  in 20s       0     10.0s  mail-queue.prom  es hat länger als die 10 s gebraucht: 接続がありません
netstat     netstat  15s       success         12s ago   12s  in 3s       23       1ms  netstat.prom
raid        command  1m        stale, running  2h ago     2h  2h ago       -     1m15s  raid.prom        past its max_age of 5m
smart       command  1m        never run       -           -  now          -         -  smart.prom
promdrop last ran 12s ago
2 files of others: see promdrop lint
";

const WIDTH_100: &str = "\
COLLECTOR   MODULE   INTERVAL  RESULT          LAST RUN  AGE  NEXT    SERIES  REASON
backup      write    -         success         2d ago     2d  -         1204
mail-queue  command  1m +23s   timeout         40s ago    3m  in 20s       0  es hat länger als die…
netstat     netstat  15s       success         12s ago   12s  in 3s       23
raid        command  1m        stale, running  2h ago     2h  2h ago       -  past its max_age of 5m
smart       command  1m        never run       -           -  now          -
promdrop last ran 12s ago
2 files of others: see promdrop lint
";

const WIDTH_80: &str = "\
COLLECTOR   MODULE   RESULT          LAST RUN  AGE  NEXT    REASON
backup      write    success         2d ago     2d  -
mail-queue  command  timeout         40s ago    3m  in 20s  es hat länger als d…
netstat     netstat  success         12s ago   12s  in 3s
raid        command  stale, running  2h ago     2h  2h ago  past its max_age of…
smart       command  never run       -           -  now
promdrop last ran 12s ago
2 files of others: see promdrop lint
";

const WIDTH_60: &str = "\
COLLECTOR   INTERVAL  RESULT          LAST RUN  AGE  NEXT
backup      -         success         2d ago     2d  -
mail-queue  1m +23s   timeout         40s ago    3m  in 20s
netstat     15s       success         12s ago   12s  in 3s
raid        1m        stale, running  2h ago     2h  2h ago
smart       1m        never run       -           -  now
promdrop last ran 12s ago
2 files of others: see promdrop lint
";

const WIDTH_40: &str = "\
COLLECTOR   RESULT          AGE  NEXT
backup      success          2d  -
mail-queue  timeout          3m  in 20s
netstat     success         12s  in 3s
raid        stale, running   2h  2h ago
smart       never run         -  now
promdrop last ran 12s ago
2 files of others: see promdrop lint
";

#[test]
fn the_table_fits() {
    let status = some();
    assert_eq!(table(&status, None), WIDE);
    assert_eq!(table(&status, Some(100)), WIDTH_100);
    assert_eq!(table(&status, Some(80)), WIDTH_80);
    assert_eq!(table(&status, Some(60)), WIDTH_60);
    assert_eq!(table(&status, Some(40)), WIDTH_40);
}

#[test]
fn what_is_cut_is_measured_as_a_terminal_does() {
    for (text, width, expected) in [
        ("länger", 6, "länger"),
        ("länger", 5, "läng…"),
        ("接続あり", 8, "接続あり"),
        ("接続あり", 7, "接続あ…"),
        // Half a character is none.
        ("接続あり", 6, "接続…"),
        ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
        ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
    ] {
        assert_eq!(cut(text, width), expected, "{text} {width}");
    }
}

#[test]
fn only_results_and_the_head_have_colours() {
    let coloured = render(&some(), Paper { width: Some(40), colour: true });
    let lines: Vec<&str> = coloured.lines().collect();
    assert!(lines[0].starts_with("\x1b[1mCOLLECTOR ") && lines[0].ends_with("\x1b[0m"), "{coloured}");
    assert!(lines[1].contains("  \x1b[32msuccess\x1b[0m  "), "{coloured}");
    assert!(lines[2].contains("  \x1b[31mtimeout\x1b[0m  "), "{coloured}");
    assert!(lines[5].contains("  \x1b[33mnever run\x1b[0m  "), "{coloured}");
    let plain = ["1", "0", "31", "32", "33"]
        .iter()
        .fold(coloured.clone(), |text, code| text.replace(&format!("\x1b[{code}m"), ""));
    assert_eq!(plain, WIDTH_40);
    assert_eq!(coloured.matches('\x1b').count(), 2 * 6, "{coloured}");
}

#[test]
fn where_nothing_is_it_says_so() {
    let nothing = Status { last_run_timestamp_seconds: None, foreign_files: 0, ..status(Vec::new()) };
    let expected = "no collectors, and no files of promdrop's\npromdrop has never run here\n";
    assert_eq!(table(&nothing, None), expected);
}

fn states() -> impl Strategy<Value = State> {
    proptest::sample::select(vec![
        State::Success,
        State::Failed,
        State::Stale,
        State::Never,
        State::Conflict,
        State::Unknown,
    ])
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        "[a-z0-9_-]{1,128}",
        states(),
        proptest::option::of(".{0,60}"),
        any::<[Option<f64>; 6]>(),
        any::<Option<bool>>(),
    )
        .prop_map(|(name, state, reason, [interval, offset, last, age, duration, due], running)| Row {
            reason: reason.map(|reason| crate::diagnostic::printable(&reason)),
            interval_seconds: interval,
            offset_seconds: offset,
            last_run_timestamp_seconds: last,
            age_seconds: age,
            duration_seconds: duration,
            next_due_timestamp_seconds: due,
            running,
            ..Row { file: Some(format!("{name}.prom")), ..Row::new(&name, state) }
        });
    proptest::collection::vec(row, 1..6)
}

proptest! {
    #[test]
    fn no_line_is_wider_and_every_row_is_there(rows in rows(), width in 1..250_usize) {
        let status = status(rows);
        let text = table(&status, Some(width));
        let lines: Vec<&str> = text.lines().collect();
        prop_assert_eq!(lines.len(), 1 + status.collectors.len() + 2);
        for line in &lines {
            prop_assert!(width_of(line) <= width, "{} > {}: {:?}", width_of(line), width, line);
        }
        for (row, line) in status.collectors.iter().zip(&lines[1..]).filter(|_| width >= 40) {
            let (name, rest) = line.split_once("  ").unwrap();
            let whole = row.name == name;
            let cut = name.strip_suffix('…').is_some_and(|start| row.name.starts_with(start));
            prop_assert!(whole || cut && name.len() > 15, "{:?}", line);
            prop_assert!(!rest.trim().is_empty());
        }
    }
}

fn header(kind: Kind) -> Header {
    Header {
        slot: Some(NOW - 30_000),
        last_success: Some(NOW - 20_000),
        max_age: Some(Duration::from_secs(300)),
        ..Header::new(kind, "/c", "x.prom")
    }
}

const HEALTH: &str = "promdrop_collector_success 1\npromdrop_collector_last_run_timestamp_seconds 1763999980\n\
    promdrop_collector_duration_seconds 0.5\npromdrop_collector_interval_seconds 60\npromdrop_collector_series 3\n";

/// The only row where x.prom is `holder`, beside what `definition` says.
fn seen(content: Option<Content<'_>>, holder: Holder) -> Row {
    let file = "x.prom".to_owned();
    let definition =
        |content| Definition { name: "x".into(), file: Some(file.clone()), content, since: None };
    let mut status = assemble(&Sight {
        source: "/c",
        definitions: content.map(definition).into_iter().collect(),
        holders: &[(file.clone(), holder)],
        running: &|_| None,
        lives: &|_| true,
        now: NOW,
    });
    assert_eq!((status.collectors.len(), status.foreign_files), (1, 0));
    status.collectors.remove(0)
}

fn published(header: Header, health: &str) -> Holder {
    Holder::Ours(Box::new(Published { header, families: exposition::read(health.as_bytes()).ok() }))
}

#[test]
fn what_contradicts_itself_is_unknown() {
    let failing = |failure: &str| Header { failure: Some(failure.into()), ..header(Kind::Collector) };
    let failed = HEALTH.replacen("success 1", "success 0", 1);
    let state = |header: Header, health: &str| {
        let row = seen(Some(Content::Unreadable), published(header, health));
        (row.state, row.result, row.reason)
    };
    assert_eq!(state(header(Kind::Collector), HEALTH), (State::Success, Some("success"), None));
    let gave = (State::Failed, Some("exit"), Some("it: exited".to_owned()));
    assert_eq!(state(failing("exit: it: exited"), &failed), gave);
    for (header, health) in [
        (header(Kind::Collector), &*failed),
        (header(Kind::Collector), ""),
        (header(Kind::Collector), "nonsense"),
        (header(Kind::Collector), "promdrop_collector_success NaN\n"),
        (header(Kind::Collector), "promdrop_collector_success{a=\"b\"} 1\npromdrop_collector_success 1\n"),
        (failing("exit: it exited"), HEALTH),
        (failing("exit: it exited"), ""),
        (failing("success: it did"), &*failed),
        (failing("magic: it did"), &*failed),
        (failing(""), &*failed),
    ] {
        let found = state(header.clone(), health);
        assert_eq!((found.0, found.1), (State::Unknown, None), "{:?} {health}", header.failure);
    }
}

#[test]
fn numbers_that_can_not_be_are_left_out() {
    for value in ["-1", "NaN", "+Inf", "-Inf"] {
        let health = HEALTH.replace(" 0.5\n", &format!(" {value}\n")).replace(" 3\n", &format!(" {value}\n"));
        let row = seen(Some(Content::Unreadable), published(header(Kind::Collector), &health));
        assert_eq!((row.duration_seconds, row.series), (None, None), "{value}");
    }
    let health = HEALTH.replace(" 60\n", " 1e300\n").replace(" 1763999980\n", " 1e300\n");
    let extreme = Header {
        slot: Some(u64::MAX),
        last_success: Some(u64::MAX),
        max_age: Some(Duration::MAX),
        ..header(Kind::Collector)
    };
    let row = seen(Some(Content::Unreadable), published(extreme, &health));
    assert_eq!(row.next_due_timestamp_seconds, None);
    let text = table(&status(vec![row]), Some(80));
    assert!(text.lines().all(|line| width_of(line) <= 80), "{text}");
}

#[test]
fn without_its_definition_the_slots_go_on_from_the_last() {
    for (content, source) in [(Some(Content::Unreadable), "/c"), (None, "/d")] {
        let header = Header { source: source.into(), ..header(Kind::Collector) };
        let row = seen(content, published(header, HEALTH));
        assert_eq!((row.state, row.interval_seconds), (State::Success, Some(60.0)), "{source}");
        assert_eq!(row.next_due_timestamp_seconds, Some(SECONDS + 30.0), "{source}");
        assert_eq!(row.offset_seconds, Some(((NOW - 30_000) % 60_000) as f64 / 1000.0));
    }
}

#[test]
fn a_time_to_come_is_no_young_age() {
    let ahead = |by: u64| Header { last_success: Some(NOW + by), ..header(Kind::Collector) };
    let row = seen(Some(Content::Unreadable), published(ahead(120_000), HEALTH));
    assert_eq!((row.state, row.age_seconds), (State::Success, Some(-120.0)));
    let row = seen(Some(Content::Unreadable), published(ahead(301_000), HEALTH));
    assert_eq!(row.state, State::Stale);
}

#[test]
fn what_is_of_other_kinds_says_which() {
    let job = "promdrop_exec_success 1\npromdrop_exec_start_timestamp_seconds 1763999970\n";
    for (kind, told, tried) in [
        (Kind::Write, "", SECONDS - 20.0),
        (Kind::Push, "", SECONDS - 30.0),
        (Kind::Exec, job, SECONDS - 30.0),
    ] {
        let row = seen(None, published(header(kind), told));
        assert_eq!((row.state, row.kind), (State::Success, Some(kind.word())));
        assert_eq!((row.last_run_timestamp_seconds, row.next_due_timestamp_seconds), (Some(tried), None));
        let row = seen(Some(Content::Unreadable), published(header(kind), ""));
        assert_eq!(row.state, State::Conflict);
        assert_eq!(row.reason, Some(format!("its file is that of a {}", kind.word())));
    }
    assert_eq!(seen(None, Holder::Doubtful).state, State::Unknown);
    assert_eq!(seen(Some(Content::Unreadable), Holder::Doubtful).state, State::Unknown);
    assert_eq!(seen(None, published(header(Kind::Collector), HEALTH)).state, State::Left);
}

#[test]
fn a_job_tells_how_its_last_run_ended_and_whether_one_goes_on() {
    let process = textfile::Process { pid: 7, start: 1 };
    let run = textfile::Running { job: process, waiter: process, namespace: 1, boot: 1 };
    let told = |failure: Option<&str>, running: bool, success: &str| {
        let failure = failure.map(str::to_owned);
        let running = if running { vec![run] } else { Vec::new() };
        let row = seen(None, published(Header { failure, running, ..header(Kind::Exec) }, success));
        (row.state, row.result, row.running)
    };
    let (yes, no) = ("promdrop_exec_success 1\n", "promdrop_exec_success 0\n");
    assert_eq!(told(None, true, ""), (State::Never, None, Some(true)));
    assert_eq!(told(None, true, yes), (State::Success, Some("success"), Some(true)));
    assert_eq!(told(None, false, yes), (State::Success, Some("success"), Some(false)));
    assert_eq!(told(Some("lost: x"), false, no), (State::Failed, Some("lost"), Some(false)));
    assert_eq!(told(Some("exit: x"), false, no), (State::Failed, Some("exit"), Some(false)));
    // No job ends so.
    assert_eq!(told(Some("output: x"), false, no), (State::Unknown, None, Some(false)));
    assert_eq!(told(Some("exit: x"), false, yes), (State::Unknown, None, Some(false)));
}

#[test]
fn a_collector_that_promdrop_passed_by_is_overdue() {
    let yaml = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(yaml.path(), "module: netstat\n").unwrap();
    let (definition, ()) = crate::config::load::load_file(yaml.path(), None, &|section, _| {
        section.skip("netstat");
        Some(())
    })
    .unwrap();
    let run = |at: u64, source: &str| Header {
        file: textfile::RUN_FILE.into(),
        last_success: Some(at),
        source: source.into(),
        ..header(Kind::Collector)
    };
    let state_of = |at: u64, running: Option<bool>, source: &str| {
        let slots = Slots::new(definition.interval, Duration::ZERO);
        let content = Content::Good(&definition, slots);
        let since = Some(NOW - 600_000);
        let status = assemble(&Sight {
            source: "/c",
            definitions: vec![Definition { name: "x".into(), file: Some("x.prom".into()), content, since }],
            holders: &[(textfile::RUN_FILE.to_owned(), published(run(at, source), ""))],
            running: &|_| running,
            lives: &|_| true,
            now: NOW,
        });
        assert_eq!(status.last_run_timestamp_seconds, Some(at as f64 / 1000.0));
        (status.collectors[0].state, status.failures)
    };
    let state = |at, running| state_of(at, running, "/c");
    assert_eq!(state(NOW - 600_001, None), (State::Never, 0));
    assert_eq!(state(NOW - 540_000, None), (State::Never, 0));
    assert_eq!(state(NOW - 539_999, None), (State::Overdue, 1));
    assert_eq!(state(NOW - 539_999, Some(true)), (State::Never, 0));
    // Who runs another directory's need not run this one's.
    assert_eq!(state_of(NOW - 539_999, None, "/d"), (State::Never, 0));
}
