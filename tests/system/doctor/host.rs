//! One thing broken at a time.

use std::collections::BTreeSet;

use super::{Found, doctor};
use crate::support::machine::Machine;

/// Where a machine has functions for the lines of its cases.
pub const LINES: &str = "/usr/local/lib/functions";

/// Something broken on purpose, and how it is mended.
pub struct Case {
    /// A line of sh that breaks it.
    pub breaks: &'static str,
    /// The check that names it, and how it judges.
    pub check: &'static str,
    /// `failure` or `warning`.
    pub verdict: &'static str,
    /// What its message says.
    pub says: &'static str,
    /// What its cure says.
    pub cure: &'static str,
    /// What else is amiss then.
    pub also: &'static [&'static str],
    /// A line of sh that mends it, in which `CURE` stands for the cure as it is said.
    pub mends: &'static str,
}

/// Breaks each in turn and mends it before the next: what is broken and nothing else is found, and nothing at the end.
#[track_caller]
pub fn each_is_found_and_mended(machine: &Machine, cases: &[Case]) {
    for case in cases {
        machine.sh(&format!(". {LINES}; {}", case.breaks));
        let found = doctor(machine, &[]);
        let Found(document) = &found;
        let [verdict, message, cure] = found.check(case.check);
        assert_eq!(verdict, case.verdict, "{}: {document:#}", case.breaks);
        assert!(message.contains(case.says), "{}: {document:#}", case.breaks);
        assert!(cure.contains(case.cure), "{}: {document:#}", case.breaks);
        let expected: BTreeSet<&str> = case.also.iter().copied().chain([case.check]).collect();
        assert_eq!(found.amiss(), expected, "{}: {document:#}", case.breaks);
        machine.sh(&format!(". {LINES}; {}", case.mends.replace("CURE", cure)));
    }
    let found = doctor(machine, &[]);
    assert_eq!(found.amiss(), BTreeSet::new(), "{:#}", found.0);
}
