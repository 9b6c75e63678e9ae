//! Families made at random that keep the rules.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Family, Kind, Labels, Sample};

/// Any text, with what needs care more likely.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        4 => "[ -~]{0,4}",
        1 => prop::sample::select(vec!["\\", "\"", "\n", "\\n", "\t", "\r", "\0", "#", "{", "}", ",", "=", " "])
            .prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn any_help() -> impl Strategy<Value = Option<String>> {
    prop::option::of(any_text().prop_map(|text| {
        let kept: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n')).collect();
        format!("a{kept}z")
    }))
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-9_007_199_254_740_992_i64..=9_007_199_254_740_992).prop_map(|whole| whole as f64),
    ]
}

type AnyLabels = BTreeMap<String, String>;

fn owned(labels: &AnyLabels, more: &[(&'static str, String)]) -> Labels {
    let more = more.iter().map(|(name, value)| ((*name).into(), value.clone().into()));
    labels.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).chain(more).collect()
}

/// A family of any kind that keeps the rules; `number` keeps its name apart from others.
fn any_family(number: usize) -> impl Strategy<Value = Family> {
    let labels = prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9]{0,5}", any_text(), 0..4);
    let sets = prop::collection::vec((labels, any_value(), prop::collection::vec(0..1000_u32, 1..4)), 1..5);
    let kind = prop::option::of(prop::sample::select(Kind::ALL.to_vec()));
    ("[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", any_help(), kind, sets).prop_map(move |(name, help, kind, mut sets)| {
        let name = format!("x{number}{name}z");
        for (index, (labels, ..)) in sets.iter_mut().enumerate() {
            labels.retain(|name, value| !value.is_empty() && name != "le");
            // Apart from all others.
            labels.insert("set".into(), format!("{index}"));
        }
        let mut family =
            Family { name: name.clone().into(), help: help.map(Into::into), kind, samples: Vec::new() };
        let mut push = |suffix: &str, labels: Labels, value: f64| {
            family.samples.push(Sample { name: format!("{name}{suffix}").into(), labels, value });
        };
        for (labels, value, steps) in &sets {
            let count = f64::from(steps.iter().sum::<u32>());
            match kind {
                Some(Kind::Histogram) => {
                    let mut below = 0;
                    for (index, step) in steps.iter().enumerate() {
                        below += step;
                        push("_bucket", owned(labels, &[("le", format!("{index}.50"))]), f64::from(below));
                    }
                    push("_bucket", owned(labels, &[("le", "+Inf".into())]), count);
                }
                Some(Kind::Summary) => push("", owned(labels, &[("quantile", "0.5".into())]), *value),
                _ => push("", owned(labels, &[]), *value),
            }
            if matches!(kind, Some(Kind::Histogram | Kind::Summary)) {
                push("_sum", owned(labels, &[]), *value);
                push("_count", owned(labels, &[]), count);
            }
        }
        family
    })
}

/// Three of them, as they could stand in one file.
pub fn any_families() -> impl Strategy<Value = Vec<Family>> {
    (any_family(0), any_family(1), any_family(2)).prop_map(|(one, two, three)| vec![one, two, three])
}
