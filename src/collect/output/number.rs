//! Numbers as programs print them, with a unit or without, in base units.

/// Bytes are counted by 1024, as the kernel and most tools do that write kB.
const KIBI: f64 = 1024.0;

/// The units, what they are worth in base units, and how a metric's name says which that is.
///
/// `m` is not among them: it may be minutes, metres or thousandths. Neither are `M`, `G` and so on of anything but
/// bytes.
const UNITS: &[(&[&str], f64)] = &[
    (&["ns"], 1e-9),
    (&["us", "\u{b5}s", "\u{3bc}s"], 1e-6),
    (&["ms"], 1e-3),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["min", "mins", "minute", "minutes"], 60.0),
    (&["h", "hour", "hours"], 3600.0),
    (&["d", "day", "days"], 86400.0),
    (&["w", "week", "weeks"], 604_800.0),
    (&["B", "byte", "bytes"], 1.0),
    (&["k", "K", "kB", "KB", "KiB"], KIBI),
    (&["M", "MB", "MiB"], KIBI * KIBI),
    (&["G", "GB", "GiB"], KIBI * KIBI * KIBI),
    (&["T", "TB", "TiB"], KIBI * KIBI * KIBI * KIBI),
    (&["P", "PB", "PiB"], KIBI * KIBI * KIBI * KIBI * KIBI),
    (&["%"], 0.01),
    (&["Hz"], 1.0),
    (&["kHz"], 1e3),
    (&["MHz"], 1e6),
    (&["GHz"], 1e9),
    (&["V", "A", "W", "J", "C", "\u{b0}C", "RPM", "rpm"], 1.0),
    (&["mV", "mA", "mW"], 1e-3),
    (&["kW"], 1e3),
];

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotANumber {
    /// There is nothing.
    Empty,
    /// It is something else.
    Other,
    /// It is beyond what a double holds.
    TooLarge,
    /// A number, and after it something that is none of the units.
    Unit,
}

/// The value of `text`, in base units: a decimal number with or without a unit, `true` or `false`, or NaN, Inf, +Inf,
/// -Inf as Prometheus spells them.
///
/// # Errors
/// Why it has none.
pub fn parse(text: &str) -> Result<f64, NotANumber> {
    let text = text.trim();
    match text {
        "" => return Err(NotANumber::Empty),
        "NaN" => return Ok(f64::NAN),
        "Inf" | "+Inf" => return Ok(f64::INFINITY),
        "-Inf" => return Ok(f64::NEG_INFINITY),
        "true" => return Ok(1.0),
        "false" => return Ok(0.0),
        _ => {}
    }
    let (number, unit) = split(text).ok_or(NotANumber::Other)?;
    // Rust's parser knows words too, but what was split off has digits and signs only.
    let number: f64 = number.parse().map_err(|_| NotANumber::Other)?;
    let factor = factor(unit).ok_or(NotANumber::Unit)?;
    let value = in_units(number, factor);
    if value.is_finite() { Ok(value) } else { Err(NotANumber::TooLarge) }
}

/// `number` of something that is worth `factor`; exact where the factor's inverse is a whole number: 3 ms is 0.003.
pub fn in_units(number: f64, factor: f64) -> f64 {
    let inverse = (1.0 / factor).round();
    // So says no other factor, however near its inverse is to a whole number.
    let exact = factor < 1.0 && 1.0 / inverse == factor;
    if exact { number / inverse } else { number * factor }
}

/// What `unit` is worth in base units; none is the base unit itself.
pub fn factor(unit: &str) -> Option<f64> {
    if unit.is_empty() {
        return Some(1.0);
    }
    UNITS.iter().find(|(names, _)| names.contains(&unit)).map(|(_, factor)| *factor)
}

/// The number that `text` begins with, and what stands after it. `None` where it does not begin with one, or goes on
/// with what makes it another number (`1,5`, `1_000`, `0x10`, `1.2.3`) or several.
fn split(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let at = |at: usize| bytes.get(at).copied();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut end = usize::from(matches!(at(0), Some(b'+' | b'-')));
    let before = digits(end);
    end += before;
    if at(end) == Some(b'.') {
        let after = digits(end + 1);
        if before + after == 0 {
            return None;
        }
        end += 1 + after;
    } else if before == 0 {
        return None;
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let (number, rest) = text.split_at_checked(end)?;
    let unit = rest.trim_start();
    let of_a_number = |c: char| c.is_numeric() || matches!(c, '.' | ',' | '_' | '+' | '-' | ':');
    let hexadecimal = number == "0" && unit.starts_with(['x', 'X']);
    (!unit.contains(of_a_number) && !hexadecimal).then_some((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_prometheus_spells_them() {
        for (text, value) in [
            ("0", 0.0),
            ("  42\n", 42.0),
            ("\t-1.5e3 \r\n\n", -1500.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1E+2", 100.0),
            ("+Inf", f64::INFINITY),
            ("Inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("true", 1.0),
            ("false", 0.0),
        ] {
            assert_eq!(parse(text), Ok(value), "{text:?}");
        }
        assert!(parse("NaN\n").unwrap().is_nan());
    }

    #[test]
    fn units_become_base_units() {
        for (text, value) in [
            ("3ms", 0.003),
            ("7 us", 0.000_007),
            ("7\u{b5}s", 0.000_007),
            ("2 hours", 7200.0),
            ("16384 kB", 16_777_216.0),
            ("1.5G", 1_610_612_736.0),
            ("2KiB", 2048.0),
            ("97%", 0.97),
            ("45.5 \u{b0}C", 45.5),
            ("2.4 GHz", 2.4e9),
            ("-3.000 mV", -0.003),
            ("1e3 B", 1000.0),
        ] {
            assert_eq!(parse(text), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn scaling_is_as_exact_as_can_be() {
        assert_eq!(in_units(3.0, 0.1), 0.3);
        assert_eq!(in_units(7.0, 1e-9), 7e-9);
        assert_eq!(in_units(10.0, 0.3), 3.0);
        assert_eq!(in_units(2.0, -0.5), -1.0);
        assert_eq!(in_units(3.0, 1e-320), 3e-320);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "1 2", "1\n2", "0x10", "1_000", "1,5", "nan", "inf", "infinity", "True", "e", ".", "\u{661}",
            "1.2.3", "12:30", "-", "1 000", "ms", "1-2", "5m3s",
        ] {
            assert_eq!(parse(text), Err(NotANumber::Other), "{text:?}");
        }
        for text in ["1\0", "5m", "5 foos", "1e", "3ms/s", "5 m s"] {
            assert_eq!(parse(text), Err(NotANumber::Unit), "{text:?}");
        }
        assert_eq!(parse("1e309"), Err(NotANumber::TooLarge));
        assert_eq!(parse("1e308 P"), Err(NotANumber::TooLarge));
        assert_eq!(parse(" \n"), Err(NotANumber::Empty));
    }
}
