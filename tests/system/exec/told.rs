//! What is told of a job, and that node_exporter serves all of it.

use std::time::{Duration, SystemTime};

use super::{NAME, text};
use crate::support::exporter::{Exporter, VERSIONS};
use crate::support::host::Host;

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

#[test]
fn times_and_use_are_those_of_the_run() {
    let host = Host::new();
    let before = now();
    let script = "python3 -c 'b = bytearray(b\"x\") * 100_000_000; import time; \
                  end = time.process_time() + 0.3\nwhile time.process_time() < end: pass'; \
                  dd if=/dev/zero of=$0 bs=1M count=5 conv=fsync 2>&1 | tail -n1 >/dev/null";
    let mut exec = host.exec(&["--max-age", "2h", "--expect-every", "1d"]);
    let output = exec.args(["sh", "-c", script]).arg(host.path("written")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let after = now();
    for (what, low, high) in [
        ("running", 0.0, 0.0),
        ("start_timestamp_seconds", before - 0.002, after),
        ("end_timestamp_seconds", before + 0.3, after),
        ("last_success_timestamp_seconds", before + 0.3, after),
        ("duration_seconds", 0.3, after - before),
        ("exit_status", 0.0, 0.0),
        ("signal", 0.0, 0.0),
        ("success", 1.0, 1.0),
        ("cpu_seconds", 0.3, after - before),
        ("memory_peak_bytes", 100e6, 300e6),
        ("read_bytes", 0.0, 1e9),
        ("max_age_seconds", 7200.0, 7200.0),
        ("expected_interval_seconds", 86_400.0, 86_400.0),
        ("series", 0.0, 0.0),
        ("output_accepted", 1.0, 1.0),
    ] {
        let value = host.told(what);
        assert!((low..=high).contains(&value), "{what}: {value} is not in {low}..={high}");
    }
    // A filesystem in memory has no storage that it would reach.
    let written = host.told("written_bytes");
    assert!(written == 0.0 || (5e6..1e9).contains(&written), "{written}");
}

/// bash becomes the last command that it has.
#[test]
fn what_the_shell_before_promdrop_used_is_not_the_jobs() {
    let host = Host::new();
    let exec = host.exec(&[]);
    let burn = "b = bytearray(b'x') * 100_000_000; import time\nwhile time.process_time() < 1: pass";
    let mut bash = super::bare("bash");
    bash.args(["-c", "python3 -c \"$0\"; exec \"$@\"", burn]).arg(exec.get_program()).args(exec.get_args());
    assert!(bash.arg("true").status().unwrap().success());
    assert!(host.told("cpu_seconds") < 0.5, "{}", host.told("cpu_seconds"));
    assert!(!host.series().has("promdrop_exec_memory_peak_bytes"));
}

#[test]
fn while_it_runs_it_says_so_and_what_the_last_run_told_stands() {
    let host = Host::new();
    let file = host.textfile_dir().join(super::FILE);
    let script =
        format!("until grep -q 'exec_running.* 1$' {0}; do sleep 0.05; done; cat {0}", file.display());
    let options = ["--timeout", "60s", "--expect-every", "1d"];
    let first = host.exec_sh(&options, &format!("{script}; exit 3"));
    let first = crate::support::series::Series::parse(&text(&first.stdout));
    assert!(!first.has("promdrop_exec_expected_interval_seconds"), "it would alert at once");
    assert!(!first.has("promdrop_exec_success") && !first.has("promdrop_exec_duration_seconds"));
    let own = [("name", NAME)];
    assert_eq!(first.value("promdrop_exec_end_timestamp_seconds", &own), 0.0);
    let end = host.told("end_timestamp_seconds");
    let second = crate::support::series::Series::parse(&text(&host.exec_sh(&options, &script).stdout));
    assert!(second.has("promdrop_exec_expected_interval_seconds"));
    for (what, value) in [("exit_status", 3.0), ("success", 0.0), ("end_timestamp_seconds", end)] {
        assert_eq!(second.value(&format!("promdrop_exec_{what}"), &own), value);
    }
    assert!(second.value("promdrop_exec_start_timestamp_seconds", &own) >= end);
}

#[test]
fn the_histogram_goes_on_over_runs() {
    let host = Host::new();
    for _ in 0..3 {
        host.exec_sh(&["--buckets", "1ms, 20s,1m"], "sleep 0.1");
    }
    // One that could not be started took no time.
    host.exec(&["--buckets", "1ms, 20s,1m"]).arg("no-such-program").output().unwrap();
    assert_eq!(host.runs("spawn"), 1.0);
    let series = host.series();
    let bucket =
        |le| series.value("promdrop_exec_run_duration_seconds_bucket", &[("name", NAME), ("le", le)]);
    assert_eq!([bucket("0.001"), bucket("20"), bucket("60"), bucket("+Inf")], [0.0, 3.0, 3.0, 3.0]);
    let sum = series.value("promdrop_exec_run_duration_seconds_sum", &[("name", NAME)]);
    assert!((0.3..60.0).contains(&sum), "{sum}");
}

#[test]
fn every_node_exporter_serves_all_of_it() {
    let host = Host::new();
    let script = "printf '# HELP own_metric M.\\n# TYPE own_metric gauge\\nown_metric{x=\"1\"} 5\\n' >$PROMDROP_OUTPUT; exit 3";
    host.exec_sh(&["--buckets", "1s,1m", "--expect-every", "1d", "--label", "team=x"], script);
    assert!(host.promdrop().args(["exec", "other", "--", "true"]).status().unwrap().success());
    let lint = host.promdrop().arg("lint").output().unwrap();
    assert_eq!((text(&lint.stdout), lint.status.code()), (String::new(), Some(0)));
    for (_, version) in VERSIONS {
        let scrape = Exporter::start_textfile_only(version, &host.textfile_dir()).scrape();
        assert_eq!(scrape.value("node_textfile_scrape_error", &[]), 0.0, "{version}");
        for file in ["exec.job", "exec.other"] {
            assert_eq!(host.published(file).missing_in(&scrape), [], "{version}");
        }
    }
    let names = host.series();
    let names: Vec<_> = names
        .names()
        .into_iter()
        .filter(|name| name.starts_with("promdrop_exec_"))
        .map(str::to_owned)
        .collect();
    assert!(names.len() >= 18, "{names:?}");
}

#[test]
fn a_job_that_is_past_its_age_goes_and_one_that_runs_does_not() {
    let host = Host::new();
    host.exec_sh(&["--max-age", "1s"], "true");
    std::thread::sleep(Duration::from_millis(1100));
    assert!(host.sweep().contains("exec.job.prom: removed: it is past its age"));
    let mut child = host.exec(&["--max-age", "1s"]).args(["sleep", "60"]).spawn().unwrap();
    host.await_running(true);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(host.sweep(), "");
    assert_eq!(host.told("running"), 1.0);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    super::await_end(&mut child);
}

/// The clock was set back since the last success, by more than the age.
#[test]
fn a_success_in_the_future_is_no_reason_to_remove_a_later_run() {
    let host = Host::new();
    host.exec_sh(&["--max-age", "1h"], "true");
    host.exec_sh(&["--max-age", "1h"], "exit 3");
    let text = host.text(super::FILE);
    let line = text.lines().find(|line| line.starts_with("# promdrop-last-success-ms: ")).unwrap();
    let future = "# promdrop-last-success-ms: 99999999999999";
    std::fs::write(host.textfile_dir().join(super::FILE), text.replace(line, future)).unwrap();
    assert_eq!(host.sweep(), "");
    assert_eq!(host.runs("exit"), 1.0);
}

#[test]
fn status_shows_it() {
    let host = Host::new();
    host.exec_sh(&[], "exit 3");
    let (status, stdout, _) = host.outcome(&["status", "--json"]);
    assert_eq!(status, 1);
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let row = &document["collectors"][0];
    assert_eq!((row["name"].as_str(), row["result"].as_str()), (Some("job"), Some("exit")));
    assert_eq!(row["reason"].as_str(), Some("the job exited with status 3"));
    assert!(row["last_run_timestamp_seconds"].as_f64().unwrap() > 1e9);
}
