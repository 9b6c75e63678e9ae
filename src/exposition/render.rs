//! Families to text: the one spelling that promdrop publishes.

use std::fmt::Write as _;

use super::family::{Family, Sample};

/// Appends `families` to `out` as text: HELP, TYPE and the samples of each, with one blank between fields and
/// nothing after the value. Labels with an empty value are left out, since they are the same as absent; so are
/// families without samples, which node_exporter drops.
///
/// Whether the text may be published is for [`prove`](super::prove) to say.
pub fn render(families: &[Family], out: &mut String) {
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        if let Some(help) = &family.help {
            out.push_str("# HELP ");
            out.push_str(&family.name);
            out.push(' ');
            // A quote stays as it is: node_exporter 1.5.0 rejects `\"` in HELP.
            escape(help, |byte| matches!(byte, b'\\' | b'\n'), out);
            out.push('\n');
        }
        if let Some(kind) = family.kind {
            out.push_str("# TYPE ");
            out.push_str(&family.name);
            out.push(' ');
            out.push_str(kind.word());
            out.push('\n');
        }
        for one in &family.samples {
            sample(one, out);
        }
    }
}

fn sample(sample: &Sample, out: &mut String) {
    out.push_str(&sample.name);
    let mut before = '{';
    for (name, value) in sample.labels.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(before);
        before = ',';
        out.push_str(name);
        out.push_str("=\"");
        escape(value, |byte| matches!(byte, b'\\' | b'"' | b'\n'), out);
        out.push('"');
    }
    if before == ',' {
        out.push('}');
    }
    out.push(' ');
    number(sample.value, out);
    out.push('\n');
}

/// Appends `text` with a backslash before each character that is `special`.
fn escape(text: &str, special: impl Fn(u8) -> bool, out: &mut String) {
    // All of it is looked at, many bytes at once: there is seldom one.
    if !text.bytes().fold(false, |found, byte| found | special(byte)) {
        return out.push_str(text);
    }
    for c in text.chars() {
        if u8::try_from(c).is_ok_and(&special) {
            out.push('\\');
        }
        out.push(if c == '\n' { 'n' } else { c });
    }
}

/// Up to here, 2^53, every whole number is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The shortest decimal that reads back as the same number; whole numbers up to 2^53 have neither fraction nor
/// exponent.
pub(super) fn number(value: f64, out: &mut String) {
    let size = value.abs();
    // Writing to a String can't fail.
    let _ = if (1.0..=EXACT).contains(&size) && value.trunc() == value {
        // As below, at a fraction of the cost.
        write!(out, "{}", value as i64)
    } else if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if size == 0.0 || (1e-6..1e16).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

#[cfg(test)]
mod tests {
    use super::super::family::Kind;
    use super::*;

    fn numbered(value: f64) -> String {
        let mut out = String::new();
        number(value, &mut out);
        out
    }

    #[test]
    fn families_have_one_spelling() {
        let families = [
            Family {
                name: "c_a".into(),
                help: Some("a \\ b\n\"c\"".into()),
                kind: Some(Kind::Gauge),
                samples: vec![
                    Sample {
                        name: "c_a".into(),
                        labels: vec![
                            ("x".into(), "\\\"\nü".into()),
                            ("none".into(), "".into()),
                            ("y".into(), "2".into()),
                        ],
                        value: 1.5,
                    },
                    Sample { name: "c_a".into(), labels: vec![("none".into(), "".into())], value: 3.0 },
                ],
            },
            Family { name: "c_none".into(), help: Some("x".into()), kind: None, samples: Vec::new() },
            Family {
                name: "c_b".into(),
                help: None,
                kind: None,
                samples: vec![Sample { name: "c_b".into(), labels: Vec::new(), value: f64::NAN }],
            },
        ];
        let mut out = String::from("# promdrop\n");
        render(&families, &mut out);
        assert_eq!(
            out,
            "# promdrop\n# HELP c_a a \\\\ b\\n\"c\"\n# TYPE c_a gauge\n\
             c_a{x=\"\\\\\\\"\\nü\",y=\"2\"} 1.5\nc_a 3\nc_b NaN\n"
        );
    }

    #[test]
    fn numbers_are_short_and_exact() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (-7.0, "-7"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (-9_007_199_254_740_991.0, "-9007199254740991"),
            (18_014_398_509_481_984.0, "1.8014398509481984e16"),
            (1e15, "1000000000000000"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (5e-324, "5e-324"),
            (0.000_02, "0.00002"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
        ] {
            assert_eq!(numbered(value), text);
        }
    }
}
