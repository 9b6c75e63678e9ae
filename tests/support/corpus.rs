//! The corpus of directories whose effect on real node_exporters was measured: `tests/data/textfile-corpus.jsonl`.

// The unit tests of src/exposition take only what they need of it.
#![allow(dead_code, clippy::disallowed_methods)]

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A directory, and what it did.
#[derive(Debug)]
pub struct Directory {
    pub name: String,
    pub why: String,
    /// The files, in name order. `ours.prom` is the one under test; the others stand for what other tools wrote.
    pub files: Vec<(OsString, Vec<u8>)>,
    /// Shell lines that are run in the directory after the files are laid: a link, a FIFO, a mode, a name that is not
    /// UTF-8.
    pub setup: Option<String>,
    /// accept, reject, distort or poison: the worst over node_exporter 1.5.0 and 1.9.0.
    pub class: String,
    /// What each node_exporter did: 1.5.0, 1.9.0.
    pub measured: [Measured; 2],
}

/// What one node_exporter did with the directory.
#[derive(Debug)]
pub struct Measured {
    pub class: String,
    pub died: bool,
}

impl Directory {
    /// Lays the case out in `dir`, which is empty.
    pub fn lay_out(&self, dir: &Path) {
        for (name, bytes) in &self.files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        if let Some(setup) = &self.setup {
            let status = Command::new("bash").args(["-euc", setup]).current_dir(dir).status().unwrap();
            assert!(status.success(), "{}: the setup lines ended with {status}: {setup}", self.name);
        }
    }
}

/// What both node_exporters take and `promdrop lint` does not, the rule that says so, and why.
pub const STRICTER: &[(&str, &str, &str)] = &[
    ("044-type-gauge_histogram-suffix-only", "gauge-histogram", "later versions die of it"),
    ("384-sum-quantile-neg", "summary", "there is no such quantile"),
    ("385-sum-quantile-inf", "summary", "there is no such quantile"),
    ("417-his-inf-mismatch", "histogram", "the numbers contradict each other"),
    ("418-his-decreasing", "histogram", "the numbers contradict each other"),
    ("472-own-scrape-error-labels", "reserved-name", "the name is node_exporter's own"),
    ("474-own-mtime-samehelp", "reserved-name", "the name is node_exporter's own"),
    ("480-own-go-goroutines-samehelp", "reserved-name", "the name is node_exporter's own"),
];

/// What is called something else than it was measured to be, and why.
pub const CALLED_OTHERWISE: &[(&str, &str, &str)] = &[
    ("219-name-quoted-outside", "reject", "1.5.0 does; 1.9.0 serves what it seems to mean"),
    ("281-labels-quote-mid", "reject", "1.5.0 does; 1.9.0 serves what it seems to mean"),
    ("030-type-word-gaugehistogram", "poison", "later versions know the word, and die"),
    ("047-type-gaugehistogram-full", "poison", "likewise"),
    ("239-braces-only-after-sample", "poison", "1.9.0 may die of such a line"),
    ("240-braces-only-after-histogram", "poison", "likewise"),
    ("243-braces-label-noname-aftersample", "poison", "likewise"),
    ("608-braces-only-second-family", "poison", "likewise"),
];

/// What a case is to be called, where it is not the measured class.
pub fn called_otherwise(name: &str) -> Option<&'static str> {
    CALLED_OTHERWISE.iter().find(|(known, ..)| *known == name).map(|(_, class, _)| *class)
}

/// Every case of the corpus.
pub fn all() -> Vec<Directory> {
    let cases: Vec<Directory> = include_str!("../data/textfile-corpus.jsonl").lines().map(case).collect();
    assert!(cases.len() > 600, "{} cases", cases.len());
    cases
}

/// A case of one file.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// As in [`Directory`].
    pub class: String,
    pub text: Vec<u8>,
}

/// The cases of the corpus that are one file's content and nothing else.
pub fn single_files() -> Vec<Case> {
    let single = |mut case: Directory| match (&case.setup, case.files.as_slice()) {
        (None, [(name, _)]) if name == "ours.prom" => {
            let (_, text) = case.files.pop()?;
            Some(Case { name: case.name, class: case.class, text })
        }
        _ => None,
    };
    let cases: Vec<Case> = all().into_iter().filter_map(single).collect();
    assert!(cases.len() > 500, "{} cases", cases.len());
    cases
}

fn case(line: &str) -> Directory {
    // Refuses a lone surrogate, so a file name that is not UTF-8 can't be taken for another.
    let case: Value = serde_json::from_str(line).unwrap();
    let word =
        |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value} in {line}")).to_owned();
    let mut files: Vec<_> =
        case["files"].as_object().unwrap().iter().map(|(name, file)| (name.into(), content(file))).collect();
    files.sort();
    let measured = |version: &str| {
        let measured = &case[format!("v{version}")];
        Measured { class: word(&measured["class"]), died: measured["died"].as_bool().unwrap() }
    };
    Directory {
        name: word(&case["name"]),
        why: word(&case["why"]),
        files,
        setup: case["setup"].as_str().map(str::to_owned),
        class: word(&case["class"]),
        measured: ["1.5.0", "1.9.0"].map(measured),
    }
}

fn content(file: &Value) -> Vec<u8> {
    match file["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(file["base64"].as_str().unwrap()),
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | u32::try_from(digits.iter().position(|digit| *digit == byte).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}
