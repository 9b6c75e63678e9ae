//! Up to four files of one directory, separated by `%%`: what is found in them must not hang on their order, on hashes,
//! or on how they are compared.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use promdrop::exposition::{Clash, Facts, clashes, clashes_between, inspect, judge};

const NAMES: [&str; 4] = ["a.prom", "b.prom", "c.prom", "d.prom"];
const TURNED: [&str; 4] = ["z.prom", "y.prom", "x.prom", "w.prom"];

fuzz_target!(|input: &[u8]| {
    let texts = split(input);
    let files: Vec<(&str, &[u8])> = NAMES.into_iter().zip(texts.iter().copied()).collect();
    let found = judge(&files);
    let twin = twin::exposition::judge(&files);
    assert_eq!(format!("{found:?}"), format!("{twin:?}"), "hashes decide");

    let facts: Vec<Facts> = texts.iter().map(|text| inspect(text).facts).collect();
    let all: Vec<usize> = (0..texts.len()).collect();
    let together = between(&texts, &facts, &all);
    for one in &all {
        for two in all.iter().filter(|two| *two != one) {
            let clashing = between(&texts, &facts, &[*one, *two]);
            let turned = between(&texts, &facts, &[*two, *one]);
            assert_eq!(rules(&clashing), rules(&turned), "the order decides");
            let with = with(&texts, &facts, *one, &[*two]);
            assert_eq!(rules(&clashing), rules(&with), "the way decides");
        }
        let rest: Vec<usize> = all.iter().copied().filter(|two| two != one).collect();
        let with: BTreeSet<usize> = with(&texts, &facts, *one, &rest)
            .iter()
            .filter_map(|clash| rest.get(clash.other.max(clash.file) - 1).copied())
            .collect();
        for two in &rest {
            let pair = !between(&texts, &facts, &[*one, *two]).is_empty();
            assert_eq!(pair, with.contains(two), "{one} and {two}");
            let told = |clash: &Clash| {
                [(clash.file, clash.other), (clash.other, clash.file)].contains(&(*one, *two))
            };
            assert!(pair || !together.iter().any(told), "{one} and {two} clash only in company");
        }
        // Each clash is told against the first file only, so the pair itself need not be there; its later file is.
        for two in with {
            assert!(together.iter().any(|clash| clash.file == two.max(*one)), "{one} and {two} are not told");
        }

        let fact = facts.get(*one).expect("it is there");
        let itself = !between(&texts, &facts, &[*one, *one]).is_empty();
        assert_eq!(itself, !fact.families.is_empty() && !fact.rejected_by.is_all(), "{one} beside itself");
    }

    let harmed = |files: &[(&str, &[u8])]| {
        judge(files).into_iter().filter(|(_, finding)| finding.harm.is_some()).collect::<Vec<_>>()
    };
    let turned: Vec<(&str, &[u8])> = TURNED.into_iter().zip(texts.iter().copied()).collect();
    let harmless = harmed(&files).is_empty();
    assert_eq!(harmless, harmed(&turned).is_empty(), "names decide");
    if harmless {
        for left_out in 0..files.len() {
            let mut some = files.clone();
            some.remove(left_out);
            assert_eq!(harmed(&some), [], "harmed without {left_out}");
        }
    }
});

/// The files of `input`.
fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut files = Vec::new();
    let mut rest = input;
    while files.len() + 1 < NAMES.len() {
        let Some(at) = rest.windows(2).position(|two| two == b"%%") else { break };
        let (file, after) = rest.split_at(at);
        files.push(file);
        rest = after.get(2..).unwrap_or_default();
    }
    files.push(rest);
    files
}

fn line(text: &[u8], at: usize) -> Vec<u8> {
    text[at..].split(|byte| *byte == b'\n').next().expect("a split gives one at least").to_vec()
}

fn between(texts: &[&[u8]], facts: &[Facts], which: &[usize]) -> Vec<Clash> {
    let chosen: Vec<&Facts> = which.iter().filter_map(|index| facts.get(*index)).collect();
    clashes(&chosen, &mut |place, at| Some(line(texts.get(*which.get(place)?)?, at)))
}

fn with(texts: &[&[u8]], facts: &[Facts], one: usize, rest: &[usize]) -> Vec<Clash> {
    let chosen: Vec<&Facts> = rest.iter().filter_map(|index| facts.get(*index)).collect();
    clashes_between(&[facts.get(one).expect("it is there")], &chosen, &mut |place, at| {
        let index = if place == 0 { Some(&one) } else { rest.get(place - 1) };
        Some(line(texts.get(*index?)?, at))
    })
}

/// What two files clash in, whoever is told.
fn rules(clashes: &[Clash]) -> Vec<String> {
    let mut rules: Vec<String> = clashes
        .iter()
        .map(|clash| {
            let mut families = [&*clash.family, &*clash.other_family];
            families.sort_unstable();
            format!("{:?} {families:?}", clash.rule)
        })
        .collect();
    rules.sort_unstable();
    rules
}
