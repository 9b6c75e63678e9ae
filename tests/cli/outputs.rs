//! Outputs of programs, and what each becomes by the format beside it.

use std::fs;
use std::path::{Path, PathBuf};

use promdrop::collect::output::{Format, Output};
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
    let families = format.families(&Output { stdout, status }).map_err(|unreadable| unreadable.message)?;
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
