//! Many of promdrop's processes publish at the same time what contradicts each other, and another tool among them:
//! at no moment does a file of promdrop's contradict another.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use promdrop::exposition::{Finding, judge};

use crate::support::host::Host;
use crate::support::names;
use crate::support::random::Random;

const PROCESSES: usize = 300;

/// So many of them at a time.
const AT_ONCE: usize = 8;

/// Collectors that are always there; `d` and `e` are one that is renamed to and fro.
const STEMS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What anybody may publish, who being `who`: any two contradict each other, or agree.
fn texts(who: &str) -> Vec<String> {
    let mail = |help: &str, kind: &str, labels: &str| format!("{help}# TYPE mail {kind}\nmail{labels} 1\n");
    let labels = format!("{{who=\"{who}\"}}");
    let (old, new) = ("# HELP mail Old.\n", "# HELP mail New.\n");
    let queue = format!("# HELP queue Q.\n# TYPE queue gauge\nqueue{labels} 1\n");
    vec![
        mail(old, "gauge", &labels),
        mail(new, "gauge", &labels),
        mail("", "gauge", &labels),
        mail(old, "counter", &labels),
        mail(old, "gauge", ""),
        mail(new, "gauge", "") + &queue,
        format!(
            "# HELP mail Old.\n# TYPE mail histogram\nmail_bucket{{who=\"{who}\",le=\"+Inf\"}} 1\n\
             mail_sum{labels} 1\nmail_count{labels} 1\n{queue}"
        ),
        format!("# HELP mail_count Old.\n# TYPE mail_count gauge\nmail_count{labels} 1\n"),
        queue,
    ]
}

#[test]
fn no_file_of_promdrops_contradicts_another_at_any_moment() {
    at_no_moment(PROCESSES);
}

#[test]
#[ignore = "takes long: tests/run --long"]
fn long_no_file_of_promdrops_contradicts_another_at_any_moment() {
    at_no_moment(5_000);
}

fn at_no_moment(processes: usize) {
    let mut random = Random::new();
    let host = &Host::new();
    for stem in STEMS {
        for (number, text) in texts(stem).iter().enumerate() {
            fs::write(host.path(&format!("{stem}.{number}")), text).unwrap();
        }
    }
    for stem in ["a", "b", "c", "d"] {
        define(host, stem, &mut random);
    }
    let done = AtomicBool::new(false);
    let started = AtomicUsize::new(0);
    let (sender, ended) = channel();
    let (statuses, seen) = thread::scope(|scope| {
        let checker = scope.spawn(|| watch(&host.textfile_dir(), &done));
        let intruder = random.fork();
        scope.spawn(|| intrude(host, intruder, ended));
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (random, sender) = (random.fork(), sender.clone());
                let next =
                    || !done.load(Ordering::Relaxed) && started.fetch_add(1, Ordering::Relaxed) < processes;
                scope.spawn(move || work(host, random, sender, next))
            })
            .collect();
        drop(sender);
        let statuses: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        let seen = checker.join().unwrap().unwrap_or_else(|harm| panic!("at odds: {harm}"));
        (statuses.into_iter().flat_map(Result::unwrap).collect::<Vec<i32>>(), seen)
    });
    let failed = statuses.iter().filter(|status| **status == 1).count();
    println!("{} processes, {failed} had a conflict; {seen} states were seen", statuses.len());
    assert_eq!(statuses.len(), processes);
    assert!(failed > processes / 10 && failed < processes * 9 / 10, "{failed} had a conflict");
    assert!(seen > processes / 5, "only {seen} states were seen");

    // One tick meets what came since.
    host.run().output().unwrap();
    let files = read(&host.textfile_dir());
    let (ours, theirs): (Vec<_>, Vec<_>) = files.iter().partition(|(_, text)| is_ours(text));
    assert!(!theirs.is_empty());
    for other in theirs {
        let mut files = ours.clone();
        files.push(other);
        assert_eq!(harm(&files), []);
    }
    let left: Vec<String> = names(&host.textfile_dir())
        .into_iter()
        .filter(|name| !name.ends_with(".prom") && name != ".promdrop.lock")
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    settles(host);
}

/// Where nobody else publishes any more, the collectors come to an end of their quarrels.
fn settles(host: &Host) {
    for name in names(&host.textfile_dir()) {
        if name.starts_with(['f', 'w']) {
            fs::remove_file(host.textfile_dir().join(name)).unwrap();
        }
    }
    let d = if host.collectors_dir().join("d.yaml").exists() { "d" } else { "e" };
    let run = || {
        host.run().args(["a", "b", "c", d]).output().unwrap();
        let text = |stem: &&str| host.text(&format!("{stem}.prom"));
        let mail = |text: String| {
            let is_own = |line: &&str| line.contains("promdrop");
            text.lines().filter(|line| !is_own(line)).map(|line| format!("{line}\n")).collect::<String>()
        };
        ["a", "b", "c", d].iter().map(text).map(mail).collect::<Vec<_>>()
    };
    run();
    let first = run();
    assert!(first.iter().any(|text| !text.is_empty()), "{first:?}");
    for _ in 0..3 {
        assert_eq!(run(), first);
    }
}

/// Starts processes one after the other; their exit statuses.
fn work(host: &Host, mut random: Random, ended: Sender<()>, next: impl Fn() -> bool) -> Vec<i32> {
    let mut statuses = Vec::new();
    while next() {
        match random.below(4) {
            0 => define(host, ["a", "b", "c"][random.below(3)], &mut random),
            1 => rename(host),
            _ => {}
        }
        let output = match random.below(2) {
            0 => {
                let who = random.pick(&["w1", "w2", "w3", "w4"]);
                let file = host.path(&format!("{who}.{}", random.below(usize::MAX)));
                fs::write(&file, random.pick(&texts(who))).unwrap();
                let mut write = host.promdrop();
                write.args(["write", who]).stdin(fs::File::open(&file).unwrap());
                finish(&mut write)
            }
            _ => {
                let names = [&["a", "b", "c"][..], &["a"], &["b"], &["c"], &[]];
                finish(host.run().args(*random.pick(&names)).stdin(Stdio::null()))
            }
        };
        statuses.push(output);
        let _ = ended.send(());
    }
    statuses
}

#[track_caller]
fn finish(command: &mut Command) -> i32 {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let status = output.status.code();
    assert!(matches!(status, Some(0 | 1)), "{}: {stderr}", output.status);
    assert!(!stderr.contains("panicked") && !stderr.contains("fault in promdrop"), "{stderr}");
    status.unwrap()
}

/// Has the collector `stem` publish another text from now on, or the same, with another time of its definition.
fn define(host: &Host, stem: &str, random: &mut Random) {
    let told = host.path(&format!("{stem}.{}", random.below(texts(stem).len())));
    let keep = if random.below(2) == 0 { "keep" } else { "drop" };
    let yaml = format!(
        "module: command\ninterval: 10s\ntimeout: 10s\non_failure: {keep}\ncommand:\n  argv: [cat, {}]\n",
        told.display()
    );
    let place = host.path(&format!("{stem}.{}.yaml", random.below(usize::MAX)));
    fs::write(&place, yaml).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + random.below(10) as u64);
    fs::File::options().write(true).open(&place).unwrap().set_modified(time).unwrap();
    fs::rename(place, host.collectors_dir().join(format!("{stem}.yaml"))).unwrap();
}

/// Calls the collector `d` `e`, or back.
fn rename(host: &Host) {
    let (d, e) = (host.collectors_dir().join("d.yaml"), host.collectors_dir().join("e.yaml"));
    // Two may do it at once.
    let _ = fs::rename(&d, &e).or_else(|_| fs::rename(&e, &d));
}

/// Another tool: it publishes, without a lock and whatever it likes, as often as a process ends.
fn intrude(host: &Host, mut random: Random, ended: Receiver<()>) {
    let place = host.path("theirs");
    let mut files = ["f1.prom", "f2.prom"].map(|name| host.textfile_dir().join(name));
    for () in ended {
        files.swap(0, 1);
        match random.below(4) {
            0 => {
                let _ = fs::remove_file(&files[0]);
            }
            1 => publish(&place, &files[0], random.pick(&texts("them")).as_str()),
            _ => publish(&place, &files[0], &format!("theirs{{number=\"{}\"}} 1\n", random.below(9))),
        }
    }
    publish(&place, &files[0], "theirs 1\n");
}

fn publish(place: &Path, file: &Path, text: &str) {
    fs::write(place, text).unwrap();
    fs::rename(place, file).unwrap();
}

/// Looks at the directory over and over; how many states of it were seen. Ends where promdrop's files harm.
fn watch(directory: &Path, done: &AtomicBool) -> Result<usize, String> {
    let (mut seen, mut last) = (0, BTreeMap::new());
    while !done.load(Ordering::Relaxed) {
        let before = stats(directory);
        if before == last {
            continue;
        }
        let files = read(directory);
        // What has not changed between two looks at all of it stood there at the moment between them.
        if stats(directory) != before {
            continue;
        }
        let ours: Vec<_> = files.iter().filter(|(_, text)| is_ours(text)).collect();
        let harm = harm(&ours);
        if !harm.is_empty() {
            done.store(true, Ordering::Relaxed);
            let texts = ours.iter().map(|(name, text)| format!("{name}:\n{}", String::from_utf8_lossy(text)));
            return Err(format!("{harm:#?}\n{}", texts.collect::<String>()));
        }
        seen += 1;
        last = before;
    }
    Ok(seen)
}

type Stat = (u64, u64, (i64, i64), (i64, i64));

/// What tells a version of each file from another.
fn stats(directory: &Path) -> BTreeMap<String, Stat> {
    let stat = |name: String| {
        let stat = fs::symlink_metadata(directory.join(&name)).ok()?;
        let times = ((stat.mtime(), stat.mtime_nsec()), (stat.ctime(), stat.ctime_nsec()));
        Some((name, (stat.ino(), stat.size(), times.0, times.1)))
    };
    proms(directory).into_iter().filter_map(stat).collect()
}

fn read(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let text = |name: String| Some((fs::read(directory.join(&name)).ok()?, name));
    proms(directory).into_iter().filter_map(text).map(|(text, name)| (name, text)).collect()
}

fn proms(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".prom")).collect()
}

fn is_ours(text: &[u8]) -> bool {
    text.starts_with(b"# promdrop-format: ")
}

/// What node_exporter would make of `files` that nobody meant.
fn harm(files: &[&(String, Vec<u8>)]) -> Vec<(String, Finding)> {
    let texts: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let found = judge(&texts).into_iter().filter(|(_, finding)| finding.harm.is_some());
    found.map(|(file, finding)| (texts[file].0.to_owned(), finding)).collect()
}
