use super::*;
use crate::exec::About;
use crate::exec::families::families;
use crate::textfile::{Kind, Process};

fn header() -> Header {
    Header::new(Kind::Exec, "user 0", "exec.job.prom")
}

fn run(pid: u32) -> Running {
    let [job, waiter] = [pid, pid + 1].map(|pid| Process { pid, start: 1 });
    Running { job, waiter, namespace: 1, boot: 1 }
}

fn ended(verdict: Verdict, at: u64) -> Ended {
    Ended {
        verdict,
        status: u64::from(verdict != Verdict::Success),
        signal: 0,
        began: at - 10,
        at,
        duration: Duration::from_millis(10),
        usage: Some(Used { cpu: Duration::from_millis(1500), memory_peak: Some(4096) }),
        transfer: None,
    }
}

const OWN: Own = Own { series: 2, accepted: true };

/// Odd ones live.
fn odd(running: &Running) -> bool {
    running.job.pid % 2 == 1
}

fn all(_: &Running) -> bool {
    true
}

fn counts(header: &Header) -> Vec<(&'static str, u64)> {
    let count = |verdict: Verdict| (verdict.word(), count(&header.state, verdict));
    Verdict::ALL.into_iter().map(count).filter(|(_, n)| *n > 0).collect()
}

fn about() -> About {
    About {
        name: crate::config::fields::Stem::parse("job").unwrap(),
        labels: vec![("team".into(), "x".into())],
        max_age: None,
        expect_every: None,
        buckets: Vec::new(),
    }
}

#[test]
fn what_tells_of_the_last_run_that_ended_stays_while_the_next_one_runs() {
    let mut header = header();
    take_in(&mut header, &Event::Began(90, Some(run(1))), &all);
    assert_eq!((header.running.len(), header.slot), (1, Some(90)));
    take_in(&mut header, &Event::Ended(ended(Verdict::Success, 100), Some(run(1)), OWN), &all);
    assert_eq!((header.running.len(), header.slot, header.last_success), (0, Some(100), Some(100)));
    assert_eq!((header.state.get(key::BEGAN), header.state.get(key::ENDED)), (90, 100));
    take_in(&mut header, &Event::Began(200, Some(run(3))), &all);
    assert_eq!((header.state.get(key::BEGAN), header.state.get(key::ENDED)), (200, 100));
    assert_eq!((header.state.get(key::SUCCESS), header.failure.as_deref()), (1, None));
    take_in(&mut header, &Event::Ended(ended(Verdict::Exit, 300), Some(run(3)), OWN), &all);
    assert_eq!((header.state.get(key::SUCCESS), header.last_success), (0, Some(100)));
    assert_eq!(header.failure.as_deref(), Some("exit: the job exited with status 1"));
    assert_eq!(counts(&header), [("success", 1), ("exit", 1)]);
}

#[test]
fn what_is_not_known_of_a_run_is_not_that_of_the_one_before() {
    let mut header = header();
    let moved = Ended { transfer: Some(Transfer { read: 1, written: 2 }), ..ended(Verdict::Success, 100) };
    take_in(&mut header, &Event::Ended(moved, None, OWN), &all);
    assert_eq!(header.state.get(key::WRITTEN), 2);
    take_in(
        &mut header,
        &Event::Ended(Ended { usage: None, ..ended(Verdict::Success, 200) }, None, OWN),
        &all,
    );
    for key in [key::READ, key::WRITTEN, key::CPU, key::MEMORY] {
        assert_eq!(header.state.numbers(key), None, "{key}");
    }
    assert_eq!(counts(&header), [("success", 2)]);
}

#[test]
fn runs_that_overlap_lose_nothing_of_each_other() {
    let mut header = header();
    take_in(&mut header, &Event::Began(90, Some(run(1))), &all);
    take_in(&mut header, &Event::Began(95, Some(run(3))), &all);
    take_in(&mut header, &Event::Ended(ended(Verdict::Success, 100), Some(run(1)), OWN), &all);
    assert_eq!(header.running, [run(3)]);
    // The other one began later.
    assert_eq!(header.state.get(key::BEGAN), 95);
    take_in(&mut header, &Event::Skipped, &all);
    assert_eq!((header.slot, header.last_success), (Some(100), Some(100)));
    take_in(&mut header, &Event::Ended(ended(Verdict::Signal, 110), Some(run(3)), OWN), &all);
    assert_eq!(counts(&header), [("success", 1), ("signal", 1), ("skipped", 1)]);
    assert!(header.running.is_empty());
}

/// A run that began before the clock was set back, of which the end was not seen.
#[test]
fn a_beginning_in_the_future_does_not_stay() {
    let mut header = header();
    take_in(&mut header, &Event::Began(9_000, None), &all);
    take_in(&mut header, &Event::Ended(ended(Verdict::Success, 100), None, OWN), &all);
    assert_eq!(header.state.get(key::BEGAN), 90);
}

#[test]
fn a_run_that_nobody_saw_end_is_lost_once() {
    let mut header = header();
    take_in(&mut header, &Event::Ended(ended(Verdict::Success, 50), None, OWN), &all);
    for pid in [2, 4, 1] {
        take_in(&mut header, &Event::Began(90, Some(run(pid))), &all);
    }
    // Its own is over, whatever is seen of its process.
    take_in(&mut header, &Event::Ended(ended(Verdict::Success, 60), Some(run(2)), OWN), &odd);
    assert_eq!(counts(&header), [("success", 2), ("lost", 1)]);
    assert_eq!((header.running.as_slice(), header.state.get(key::SUCCESS)), (&[run(1)][..], 1));
    take_in(&mut header, &Event::Began(99, None), &|_| false);
    assert_eq!(counts(&header), [("success", 2), ("lost", 2)]);
    assert_eq!(header.state.get(key::SUCCESS), 0);
    assert!(header.failure.unwrap().starts_with("lost: "));
}

#[test]
fn a_sweep_says_of_a_lost_run_what_the_next_run_would() {
    for first in [true, false] {
        let mut header = header();
        if !first {
            take_in(&mut header, &Event::Ended(ended(Verdict::Success, 50), None, OWN), &all);
        }
        for pid in [2, 1, 4] {
            take_in(&mut header, &Event::Began(90, Some(run(pid))), &all);
        }
        let mut swept = families(&about(), &header);
        mend(&mut header, &mut swept, &odd);
        let mut expected = families(&about(), &header);
        swept.sort_by(|one, two| one.name.cmp(&two.name));
        expected.sort_by(|one, two| one.name.cmp(&two.name));
        assert_eq!(swept, expected);
        assert_eq!(header.running, [run(1)]);
        let before = header.clone();
        mend(&mut header, &mut swept, &odd);
        assert_eq!(header, before);
        mend(&mut header, &mut swept, &|_| false);
        let running = swept.iter().find(|family| family.name == RUNNING.name).unwrap();
        assert_eq!((running.samples[0].value, count(&header.state, Verdict::Lost)), (0.0, 3));
    }
}

#[test]
fn a_failure_is_in_words_of_promdrops_own() {
    for (verdict, signal, words) in [
        (Verdict::Success, 0, None),
        (Verdict::Signal, 9, Some("signal: signal 9 SIGKILL ended the job")),
        (Verdict::Signal, 40, Some("signal: signal 40  ended the job")),
        (Verdict::Timeout, 15, Some("timeout: the job took longer than its --timeout and was ended")),
        (Verdict::Spawn, 0, Some("spawn: the job can't be started")),
    ] {
        let ended = Ended { signal, ..ended(verdict, 50) };
        assert_eq!(ended.failure().as_deref(), words);
    }
}
