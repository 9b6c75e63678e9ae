use super::*;
use crate::config::fields::Stem;
use crate::exec::record::{Ended, Event, Own, Transfer, take_in};
use crate::exposition::render;
use crate::textfile;

fn about() -> About {
    About {
        name: Stem::parse("job").unwrap(),
        labels: vec![("team".into(), "x".into())],
        max_age: Some(Duration::from_secs(60)),
        expect_every: Some(Duration::from_secs(86_400)),
        buckets: vec![Duration::from_secs(1), Duration::from_secs(10)],
    }
}

fn header() -> Header {
    Header::new(textfile::Kind::Exec, "user 0", "exec.job.prom")
}

fn samples(families: &[Family]) -> String {
    let mut text = String::new();
    render(families, &mut text);
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    samples.join("\n").replace("promdrop_exec_", "").replace("name=\"job\",team=\"x\"", "*")
}

fn ended(transfer: Option<Transfer>) -> Event {
    let ended = Ended {
        verdict: Verdict::Signal,
        status: 137,
        signal: 9,
        began: 1_500,
        at: 3_750,
        duration: Duration::from_millis(2_250),
        usage: None,
        transfer,
    };
    Event::Ended(ended, None, Own { series: 3, accepted: false })
}

#[test]
fn before_a_run_has_ended_nothing_is_said_of_how() {
    let mut header = header();
    take_in(&mut header, &Event::Began(1_500, None), &|_| true);
    let told = samples(&families(&about(), &header));
    let expected = "\
running{*} 0
start_timestamp_seconds{*} 1.5
end_timestamp_seconds{*} 0
last_success_timestamp_seconds{*} 0
runs_total{*,result=\"success\"} 0
runs_total{*,result=\"exit\"} 0
runs_total{*,result=\"signal\"} 0
runs_total{*,result=\"timeout\"} 0
runs_total{*,result=\"spawn\"} 0
runs_total{*,result=\"skipped\"} 0
runs_total{*,result=\"lost\"} 0
max_age_seconds{*} 60";
    assert_eq!(told, expected);
}

#[test]
fn all_that_is_known_is_told_and_nothing_else() {
    let mut header = header();
    take_in(&mut header, &ended(Some(Transfer { read: 5, written: 6 })), &|_| true);
    let told = samples(&families(&About { max_age: None, ..about() }, &header));
    let expected = "\
running{*} 0
start_timestamp_seconds{*} 1.5
end_timestamp_seconds{*} 3.75
duration_seconds{*} 2.25
exit_status{*} 137
signal{*} 9
success{*} 0
last_success_timestamp_seconds{*} 0
runs_total{*,result=\"success\"} 0
runs_total{*,result=\"exit\"} 0
runs_total{*,result=\"signal\"} 1
runs_total{*,result=\"timeout\"} 0
runs_total{*,result=\"spawn\"} 0
runs_total{*,result=\"skipped\"} 0
runs_total{*,result=\"lost\"} 0
read_bytes{*} 5
written_bytes{*} 6
expected_interval_seconds{*} 86400
max_age_seconds{*} 0
series{*} 3
output_accepted{*} 0";
    assert_eq!(told, expected);
}

#[test]
fn the_histogram_goes_on_from_run_to_run_while_its_bounds_stay() {
    let mut state = State::default();
    let second = Duration::from_secs;
    assert!(observe(&about(), &mut state, &[second(1), second(5)]).is_some());
    let told = samples(&[observe(&about(), &mut state, &[second(60)]).unwrap()]);
    let expected = "\
run_duration_seconds_bucket{*,le=\"1\"} 1
run_duration_seconds_bucket{*,le=\"10\"} 2
run_duration_seconds_bucket{*,le=\"+Inf\"} 3
run_duration_seconds_sum{*} 66
run_duration_seconds_count{*} 3";
    assert_eq!(told, expected);
    // At the beginning of the next run.
    assert_eq!(samples(&[observe(&about(), &mut state, &[]).unwrap()]), expected);
    let other = About { buckets: vec![second(2)], ..about() };
    assert!(samples(&[observe(&other, &mut state, &[second(1)]).unwrap()]).ends_with("count{*} 1"));
    assert_eq!(observe(&About { buckets: Vec::new(), ..about() }, &mut state, &[second(1)]), None);
}

#[test]
fn every_name_is_promdrops_own_and_told_once() {
    let mut names = DESCRIPTORS.map(|descriptor| descriptor.name).to_vec();
    assert!(names.iter().all(|name| name.starts_with("promdrop_exec_")));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DESCRIPTORS.len());
}
