//! Outputs of programs, and what each becomes by the format beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use promdrop::collect::output::{Bounds, Format, Output};
use promdrop::config::yaml::{Field, decode};
use promdrop::exposition::{prove, render};
use proptest::prelude::*;

use crate::support::names;

/// One case: a format, what was printed, the exit status.
struct Case {
    /// Its path, without what its files end in.
    path: PathBuf,
    format: Format,
    stdout: Vec<u8>,
    status: i32,
}

/// All cases, each format's own folder having some, in order: `NAME.yaml`, `NAME.out`, where it was not 0
/// `NAME.status`, and `NAME.prom`.
fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/outputs");
    let mut all = Vec::new();
    for folder in names(&root).iter().filter(|name| root.join(name).is_dir()) {
        let files = names(&root.join(folder));
        let cases: Vec<&str> = files.iter().filter_map(|name| name.strip_suffix(".yaml")).collect();
        assert!(cases.len() >= 4, "only {} cases of {folder}", cases.len());
        let lonely =
            files.iter().find(|file| !cases.iter().any(|case| file.starts_with(&format!("{case}."))));
        assert_eq!(lonely, None, "an output without its case");
        for case in cases {
            let path = root.join(folder).join(case);
            let yaml = fs::read_to_string(path.with_extension("yaml")).unwrap();
            assert!(yaml.starts_with(&format!("format: {folder}\n")), "{}", path.display());
            let format = decode(&yaml, Format::read);
            let format = format.unwrap_or_else(|found| panic!("{}: {found:#?}", path.display()));
            let stdout = fs::read(path.with_extension("out")).unwrap();
            let status = fs::read_to_string(path.with_extension("status"));
            let status = status.map_or(0, |status| status.trim().parse().unwrap());
            assert!(status == 0 || format.accepts(status), "{}", path.display());
            all.push(Case { path, format, stdout, status });
        }
    }
    all
}

/// The exposition of `stdout` by `format`, which must be fit to be published; or the message of why there is none.
fn exposition(format: &Format, stdout: &[u8], status: i32) -> Result<String, String> {
    let families = format
        .families(&Output { stdout, status }, &Bounds::none())
        .map_err(|unreadable| unreadable.message)?;
    let mut text = String::new();
    render(&families, &mut text);
    prove(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    Ok(text)
}

#[test]
fn outputs_become_what_is_expected() {
    let bless = std::env::var_os("PROMDROP_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let text = exposition(&case.format, &case.stdout, case.status);
        let text = text.unwrap_or_else(|message| panic!("{}: {message}", case.path.display()));
        let expected = case.path.with_extension("prom");
        if bless {
            fs::write(&expected, &text).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("--- {}\n{text}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "PROMDROP_BLESS=1 accepts these:\n{}", wrong.join("\n"));
}

/// So large an output, where it is said to be large: the largest that a program may write is 8 times that.
const LARGE: usize = 512 << 10;

/// A large output, made of `part`s with their number, between a beginning and an end.
fn filled(begin: &str, part: impl Fn(usize) -> String, end: &str) -> String {
    let mut text = begin.to_owned();
    for number in 0.. {
        let part = part(number);
        if text.len() + part.len() + end.len() > LARGE {
            break;
        }
        text.push_str(&part);
    }
    text + end
}

/// Processor time of this thread: what it is worth, however busy the machine is.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Where it grew with the square, this would take minutes.
#[test]
fn time_grows_with_the_output() {
    let deep = || format!("{}{}", "[".repeat(LARGE / 2), "]".repeat(LARGE / 2));
    let cases = [
        ("{format: prometheus}", filled("", |i| format!("a{{b=\"{i}\"}} {i}\n"), "")),
        ("{format: value, name: a}", filled("", |_| "1".into(), "")),
        (
            r"{format: regex, pattern: '(?P<k>\w+) (?P<value>\d+)', name: a, reduce: sum}",
            filled("", |i| format!("{i} 1\n"), ""),
        ),
        (
            r"{format: regex, over: text, pattern: '(?P<k>\w+)\n(?P<value>\d+)', name: a}",
            filled("", |i| format!("k{i}\n1\n"), ""),
        ),
        (
            "{format: json, name: a, value: v, labels_from: {k: /k/0, r: $/1/v}}",
            filled("[", |i| format!("{{\"v\":1,\"k\":[{i}]}},"), "{\"v\":1,\"k\":[\"\"]}]"),
        ),
        ("{format: json, name: a, at: '/*/*', value: ''}", filled("[[0", |_| ",0".into(), "],[1]]")),
        ("{format: json, name: a, at: '/*', value: $1}", filled("{", |i| format!("\"{i}\":0,"), "\"x\":1}")),
        (
            "{format: json, lines: true, name: a, reduce: sum, value: k0}",
            filled("{", |i| format!("\"k{i}\":0,"), "\"x\":1}\n{\"k0\":1}"),
        ),
        ("{format: json, name: a, value: /0/0}", deep()),
        ("{format: keyvalue, name: a, value: k1}", filled("", |i| format!("k{i}=1\n"), "")),
        (
            "{format: keyvalue, records: block, name: a, value: v, labels_from: {k: k}}",
            filled("", |i| format!("k=k{i}\nv: 1\n\n"), ""),
        ),
        (
            "{format: keyvalue, records: pair, separator: ' ', name: a, labels_from: {k: key}}",
            filled("", |i| format!("k{i} 1\n"), ""),
        ),
        (
            "{format: table, name: a, value: v, labels_from: {k: k}}",
            filled("k v\n", |i| format!("k{i}  1\n"), ""),
        ),
        (
            "{format: table, name: a, value: c0, labels_from: {k: c1}, optional: true, reduce: sum}",
            filled(&filled("", |i| format!("c{i} "), "")[..LARGE / 2], |_| "\n1".into(), ""),
        ),
        (
            "{format: table, delimiter: ',', name: a, value: v, labels_from: {k: k}}",
            filled("k,v\n", |i| format!("\"k{i}\",1\n\n"), ""),
        ),
        ("{format: nagios, name: a}", filled("x |", |i| format!(" 'k{i}'=1ms;2;3"), "")),
        ("{format: nagios, name: a}", filled("x | '", |_| "''".into(), "'=1")),
        ("{format: nagios, name: a}", filled("x |\n|", |i| format!("k{i}=1\n"), "")),
    ];
    for (yaml, output) in cases {
        let format = decode(yaml, Format::read).unwrap();
        let before = spent();
        let read = format.families(&Output { stdout: output.as_bytes(), status: 0 }, &Bounds::none());
        let spent = spent() - before;
        println!("{:6} ms, {:5} KiB {yaml}", spent.as_millis(), output.len() >> 10);
        assert!(spent < Duration::from_secs(20), "{yaml} took {spent:?}: {:?}", read.err());
    }
}

/// A change to an output.
#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>),
    Cut(usize),
    Repeat(usize),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let special = prop::sample::select(
        &[
            "SECRET", "SECRET=", "\"", "\\", "{", "[", "]", "}", ",", ":", "=", "|", "'", ";", " ", "\n",
            "\n\n", "\t", "\r", "\0", "\x1b", "\u{202e}", "\\u0000", "\\ud800", "-", "1e999", "NaN", "+Inf",
            "null", "0", "%", "U", "~", "@", "kB",
        ][..],
    );
    let change = prop_oneof![
        4 => special.prop_map(|text| Change::Put(text.as_bytes().to_vec())),
        1 => prop::collection::vec(any::<u8>(), 1..4).prop_map(Change::Put),
        2 => (1_usize..40).prop_map(Change::Cut),
        2 => (1_usize..200).prop_map(Change::Repeat),
    ];
    (any::<prop::sample::Index>(), change)
}

fn changed(mut output: Vec<u8>, changes: &[(prop::sample::Index, Change)]) -> Vec<u8> {
    for (at, change) in changes {
        let at = at.index(output.len() + 1);
        match change {
            Change::Put(bytes) => drop(output.splice(at..at, bytes.iter().copied())),
            Change::Cut(count) => drop(output.drain(at..output.len().min(at + count))),
            Change::Repeat(count) => {
                let part = output[at..output.len().min(at + count)].to_vec();
                output.splice(at..at, part);
            }
        }
    }
    output
}

/// What is wrong with `output` is told without a byte of it.
fn check(case: &Case, output: &[u8], status: i32) -> Result<(), TestCaseError> {
    if let Err(message) = exposition(&case.format, output, status) {
        prop_assert!(!message.contains("SECRET") && !message.contains(char::is_control), "{message:?}");
        prop_assert!(message.len() < 400, "{message}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn nearly_right_outputs_are_read_or_refused(
        changes in prop::collection::vec(change(), 1..6),
        status in 0..4,
    ) {
        for case in cached() {
            check(case, &changed(case.stdout.clone(), &changes), status)?;
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,100}") {
        for case in cached() {
            check(case, &bytes, 0)?;
            check(case, text.as_bytes(), 0)?;
        }
    }
}

fn cached() -> &'static [Case] {
    static CASES: std::sync::LazyLock<Vec<Case>> = std::sync::LazyLock::new(cases);
    &CASES
}
