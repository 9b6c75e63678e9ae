//! Whatever dies when: a reader of the published file sees the whole old one or the whole new one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support;
use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::processes;
use crate::support::random::Random;
use crate::support::series::Series;

const RUNS: usize = 400;

/// One run in so many is not killed: it publishes, and shows how long a run takes at present.
const SPARED: usize = 10;

/// Samples of a file: enough that it is not written in one page.
const SAMPLES: usize = 1000;

/// All samples of a run have the same value, another in each run: a file of two runs would show.
const COLLECTOR: &str = r##"
module: command
command:
  shell: |
    awk -v run="$(($(date +%s%N) % 1000000007))" 'BEGIN {
      print "# HELP kill_probe The number of a run."
      print "# TYPE kill_probe gauge"
      for (i = 0; i < 1000; i++) printf "kill_probe{sample=\"%d\"} %d\n", i, run
    }'
"##;

#[test]
fn killed_at_any_moment_it_leaves_whole_files_and_nothing_else() {
    whole_files_and_nothing_else(RUNS);
}

#[test]
#[ignore = "takes long: tests/run --long"]
fn long_killed_two_thousand_times_it_leaves_whole_files_and_nothing_else() {
    whole_files_and_nothing_else(2_000);
}

fn whole_files_and_nothing_else(runs: usize) {
    in_fresh(move || {
        let host = Host::new();
        host.collector("probe", COLLECTOR);
        host.run_well(&["probe"]);

        let done = AtomicBool::new(false);
        let (seen, killed) = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut seen, mut last) = (BTreeSet::new(), String::new());
                while !done.load(Ordering::Relaxed) {
                    // Read as often as can be: what is as it was needs no second look.
                    let text = fs::read_to_string(host.textfile_dir().join("probe.prom")).unwrap();
                    if text != last {
                        seen.insert(the_number_of(&Series::parse(&text)));
                        last = text;
                    }
                }
                seen
            });
            let killed = kill_runs(&host, runs, || reader.is_finished());
            done.store(true, Ordering::Relaxed);
            (reader.join().expect("the reader saw something else than a whole file"), killed)
        });
        println!("{killed} of {runs} runs were killed, {} numbers were seen", seen.len());
        assert!(killed >= runs / 2, "only {killed} runs were killed before their end");
        assert!(seen.len() >= runs / SPARED / 2, "the file hardly changed while it was read: {seen:?}");
        processes::await_none(Duration::from_secs(20));

        age_temporaries(&host);
        host.run_well(&["probe"]);
        let left: Vec<String> = names(&host).into_iter().filter(|name| is_temporary(name)).collect();
        assert!(left.is_empty(), "the next run left behind {left:?}");
    });
}

/// Starts runs and kills each at a moment that chance chooses; how many had not ended by then.
fn kill_runs(host: &Host, runs: usize, reader_has_failed: impl Fn() -> bool) -> usize {
    let mut random = Random::new();
    let mut whole_run = Duration::ZERO;
    let mut killed = 0;
    for count in 0..runs {
        if reader_has_failed() {
            break;
        }
        if count % SPARED == 0 {
            let started = Instant::now();
            host.run_well(&["probe"]);
            whole_run = started.elapsed();
            continue;
        }
        let mut run = host.run().arg("probe").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(whole_run.mul_f64(random.unit()));
        run.kill().unwrap();
        killed += usize::from(run.wait().unwrap().signal().is_some());
    }
    killed
}

/// The number that all samples of `file` show. Fails on a file that is not whole.
fn the_number_of(file: &Series) -> u64 {
    assert_eq!(file.value("promdrop_collector_success", &[("collector", "probe")]), 1.0);
    let number = file.value("kill_probe", &[("sample", "0")]);
    for sample in 0..SAMPLES {
        assert_eq!(
            file.value("kill_probe", &[("sample", &sample.to_string())]),
            number,
            "two runs in one file"
        );
    }
    number as u64
}

/// Makes the temporary files old enough to be swept: younger ones may be in somebody's hands.
fn age_temporaries(host: &Host) {
    let old = SystemTime::now() - Duration::from_secs(3600);
    let temporaries: Vec<String> = names(host).into_iter().filter(|name| is_temporary(name)).collect();
    println!("{} temporary files were left", temporaries.len());
    for name in temporaries {
        let file = fs::File::options().write(true).open(host.textfile_dir().join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
}

/// Neither a published file nor the lock.
fn is_temporary(name: &str) -> bool {
    !name.ends_with(".prom") && name != ".promdrop.lock"
}

fn names(host: &Host) -> Vec<String> {
    support::names(&host.textfile_dir())
}
