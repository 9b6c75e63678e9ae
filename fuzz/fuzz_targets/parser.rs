//! One text through the three readings, which have to agree with each other, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promdrop::exposition::{Facts, Finding, Position, inspect, prove, read, render, repair};

fuzz_target!(|text: &[u8]| {
    let reading = inspect(text);
    let harms: Vec<&Finding> = reading.findings.iter().filter(|finding| finding.harm.is_some()).collect();
    assert!(reading.findings.len() <= 200);
    for finding in &reading.findings {
        assert!(finding.at <= text.len(), "{finding:?}");
        assert!(finding.message.len() < 1000 && !finding.cure.is_empty(), "{finding:?}");
        let (line, column) = Position::new(text).of(finding.at);
        assert!(line > 0 && column > 0, "{finding:?}");
    }
    let twin = twin::exposition::inspect(text);
    assert_eq!(format!("{:?}", reading.findings), format!("{:?}", twin.findings));
    assert_eq!(reading.more, twin.more);
    assert_eq!(
        format!("{:?}{:?}", reading.facts.rejected_by, reading.facts.worst),
        format!("{:?}{:?}", twin.facts.rejected_by, twin.facts.worst)
    );

    match read(text) {
        Ok(families) => {
            assert!(harms.is_empty(), "read, but harmful: {harms:?}");
            let mut published = String::new();
            render(&families, &mut published);
            let proved =
                prove(published.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}\n{published}"));
            assert_eq!(names(&proved), names(&reading.facts), "{published}");
            let again =
                read(published.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}\n{published}"));
            // By their text, since NaN is not equal to itself.
            assert_eq!(format!("{again:?}"), format!("{families:?}"));
        }
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 101);
            assert!(problems.iter().all(|problem| problem.message.len() < 1000), "{problems:?}");
        }
    }

    let (repaired, repairs) = repair(text);
    assert_eq!(repairs.is_empty(), *repaired == *text);
    assert!(repair(&repaired).1.is_empty(), "repaired twice");
    if let Ok(families) = read(text) {
        let after = read(&repaired).unwrap_or_else(|problems| panic!("broken by a repair: {problems:?}"));
        assert_eq!(format!("{after:?}"), format!("{families:?}"));
    }
    if let Ok(facts) = prove(text) {
        assert!(harms.is_empty(), "proved, but harmful: {harms:?}");
        let families = read(text).unwrap_or_else(|problems| panic!("proved, but not read: {problems:?}"));
        assert_eq!(names(&facts), names(&reading.facts));
        // There is one spelling, but for numbers, after the comments at the head.
        let mut published = String::new();
        render(&families, &mut published);
        assert!(without_numbers(text).ends_with(&without_numbers(published.as_bytes())), "{published}");
    }
});

/// What any reading of a text must come to.
fn names(facts: &Facts) -> Vec<String> {
    facts
        .families
        .iter()
        .map(|family| format!("{} {:?} {:?}", family.name, family.kind, family.help))
        .collect()
}

/// The lines of `text` up to their last blank, which in a sample stands before its value.
fn without_numbers(text: &[u8]) -> Vec<&[u8]> {
    let is_sample = |line: &&[u8]| !line.starts_with(b"#");
    let before = |line: &[u8]| line.iter().rposition(|byte| *byte == b' ').unwrap_or(line.len());
    text.split(|byte| *byte == b'\n')
        .map(|line| if is_sample(&line) { line.get(..before(line)).unwrap_or(line) } else { line })
        .collect()
}
