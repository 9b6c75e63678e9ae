//! The corpus of texts whose effect on real node_exporters was measured: `tests/data/textfile-corpus.jsonl`.

use serde_json::Value;

/// A case of one file.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// accept, reject, distort or poison: the worst over node_exporter 1.5.0 and 1.9.0.
    pub class: String,
    pub text: Vec<u8>,
}

/// The cases of the corpus that are one file's content and nothing else.
pub fn single_files() -> Vec<Case> {
    let cases: Vec<Case> =
        include_str!("../data/textfile-corpus.jsonl").lines().filter_map(single_file).collect();
    assert!(cases.len() > 500, "{} cases", cases.len());
    cases
}

fn single_file(line: &str) -> Option<Case> {
    let case: Value = serde_json::from_str(line).unwrap();
    let files = case["files"].as_object()?;
    if files.len() != 1 || !case["setup"].is_null() {
        return None;
    }
    let file = files.get("ours.prom")?;
    let text = match file["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(file["base64"].as_str().unwrap()),
    };
    let word = |key: &str| case[key].as_str().unwrap().to_owned();
    Some(Case { name: word("name"), class: word("class"), text })
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
