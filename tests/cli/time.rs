//! When collectors run: slots, offsets, what goes on while one is slow, `--every`, `--jobs`.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use promdrop::collect::machine::Machine;
use promdrop::schedule;

use crate::run::{names, rewrite, run_well, values};
use crate::support::host::Host;
use crate::support::{the_machine, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// The slot that `file` says it served.
#[track_caller]
fn slot(host: &Host, file: &str) -> u64 {
    let text = host.text(file);
    let line = text.lines().find_map(|line| line.strip_prefix("# promdrop-slot-ms: "));
    line.unwrap_or_else(|| panic!("no slot in {text}")).parse().unwrap()
}

/// How often collector `stem` has run with `result`; 0 where it has published nothing.
fn runs(host: &Host, stem: &str, result: &str) -> f64 {
    let file = format!("{stem}.prom");
    if !host.textfile_dir().join(&file).exists() {
        return 0.0;
    }
    let series = format!("promdrop_collector_runs_total{{collector=\"{stem}\",result=\"{result}\"}}");
    values(host, &file, &series)[0]
}

/// A collector that says in `stem.began` that it has begun, then runs until `stem.go` is there.
fn waits(host: &Host, stem: &str, header: &str) {
    let path = |what: &str| host.path(&format!("{stem}.{what}")).display().to_string();
    let (began, go) = (path("began"), path("go"));
    host.collector(
        stem,
        &format!(
            "module: command\n{header}command:\n  shell: |\n    echo >>{began}\n    \
             until [ -e {go} ]; do sleep 0.02; done\n    echo {stem} 1\n"
        ),
    );
}

fn has_begun(host: &Host, stem: &str) -> Result<(), ()> {
    if host.path(&format!("{stem}.began")).exists() { Ok(()) } else { Err(()) }
}

fn let_go(host: &Host, stem: &str) {
    fs::write(host.path(&format!("{stem}.go")), "").unwrap();
}

/// A promdrop that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `promdrop` with `arguments`.
fn start(host: &Host, arguments: &[&str]) -> Running {
    let mut promdrop = host.promdrop();
    promdrop.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Running(promdrop.spawn().unwrap())
}

/// Its exit status and what it wrote to stderr.
fn end(mut run: Running) -> (i32, String) {
    let mut stderr = String::new();
    run.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (run.0.wait().unwrap().code().unwrap_or(-1), stderr)
}

#[test]
fn only_the_slot_in_the_header_says_what_is_due() {
    let host = Host::new();
    host.collector("x", "module: netstat\ninterval: 7d\n");
    run_well(&host, &["run"]);
    let path = host.textfile_dir().join("x.prom");
    let served = slot(&host, "x.prom");
    // Touched: its times mean nothing.
    for time in [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(1 << 30)] {
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        run_well(&host, &["run"]);
        assert_eq!(runs(&host, "x", "success"), 1.0);
    }
    // The slot before: due. One that the clock of a week ago could have left: not. One that it couldn't: due.
    let week = 7 * 24 * 3_600_000;
    for (shift, expected) in [(-week, 2.0), (week, 2.0), (3 * week, 3.0)] {
        rewrite(&host, "x.prom", "slot-ms", |_| served.wrapping_add_signed(shift));
        run_well(&host, &["run"]);
        assert_eq!(runs(&host, "x", "success"), expected, "{shift}");
        rewrite(&host, "x.prom", "slot-ms", |_| served);
    }
    // Removed: due, and counted anew.
    fs::remove_file(&path).unwrap();
    run_well(&host, &["run"]);
    assert_eq!(runs(&host, "x", "success"), 1.0);
}

#[test]
fn a_copied_file_says_nothing_of_the_collector_whose_name_it_has() {
    let host = Host::new();
    host.collector("x", "module: netstat\ninterval: 1h\n");
    run_well(&host, &["run"]);
    fs::copy(host.textfile_dir().join("x.prom"), host.textfile_dir().join("y.prom")).unwrap();
    host.collector("y", "module: netstat\ninterval: 1h\n");
    let (status, _, stderr) = host.outcome(&["run"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("it is a copy of a file of promdrop's with another name"), "{stderr}");
}

#[test]
fn another_interval_goes_on_from_the_slot_that_was_served() {
    let host = Host::new();
    let minutes = |minutes: u32| host.collector("x", &format!("module: netstat\ninterval: {minutes}m\n"));
    minutes(1);
    run_well(&host, &["run"]);
    // 7 days hold this minute, which was served.
    host.collector("x", "module: netstat\ninterval: 7d\n");
    run_well(&host, &["run"]);
    assert_eq!(runs(&host, "x", "success"), 1.0);
    // From a slot that began long ago, a shorter interval is due at once.
    let week = 7 * 24 * 3_600_000;
    rewrite(&host, "x.prom", "slot-ms", |slot| slot - slot % week);
    minutes(2);
    run_well(&host, &["run"]);
    assert_eq!(runs(&host, "x", "success"), 2.0);
    assert_eq!(slot(&host, "x.prom") % 120_000, 0);
}

#[test]
fn splay_moves_the_slots_by_what_the_host_and_the_name_decide() {
    let host = Host::new();
    let interval = Duration::from_secs(3600);
    let mut offsets = Vec::new();
    for stem in ["x", "y"] {
        host.collector(stem, &format!("module: netstat\ninterval: 1h\nsplay: true\nlabels: {{c: {stem}}}\n"));
        run_well(&host, &["run"]);
        let offset = slot(&host, &format!("{stem}.prom")) % 3_600_000;
        let expected = schedule::offset(Machine::default().id(), stem, interval);
        assert_eq!(Duration::from_millis(offset), expected);
        offsets.push(offset);
    }
    assert_ne!(offsets[0], offsets[1]);
    run_well(&host, &["run"]);
    assert_eq!(runs(&host, "x", "success"), 1.0);
}

#[test]
fn while_a_slow_one_runs_the_slots_of_the_others_are_served() {
    let host = Host::new();
    waits(&host, "slow", "interval: 1h\ntimeout: 1h\n");
    host.collector("fast", "module: netstat\ninterval: 1s\n");
    let run = start(&host, &["run"]);
    wait_for(LIMIT, "the slow one runs", || has_begun(&host, "slow"));
    wait_for(LIMIT, "the fast one has run four times", || {
        let count = runs(&host, "fast", "success");
        if count >= 4.0 { Ok(()) } else { Err(count) }
    });
    // What has come meanwhile is seen, and is the run as a whole told of.
    host.collector("late", "module: netstat\ninterval: 1h\nlabels: {c: late}\n");
    host.collector("broken", "module: nonsense\n");
    wait_for(LIMIT, "the new one has run", || {
        if runs(&host, "late", "success") > 0.0 { Ok(()) } else { Err(()) }
    });
    wait_for(LIMIT, "all are counted", || {
        let counts = values(&host, "promdrop.prom", "promdrop_definitions");
        if counts == [3.0, 0.0, 1.0] { Ok(()) } else { Err(counts) }
    });
    assert_eq!(runs(&host, "slow", "success"), 0.0);
    let_go(&host, "slow");
    let (status, stderr) = end(run);
    assert_eq!(runs(&host, "slow", "success"), 1.0);
    // It is told of once, not at every pass.
    assert_eq!((status, stderr.matches("there is no module `nonsense`").count()), (1, 1), "{stderr}");
}

#[test]
fn a_collectors_directory_that_is_away_for_a_moment_stops_nothing() {
    let host = Host::new();
    waits(&host, "slow", "interval: 1h\ntimeout: 1h\n");
    host.collector("fast", "module: netstat\ninterval: 1s\n");
    fs::write(host.collectors_dir().join("Bad.yaml"), "module: netstat\n").unwrap();
    let run = start(&host, &["run"]);
    wait_for(LIMIT, "the slow one runs", || has_begun(&host, "slow"));
    fs::rename(host.collectors_dir(), host.path("away")).unwrap();
    let left = SystemTime::now();
    wait_for(LIMIT, "a pass has found it away", || {
        if left.elapsed().unwrap() > Duration::from_millis(2_500) { Ok(()) } else { Err(()) }
    });
    let before = runs(&host, "fast", "success");
    fs::rename(host.path("away"), host.collectors_dir()).unwrap();
    wait_for(LIMIT, "the fast one runs again", || {
        let count = runs(&host, "fast", "success");
        if count >= before + 2.0 { Ok(()) } else { Err(count) }
    });
    let_go(&host, "slow");
    let (status, stderr) = end(run);
    assert_eq!(runs(&host, "slow", "success"), 1.0);
    // Each is said once, however many passes find it.
    let said = |what: &str| stderr.matches(what).count();
    assert_eq!(
        (status, said("can't read the collectors directory"), said("Bad.yaml")),
        (1, 1, 1),
        "{stderr}"
    );
}

#[test]
fn what_can_not_be_published_runs_once_a_slot_all_the_same() {
    let host = Host::new();
    waits(&host, "slow", "interval: 1h\ntimeout: 1h\n");
    let log = |stem: &str| host.path(&format!("{stem}.log"));
    for (stem, interval) in [("fast", "1s"), ("x", "7d")] {
        let shell = format!("echo >>{}; echo {stem} 1", log(stem).display());
        let header = format!("interval: {interval}\ntimeout: 1s\n");
        host.collector(stem, &format!("module: command\n{header}command:\n  shell: '{shell}'\n"));
    }
    // Their health is of another TYPE in another tool's file, so that nothing of them can be published.
    fs::write(host.textfile_dir().join("theirs.prom"), "promdrop_collector_success 1\n").unwrap();
    let count = |stem: &str| fs::read_to_string(log(stem)).unwrap_or_default().len();
    let run = start(&host, &["run"]);
    wait_for(LIMIT, "the fast one has run in three slots", || {
        if count("fast") >= 3 { Ok(()) } else { Err(count("fast")) }
    });
    let_go(&host, "slow");
    assert_eq!(end(run).0, 1);
    assert_eq!(count("x"), 1);
}

#[test]
fn what_another_promdrop_runs_is_skipped_and_the_others_go_on() {
    let host = Host::new();
    waits(&host, "slow", "interval: 1h\ntimeout: 1h\n");
    let mut first = start(&host, &["run"]);
    wait_for(LIMIT, "the slow one runs", || has_begun(&host, "slow"));
    host.collector("other", "module: netstat\n");
    run_well(&host, &["run"]);
    assert_eq!(runs(&host, "other", "success"), 1.0);
    let skipped = "promdrop: slow: skipped: it still runs, started by another promdrop\n";
    assert_eq!(host.outcome(&["run", "slow"]), (0, String::new(), skipped.to_owned()));
    // The lock goes with the process, however that dies.
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    let_go(&host, "slow");
    run_well(&host, &["run"]);
    assert_eq!(runs(&host, "slow", "success"), 1.0);
    assert_eq!(fs::read_to_string(host.path("slow.began")).unwrap().len(), 2, "started twice in all");
}

#[test]
fn slots_that_went_by_while_it_ran_are_counted_as_skipped() {
    let host = Host::new();
    host.collector("x", "module: netstat\ninterval: 10s\n");
    run_well(&host, &["run"]);
    // As if its run had begun a minute ago and had gone on into the third slot after its own.
    rewrite(&host, "x.prom", "slot-ms", |slot| slot - 60_000);
    let began = slot(&host, "x.prom") / 1_000;
    let text = host.text("x.prom");
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let last_run = line("promdrop_collector_last_run_timestamp_seconds");
    let duration = line("promdrop_collector_duration_seconds");
    let labels = "{collector=\"x\"}";
    let edited = text
        .replace(&last_run, &format!("promdrop_collector_last_run_timestamp_seconds{labels} {began}"))
        .replace(&duration, &format!("promdrop_collector_duration_seconds{labels} 31"));
    assert_ne!(text, edited);
    fs::write(host.textfile_dir().join("x.prom"), edited).unwrap();
    run_well(&host, &["run"]);
    assert_eq!((runs(&host, "x", "skipped"), runs(&host, "x", "success")), (3.0, 2.0));
    run_well(&host, &["run", "x"]);
    assert_eq!(runs(&host, "x", "skipped"), 3.0, "counted twice");
}

#[test]
fn no_more_than_jobs_run_at_a_time() {
    let host = Host::new();
    let log = host.path("log").display().to_string();
    let stems = ["a", "b", "c", "d"];
    for stem in stems {
        let shell = format!("echo begin >>{log}; sleep 0.05; echo end >>{log}; echo {stem} 1");
        host.collector(stem, &format!("module: command\ncommand:\n  shell: '{shell}'\n"));
    }
    run_well(&host, &["run", "--jobs", "1"]);
    assert_eq!(fs::read_to_string(host.path("log")).unwrap(), "begin\nend\n".repeat(stems.len()));
    // As many as are allowed do run at a time: each waits until both have begun.
    let pair = Host::new();
    for (stem, other) in [("a", "b"), ("b", "a")] {
        let path = |stem: &str| pair.path(&format!("{stem}.began")).display().to_string();
        let shell =
            format!("echo >{}; until [ -e {} ]; do sleep 0.02; done; echo {stem} 1", path(stem), path(other));
        pair.collector(stem, &format!("module: command\ncommand:\n  shell: '{shell}'\n"));
    }
    run_well(&pair, &["run", "--jobs", "2"]);
}

#[test]
fn every_slot_of_the_time_is_served_once_and_what_runs_at_the_end_is_waited_for() {
    let _alone = the_machine();
    let host = Host::new();
    host.collector("x", "module: netstat\ninterval: 2s\n");
    waits(&host, "slow", "interval: 1h\ntimeout: 1h\n");
    let log = host.path("slots").display().to_string();
    let shell = format!("date +%s.%N >>{log}; echo y 1");
    host.collector(
        "y",
        &format!("module: command\ninterval: 2s\ntimeout: 2s\ncommand:\n  shell: '{shell}'\n"),
    );
    let run = start(&host, &["run", "--every", "2s", "--for", "8s"]);
    wait_for(LIMIT, "all of its slots are served", || {
        let count = runs(&host, "x", "success");
        if count >= 4.0 { Ok(()) } else { Err(count) }
    });
    // The slots after that are not its.
    let last = slot(&host, "x.prom");
    wait_for(LIMIT, "the next slot has begun", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        if now > u128::from(last) + 4_200 { Ok(()) } else { Err(()) }
    });
    assert_eq!((slot(&host, "x.prom"), runs(&host, "x", "success")), (last, 4.0));
    let_go(&host, "slow");
    assert_eq!(end(run), (0, String::new()));
    assert_eq!(runs(&host, "slow", "success"), 1.0);
    // Each slot once, the first at once and the others at their beginning.
    let times = fs::read_to_string(host.path("slots")).unwrap();
    let seconds: Vec<u64> =
        times.lines().map(|time| time.split('.').next().unwrap().parse().unwrap()).collect();
    assert_eq!(seconds.len(), 4, "{times}");
    assert!(seconds[1..].windows(2).all(|pair| pair[1] == pair[0] + 2), "{times}");
}

#[test]
fn told_to_end_it_ends_what_runs_and_starts_no_more() {
    let host = Host::new();
    waits(&host, "slow", "interval: 1h\ntimeout: 1h\n");
    waits(&host, "waiting", "interval: 1h\ntimeout: 1h\n");
    let run = start(&host, &["run", "--every", "1s", "--for", "1h", "--jobs", "1"]);
    wait_for(LIMIT, "the slow one runs", || has_begun(&host, "slow"));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(run.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let said = "promdrop: told to end: what ran was ended, what was published before stands\n";
    assert_eq!(end(run), (1, said.to_owned()));
    assert!(has_begun(&host, "waiting").is_err());
    assert_eq!(names(&host), [".promdrop.lock"]);
}

#[test]
fn a_wrong_time_is_usage_and_says_what_may_be_written() {
    let host = Host::new();
    for (arguments, message) in [
        (&["--every", "15s"][..], "--for <DURATION>"),
        (&["--for", "1m"], "--every <DURATION>"),
        (&["--every", "15s", "--for", "1m", "x"], "cannot be used with"),
        (&["--jobs", "0"], "0 is not in 1..=1000"),
        (&["--every", "0.5s", "--for", "1m"], "--every: 0.5s is too short"),
        (&["--every", "500ms", "--for", "1m"], "--every: 500ms is too short\n   = give 1s to 1day"),
        (&["--every", "15s", "--for", "10s"], "--for: 10s is too short\n   = give 15s to 1day"),
        (&["--every", "15s", "--for", "1M"], "--for: 1M is too long\n   = give 15s to 1day; `m` is a minute"),
        (&["--every", "x", "--for", "y"], "--for: `y` is not a duration"),
    ] {
        let (status, stdout, stderr) = host.outcome(&[&["run"], arguments].concat());
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}
