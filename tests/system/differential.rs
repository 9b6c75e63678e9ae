//! promdrop's verdict on sets of files made at random, beside what both real node_exporters do with them.
//!
//! Sound: what promdrop passes is served as it was meant, and a real Prometheus takes it. Complete: what both serve as
//! it was meant, promdrop passes, but for what [`strictness`] lists. And of what a node_exporter dies, promdrop says so.
//!
//! `PROMDROP_DIFFERENTIAL_SEED` sets the seed, `_CASES` how many cases there are, `_FIRST` the number of the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use promdrop::exposition::{self, Harm, Rule};
use tempfile::TempDir;

use crate::support::bodies::Bodies;
use crate::support::corpus;
use crate::support::exporter::{Exporter, VERSIONS};
use crate::support::meaning::{Family, Key, Meaning};
use crate::support::prometheus::Prometheus;
use crate::support::sets::{self, Set};

/// How many cases are looked at together.
const BATCH: u64 = 2000;
/// How many disagreements are shown.
const SHOWN: usize = 12;

#[test]
fn what_promdrop_passes_both_node_exporters_serve_as_meant_and_what_they_serve_it_passes() {
    run(1, 20_000);
}

#[test]
#[ignore = "takes three quarters of an hour: tests/run --long"]
fn long_the_same_of_half_a_million_cases() {
    run(2, 500_000);
}

/// The rules that no text breaks.
const OF_ENTRIES: [Rule; 10] = [
    Rule::FileName,
    Rule::Fifo,
    Rule::Socket,
    Rule::Device,
    Rule::DirectoryEntry,
    Rule::BrokenLink,
    Rule::UnreadableFile,
    Rule::UnreadableDirectory,
    Rule::ChangingFile,
    Rule::HugeFile,
];

/// The corpus's cases of `.prom` files and nothing else.
fn corpus_sets() -> (Vec<corpus::Directory>, Vec<Set>) {
    let name = |name: &std::ffi::OsString| name.to_str().unwrap().to_owned();
    let plain = |case: &corpus::Directory| {
        case.setup.is_none() && case.files.iter().all(|(file, _)| name(file).ends_with(".prom"))
    };
    let cases: Vec<_> = corpus::all().into_iter().filter(plain).collect();
    let set =
        |case: &corpus::Directory| case.files.iter().map(|(file, text)| (name(file), text.clone())).collect();
    let sets = cases.iter().map(set).collect();
    (cases, sets)
}

#[test]
fn the_corpus_holds_no_disagreement() {
    let (_, sets) = corpus_sets();
    let mut report = Report::default();
    report.judge(sets.into_iter().enumerate().map(|(number, set)| (number as u64, set)).collect());
    report.finish("of the corpus");
}

/// What is called dead and clean here is what was measured by other means.
#[test]
fn what_counts_as_served_is_what_the_corpus_calls_accepted() {
    let (cases, sets) = corpus_sets();
    let reads: Vec<Read> = sets.into_iter().map(|set| Read::new(0, set)).collect();
    let reads: Vec<&Read> = reads.iter().collect();
    let outcomes = Pair::start().outcomes(&reads);
    let mut differ = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for (outcomes, measured) in outcomes.iter().zip(&case.measured) {
            let outcome = &outcomes[index];
            // Quoted names, which only 1.9.0 takes, are not read here.
            if outcome.unclean.is_some() && measured.class == "accept" && case.class != "accept" {
                continue;
            }
            if (outcome.died, outcome.unclean.is_none()) != (measured.died, measured.class == "accept") {
                differ.push(format!("{} is {measured:?}, here {:?}", case.name, outcome.unclean));
            }
        }
    }
    assert_eq!(differ, Vec::<String>::new(), "{differ:#?}");
}

fn run(seed: u64, cases: u64) {
    let setting = |name: &str, default: u64| match std::env::var(format!("PROMDROP_DIFFERENTIAL_{name}")) {
        Ok(value) => {
            value.parse().unwrap_or_else(|_| panic!("PROMDROP_DIFFERENTIAL_{name} is no number: {value}"))
        }
        Err(_) => default,
    };
    let (seed, cases, first) = (setting("SEED", seed), setting("CASES", cases), setting("FIRST", 0));
    let (_, known) = corpus_sets();
    let mut report = Report::default();
    let numbers = first..first + cases;
    for start in numbers.clone().step_by(BATCH as usize) {
        let batch = start..numbers.end.min(start + BATCH);
        report.judge(batch.map(|number| (number, sets::set(seed, number, &known))).collect());
        // For who watches the long form.
        if report.cases.is_multiple_of(20_000) {
            let reasons: Vec<&String> = report.disagreements.keys().collect();
            println!("{} cases, {} passed, disagreements: {reasons:?}", report.cases, report.passed);
        }
        if report.disagreements.len() > SHOWN {
            break;
        }
    }
    report.finish(&format!("of seed {seed} (PROMDROP_DIFFERENTIAL_SEED, _FIRST, _CASES)"));
}

/// What promdrop finds harmful in a set.
fn judge(set: &Set) -> Vec<Found> {
    let files: Vec<(&str, &[u8])> = set.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let found = exposition::judge(&files).into_iter().filter_map(|(file, finding)| {
        let harm = finding.harm?;
        Some(Found { file, rule: finding.rule.name(), harm, message: finding.message })
    });
    found.collect()
}

/// What promdrop finds harmful.
#[derive(Debug, Clone)]
struct Found {
    file: usize,
    rule: &'static str,
    harm: Harm,
    message: String,
}

/// Why promdrop may find harm in what both node_exporters serve as it was meant: the whole list.
fn strictness(found: &Found, meanings: &[Meaning]) -> bool {
    match found.rule {
        // Names of node_exporter's and Prometheus's own, though with labels that are not taken.
        "reserved-name" => meanings.iter().flat_map(|meaning| meaning.families.keys()).any(|name| {
            let own = [
                "go_",
                "node_exporter_",
                "node_scrape_",
                "node_textfile_",
                "process_",
                "promhttp_",
                "scrape_",
            ];
            name == "up" || own.iter().any(|own| name.starts_with(own)) || SERVED_BY_DEFAULT.contains(name)
        }),
        // Numbers that no histogram has.
        "histogram" => meanings.iter().any(Meaning::has_impossible_histogram),
        "summary" => meanings.iter().any(Meaning::has_impossible_quantile),
        // Later versions than those here die of one whose parts alone have samples.
        "gauge-histogram" => meanings.iter().any(Meaning::has_gauge_histogram),
        _ => false,
    }
}

/// The families that a node_exporter serves with its default collectors.
static SERVED_BY_DEFAULT: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let served = |(_, version)| Exporter::start(version, dir.path()).scrape_text();
    let families = |text: String| Meaning::read(text.as_bytes()).unwrap().families.into_keys();
    VERSIONS.into_iter().map(served).flat_map(families).collect()
});

/// What a node_exporter did with a set.
#[derive(Debug, Clone)]
struct Outcome {
    died: bool,
    body: Vec<u8>,
    /// Why this isn't what was meant; nothing where it is.
    unclean: Option<String>,
}

/// A node_exporter, and the directory it reads.
struct Subject {
    version: &'static str,
    dir: TempDir,
    exporter: Exporter,
    own: Own,
    files: Vec<String>,
    /// Of the next scrape, if no error comes before.
    errors: f64,
}

/// What a node_exporter serves from an empty directory.
struct Own {
    keys: BTreeSet<Key>,
    families: BTreeMap<String, Family>,
}

impl Subject {
    fn start(version: &'static str) -> Self {
        let dir = TempDir::new().unwrap();
        let mut exporter = Exporter::start_textfile_only(version, dir.path());
        let empty = Meaning::read(&exporter.scrape_or_die().unwrap()).unwrap();
        let own = Own { keys: empty.series.into_keys().collect(), families: empty.families };
        Self { version, dir, exporter, own, files: Vec::new(), errors: 0.0 }
    }

    fn restart(&mut self) {
        self.lay_out(&Set::new());
        self.exporter = Exporter::start_textfile_only(self.version, self.dir.path());
        self.errors = 0.0;
    }

    fn lay_out(&mut self, set: &Set) {
        for file in self.files.drain(..) {
            if set.iter().all(|(name, _)| *name != file) {
                fs::remove_file(self.dir.path().join(file)).unwrap();
            }
        }
        for (name, text) in set {
            fs::write(self.dir.path().join(name), text).unwrap();
            self.files.push(name.clone());
        }
    }

    /// Scrapes once: the text, and whether the scrape before had an error, which node_exporter tells only now.
    fn scrape(&mut self) -> Option<(Vec<u8>, bool)> {
        let body = self.exporter.scrape_or_die()?;
        let label = b"promhttp_metric_handler_errors_total{cause=\"gathering\"} ";
        let line = body.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(label));
        let errors: f64 = String::from_utf8_lossy(line.expect("the count of errors")).parse().unwrap();
        let failed = errors > self.errors;
        self.errors = errors;
        Some((body, failed))
    }

    /// What it does with each of these sets.
    fn outcomes(&mut self, sets: &[&Read]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for set in sets {
            self.lay_out(&set.set);
            let failed = match self.scrape() {
                Some((body, failed)) => {
                    let unclean = self.unclean(set, &body).err();
                    if failed && let Some(before) = outcomes.last_mut() {
                        before.unclean.get_or_insert_with(|| "gather error".to_owned());
                    }
                    outcomes.push(Outcome { died: false, body, unclean });
                    continue;
                }
                None => {
                    self.restart();
                    self.failed_before(outcomes.len().checked_sub(1).map(|before| sets[before]))
                }
            };
            if failed && let Some(before) = outcomes.last_mut() {
                before.unclean.get_or_insert_with(|| "gather error".to_owned());
            }
            outcomes.push(Outcome { died: true, body: Vec::new(), unclean: Some("died".into()) });
        }
        self.lay_out(&Set::new());
        if self.scrape().unwrap().1
            && let Some(last) = outcomes.last_mut()
        {
            last.unclean.get_or_insert_with(|| "gather error".to_owned());
        }
        outcomes
    }

    /// Whether this set, before the one that killed it, has an error: asked anew, since the count is lost.
    fn failed_before(&mut self, set: Option<&Read>) -> bool {
        let Some(set) = set else { return false };
        self.lay_out(&set.set);
        if self.scrape().is_none() {
            // It died of this one as well.
            self.restart();
            return false;
        }
        self.lay_out(&Set::new());
        self.scrape().unwrap().1
    }

    /// Whether `body` is just what was meant, besides what it serves anyway.
    fn unclean(&self, set: &Read, body: &[u8]) -> Result<(), String> {
        std::str::from_utf8(body).map_err(|error| format!("a scrape that is not UTF-8: {error}"))?;
        let mut served = Meaning::read(body).map_err(|why| format!("a scrape that can't be read: {why}"))?;
        let error = Key::new("node_textfile_scrape_error", &[]);
        if served.series.get(&error) != Some(&0.0) {
            return Err("error flag".into());
        }
        let meanings = set.meanings.as_ref().map_err(|why| format!("not to be read one way only: {why}"))?;
        let mtimes = self.files.iter().map(|file| {
            let path = self.dir.path().join(file);
            Key::new("node_textfile_mtime_seconds", &[("file", path.to_str().unwrap())])
        });
        for key in self.own.keys.iter().cloned().chain(mtimes) {
            if served.series.remove(&key).is_none() {
                return Err(format!("own series lost: {key:?}"));
            }
        }
        for (name, family) in &self.own.families {
            let now = served.families.get(name);
            if now.is_none_or(|now| now.kind != family.kind || now.help != family.help) {
                return Err(format!("own family changed: {name} is {now:?}"));
            }
        }
        let mut meant = Meaning::union(meanings)?;
        for (key, value) in served.series {
            match meant.remove(&key) {
                Some(wanted) if wanted == value || wanted.is_nan() && value.is_nan() => {}
                Some(wanted) => return Err(format!("another value: {key:?} is {value}, not {wanted}")),
                None if meanings.iter().any(|meaning| meaning.leaves_out(&key, value)) => {}
                None => return Err(format!("never meant: {key:?}")),
            }
        }
        if let Some((key, _)) = meant.first_key_value() {
            return Err(format!("series lost: {key:?}"));
        }
        let families = meanings.iter().flat_map(|meaning| &meaning.families);
        for (name, family) in families.filter(|(_, family)| family.samples > 0) {
            let Some(now) = served.families.get(name) else { return Err(format!("family lost: {name}")) };
            if now.kind() != family.kind() || family.help.is_some() && family.help != now.help {
                return Err(format!("another head: {name} is {now:?}, not {family:?}"));
            }
        }
        Ok(())
    }
}

/// A set, and what it says.
struct Read {
    number: u64,
    set: Set,
    meanings: Result<Vec<Meaning>, String>,
}

impl Read {
    fn new(number: u64, set: Set) -> Self {
        let meanings = set.iter().map(|(_, text)| Meaning::read(text)).collect();
        Self { number, set, meanings }
    }

    /// Whether it needs a look by Prometheus in any case.
    fn is_beyond_ascii(&self) -> bool {
        let plain = |byte: &u8| matches!(byte, b'\n' | b' '..=b'~');
        !self.set.iter().flat_map(|(_, text)| text).all(plain)
    }
}

/// How promdrop and the node_exporters differ on a set, in words that are the same for the same reason.
fn disagreement(read: &Read, found: &[Found], outcomes: [&Outcome; 2]) -> Option<String> {
    for (outcome, (_, version)) in outcomes.iter().zip(VERSIONS) {
        if outcome.died && found.iter().all(|found| found.harm != Harm::Poison) {
            return Some(format!("{version} died, and nothing is called poison"));
        }
        if found.is_empty()
            && let Some(why) = &outcome.unclean
        {
            return Some(format!("unsound: passed, but {version}: {}", why.split(':').next().unwrap_or(why)));
        }
    }
    if outcomes.iter().any(|outcome| outcome.unclean.is_some()) {
        return None;
    }
    let meanings = read.meanings.as_ref().unwrap();
    let undue = found.iter().find(|found| !strictness(found, meanings))?;
    Some(format!("incomplete: served as meant by both, but {:?} {}", undue.harm, undue.rule))
}

/// Both node_exporters.
struct Pair([Subject; 2]);

impl Pair {
    fn start() -> Self {
        Self(VERSIONS.map(|(_, version)| Subject::start(version)))
    }

    fn outcomes(&mut self, sets: &[&Read]) -> [Vec<Outcome>; 2] {
        let [one, two] = &mut self.0;
        std::thread::scope(|scope| {
            let one = scope.spawn(|| one.outcomes(sets));
            let two = two.outcomes(sets);
            [one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), two]
        })
    }

    /// The disagreement on a set alone.
    fn disagreement(&mut self, set: &Set) -> Option<String> {
        let read = Read::new(0, set.clone());
        let [one, two] = self.outcomes(&[&read]);
        disagreement(&read, &judge(set), [&one[0], &two[0]])
    }

    /// A smaller set with the same disagreement.
    fn shrunk(&mut self, set: &Set, wanted: &str) -> Set {
        let mut set = set.clone();
        let mut tries = 0;
        loop {
            let smaller = smaller(&set).into_iter().find(|smaller| {
                tries += 1;
                tries < 200 && self.disagreement(smaller).as_deref() == Some(wanted)
            });
            match smaller {
                Some(smaller) => set = smaller,
                None => return set,
            }
        }
    }
}

/// The set with a file less, or with a line less.
fn smaller(set: &Set) -> Vec<Set> {
    let mut smaller = Vec::new();
    for (index, (name, text)) in set.iter().enumerate() {
        let mut less = set.clone();
        less.remove(index);
        smaller.push(less);
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        for line in 0..lines.len() {
            let mut lines = lines.clone();
            lines.remove(line);
            let mut less = set.clone();
            less[index] = (name.clone(), lines.concat());
            smaller.push(less);
        }
    }
    smaller
}

/// What came of all cases.
#[derive(Default)]
struct Report {
    pair: Option<Pair>,
    cases: usize,
    passed: usize,
    clean: usize,
    died: usize,
    poison: usize,
    strict: BTreeMap<String, usize>,
    scraped: usize,
    /// How many cases only this rule keeps from being passed, which they must not be.
    needed: BTreeMap<&'static str, usize>,
    /// For Prometheus: cases and what was scraped.
    bodies: Vec<((u64, Set), Vec<u8>)>,
    /// By reason: how often, and the first such set.
    disagreements: BTreeMap<String, (usize, u64, Set)>,
    prometheus: Duration,
    started: Option<Instant>,
}

impl Report {
    fn judge(&mut self, sets: Vec<(u64, Set)>) {
        self.started.get_or_insert_with(Instant::now);
        let reads: Vec<Read> = sets.into_iter().map(|(number, set)| Read::new(number, set)).collect();
        let all: Vec<&Read> = reads.iter().collect();
        let [one, two] = self.pair.get_or_insert_with(Pair::start).outcomes(&all);
        for (read, (one, two)) in reads.iter().zip(one.into_iter().zip(two)) {
            let found = judge(&read.set);
            self.cases += 1;
            self.died += usize::from(one.died || two.died);
            self.passed += usize::from(found.is_empty());
            self.poison += usize::from(found.iter().any(|found| found.harm == Harm::Poison));
            let clean = one.unclean.is_none() && two.unclean.is_none();
            self.clean += usize::from(clean);
            let rules: BTreeSet<&str> = found.iter().map(|found| found.rule).collect();
            if clean && !rules.is_empty() {
                let rules = rules.into_iter().collect::<Vec<_>>().join(" and ");
                *self.strict.entry(rules).or_default() += 1;
            } else if rules.len() == 1 {
                *self.needed.entry(found[0].rule).or_default() += 1;
            }
            if let Some(reason) = disagreement(read, &found, [&one, &two]) {
                let first = || (0, read.number, read.set.clone());
                self.disagreements.entry(reason).or_insert_with(first).0 += 1;
            } else if found.is_empty() && (read.is_beyond_ascii() || read.number.is_multiple_of(20)) {
                // Either may speak for both.
                let body = if read.number.is_multiple_of(2) { one.body } else { two.body };
                self.bodies.push(((read.number, read.set.clone()), body));
            }
        }
        if self.bodies.len() >= 1000 {
            self.scrape();
        }
    }

    /// Lets a Prometheus scrape what has come together.
    fn scrape(&mut self) {
        let started = Instant::now();
        let (cases, bodies): (Vec<(u64, Set)>, Vec<Vec<u8>>) =
            std::mem::take(&mut self.bodies).into_iter().unzip();
        self.scraped += cases.len();
        for (index, why) in refused_by_prometheus(&Arc::new(bodies)) {
            let (number, set) = &cases[index];
            self.disagreements.entry(why).or_insert((0, *number, set.clone())).0 += 1;
        }
        self.prometheus += started.elapsed();
    }

    fn finish(mut self, which: &str) {
        if !self.bodies.is_empty() {
            self.scrape();
        }
        let summary = format!(
            "{} cases {which}: {} passed, {} served as meant by both, {} deadly, {} called poison, \
             {} scraped by Prometheus; {:?}, of which Prometheus {:?}\nserved as meant, but not passed: {:?}\n\
             not passed for one rule alone: {:?}",
            self.cases,
            self.passed,
            self.clean,
            self.died,
            self.poison,
            self.scraped,
            self.started.unwrap().elapsed(),
            self.prometheus,
            self.strict,
            self.needed,
        );
        println!("{summary}");
        if self.cases >= 10_000 {
            let share = self.passed * 100 / self.cases;
            assert!((40..=60).contains(&share), "{share} % pass: {summary}");
            // Without any one of the rules that do harm, this test would have failed.
            let harmful = Rule::ALL.iter().filter(|rule| rule.harm().is_some() && !OF_ENTRIES.contains(rule));
            let unneeded: Vec<_> = harmful.filter(|rule| !self.needed.contains_key(rule.name())).collect();
            assert!(unneeded.is_empty(), "never needed: {unneeded:?}: {summary}");
        }
        if self.disagreements.is_empty() {
            return;
        }
        let pair = self.pair.as_mut().unwrap();
        let mut text = summary;
        for (reason, (times, number, set)) in self.disagreements.iter().take(SHOWN) {
            write!(text, "\n\n== {reason}: {times} times, first in case {number}").unwrap();
            let set = pair.shrunk(set, reason);
            describe(&mut text, pair, &set);
        }
        panic!("{text}");
    }
}

/// Everything about a set.
fn describe(text: &mut String, pair: &mut Pair, set: &Set) {
    for (name, bytes) in set {
        write!(text, "\n-- {name}\n{}", bytes.escape_ascii().to_string().replace("\\n", "\\n\n")).unwrap();
    }
    let read = Read::new(0, set.clone());
    write!(text, "\npromdrop: {:#?}", judge(set)).unwrap();
    for (outcomes, (_, version)) in pair.outcomes(&[&read]).iter().zip(VERSIONS) {
        let outcome = &outcomes[0];
        write!(text, "\n{version}: {}", outcome.unclean.as_deref().unwrap_or("as meant")).unwrap();
        for line in String::from_utf8_lossy(&outcome.body).lines() {
            let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
            if !["go_", "process_", "promhttp_", "node_exporter"].iter().any(|own| name.starts_with(own)) {
                write!(text, "\n    {}", line.escape_debug()).unwrap();
            }
        }
    }
}

/// Which of these scrapes a real Prometheus doesn't take as they are, and why.
fn refused_by_prometheus(bodies: &Arc<Vec<Vec<u8>>>) -> BTreeMap<usize, String> {
    let server = Bodies::serve(bodies.clone());
    let mut config = "global: {scrape_interval: 5s, scrape_timeout: 5s}\n\
                      scrape_configs:\n- job_name: cases\n  static_configs:\n"
        .to_owned();
    for index in 0..bodies.len() {
        let port = server.port();
        let labels = format!("{{__metrics_path__: /{index}, number: '{index}'}}");
        writeln!(config, "  - {{targets: ['127.0.0.1:{port}'], labels: {labels}}}").unwrap();
    }
    let prometheus = Prometheus::start_with(&config);
    let by_number = |expression: &str| -> BTreeMap<usize, f64> {
        let points = prometheus.query(expression);
        points.iter().map(|point| (point.label("number").parse().unwrap(), point.value)).collect()
    };
    let series = |body: &Vec<u8>| Meaning::read(body).map_or(0, |meaning| meaning.series.len()) as f64;
    let wanted: Vec<f64> = bodies.iter().map(series).collect();
    let mut refused: BTreeMap<usize, String> =
        (0..bodies.len()).map(|index| (index, String::new())).collect();
    let limit = Duration::from_secs(90);
    prometheus.await_query("count(up)", limit, |points| {
        points.first().is_some_and(|point| point.value == bodies.len() as f64)
    });
    let mut last = 0.0;
    let deadline = Instant::now() + limit;
    // A scrape that a busy machine was too slow for is made again; one that is refused is refused each time.
    while !refused.is_empty() && Instant::now() < deadline {
        // Something new, and not every instant.
        let expression = format!("max(timestamp(up)) > {last} + 0.5");
        last = prometheus.await_query(&expression, limit, |points| !points.is_empty())[0].value;
        let up = by_number("up");
        let scraped = by_number("scrape_samples_scraped");
        let stored = by_number("count by (number) ({__name__!~\"up|scrape_.*\",number!=\"\"})");
        refused.retain(|index, why| {
            if up.get(index) != Some(&1.0) {
                "unsound: Prometheus refuses the scrape".clone_into(why);
            } else if [&scraped, &stored].iter().any(|counts| counts.get(index) != Some(&wanted[*index])) {
                "unsound: Prometheus has other series".clone_into(why);
            } else {
                return false;
            }
            true
        });
    }
    refused
}
