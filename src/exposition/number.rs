//! A number of a text to its value.

use super::flaw::Flaw;

/// A number as node_exporter reads it: what Go's strconv.ParseFloat takes, without hexadecimal and underscores.
pub(super) fn number(bytes: &[u8]) -> Result<f64, Flaw> {
    if let Some(value) = decimal(bytes) {
        return Ok(value);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::NotANumber)?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value: f64 = text.parse().map_err(|_| match unsigned.get(..2) {
        Some("0x" | "0X") => Flaw::Hexadecimal,
        _ => Flaw::NotANumber,
    })?;
    // Where Rust differs from Go: it takes a signed NaN, and rounds what is too large to infinity.
    if value.is_nan() && unsigned.len() < text.len() {
        return Err(Flaw::SignedNan);
    }
    if value.is_infinite() && unsigned.starts_with(|c: char| !c.is_ascii_alphabetic()) {
        return Err(Flaw::Overflow);
    }
    Ok(value)
}

/// What most numbers are: up to 15 digits with a point or none, which two exact floats come to when divided once.
#[inline]
fn decimal(bytes: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let mut digits: u64 = 0;
    let mut point = None;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
            b'.' if point.is_none() => point = Some(index),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |point| bytes.len() - point - 1);
    match bytes.len() - usize::from(point.is_some()) {
        1..=15 => Some(digits as f64 / POWERS.get(fraction)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_those_of_gos_parsefloat() {
        for (text, value) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1E+5", 1e5),
            ("00012", 12.0),
            ("inf", f64::INFINITY),
            ("-iNfInItY", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("1e-99999999999999999999", 0.0),
        ] {
            assert_eq!(number(text.as_bytes()), Ok(value), "{text}");
        }
        assert!(number(b"nAn").unwrap().is_nan());
        for (text, flaw) in [
            ("", Flaw::NotANumber),
            (".", Flaw::NotANumber),
            ("-", Flaw::NotANumber),
            ("1e", Flaw::NotANumber),
            ("1_000", Flaw::NotANumber),
            ("1 ", Flaw::NotANumber),
            ("1,5", Flaw::NotANumber),
            ("0x10", Flaw::Hexadecimal),
            ("-0X1p-2", Flaw::Hexadecimal),
            ("+NaN", Flaw::SignedNan),
            ("-nan", Flaw::SignedNan),
            ("1e309", Flaw::Overflow),
            ("-1e99999999999999999999", Flaw::Overflow),
        ] {
            assert_eq!(number(text.as_bytes()), Err(flaw), "{text}");
        }
    }

    fn number_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{0,20}",
            "[0-9]{0,12}\\.[0-9]{0,12}",
            "[-+]?[0-9]{1,3}(\\.[0-9]{1,3})?([eE][-+]?[0-9]{1,2})?",
            "NaN|[-+]?Inf|\\.|-|1\\.2\\.3",
        ]
    }

    proptest! {
        #[test]
        fn the_fast_way_to_a_number_is_the_exact_one(text in number_text()) {
            let parsed: Option<f64> = text.parse().ok().filter(|value: &f64| !value.is_nan());
            if let Some(value) = decimal(text.as_bytes()) {
                prop_assert_eq!(Some(value.to_bits()), parsed.map(f64::to_bits), "{}", text);
            }
        }
    }
}
