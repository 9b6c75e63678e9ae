//! Numbers as programs print them, with a unit or without, in base units.

/// How units are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Units {
    /// kB is 1024 bytes, as it is for the kernel.
    #[default]
    Binary,
    /// kB is 1000 bytes.
    Decimal,
    /// A number stands for itself, whatever its unit.
    Ignore,
}

const KIBI: f64 = 1024.0;

/// The units that are of 1024 or of 1000, and how often.
const MULTIPLES: &[(&[&str], i32)] = &[
    (&["k", "K", "kB", "KB"], 1),
    (&["M", "MB"], 2),
    (&["G", "GB"], 3),
    (&["T", "TB"], 4),
    (&["P", "PB"], 5),
    (&["E", "EB"], 6),
];

/// The other units, what they are worth in base units, and how a metric's name says which that is.
///
/// `m` is not among them: it may be minutes, metres or thousandths. Neither are `M`, `G` and so on of anything but
/// bytes.
const UNITS: &[(&[&str], f64)] = &[
    (&["ns"], 1e-9),
    (&["us", "\u{b5}s", "\u{3bc}s", "usec", "\u{b5}sec", "\u{3bc}sec"], 1e-6),
    (&["ms", "msec"], 1e-3),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["min", "mins", "minute", "minutes"], 60.0),
    (&["h", "hour", "hours"], 3600.0),
    (&["d", "day", "days"], 86400.0),
    (&["w", "week", "weeks"], 604_800.0),
    (&["B", "byte", "bytes"], 1.0),
    (&["Ki", "KiB"], KIBI),
    (&["Mi", "MiB"], KIBI * KIBI),
    (&["Gi", "GiB"], KIBI * KIBI * KIBI),
    (&["Ti", "TiB"], KIBI * KIBI * KIBI * KIBI),
    (&["Pi", "PiB"], KIBI * KIBI * KIBI * KIBI * KIBI),
    (&["Ei", "EiB"], KIBI * KIBI * KIBI * KIBI * KIBI * KIBI),
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
pub fn parse(text: &str, units: Units) -> Result<f64, NotANumber> {
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
    let factor = factor(unit, units).ok_or(NotANumber::Unit)?;
    let value = in_units(number, factor);
    if value.is_finite() { Ok(value) } else { Err(NotANumber::TooLarge) }
}

/// `number` of something that is worth `factor`, as exact as can be: 0.065 ms is 0.000065.
pub fn in_units(number: f64, factor: f64) -> f64 {
    let inverse = (1.0 / factor).round();
    if factor >= 1.0 || 1.0 / inverse != factor {
        return number * factor;
    }
    moved(number, inverse).unwrap_or(number / inverse)
}

/// `number` with its decimal point moved to the left, where `power` is one of ten. A logarithm would tell that too, but
/// it alone would have every start load libm.
fn moved(number: f64, power: f64) -> Option<f64> {
    let places: i32 = format!("{power:e}").strip_prefix("1e")?.parse().ok()?;
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e')?;
    format!("{digits}e{}", exponent.parse::<i32>().ok()? - places).parse().ok()
}

/// What `unit` is worth in base units; none is the base unit itself.
pub fn factor(unit: &str, units: Units) -> Option<f64> {
    if unit.is_empty() || units == Units::Ignore {
        return Some(1.0);
    }
    let kilo = if units == Units::Decimal { 1e3 } else { KIBI };
    if let Some((_, times)) = MULTIPLES.iter().find(|(names, _)| names.contains(&unit)) {
        return Some(kilo.powi(*times));
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

    fn binary(text: &str) -> Result<f64, NotANumber> {
        parse(text, Units::Binary)
    }

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
            assert_eq!(binary(text), Ok(value), "{text:?}");
        }
        assert!(binary("NaN\n").unwrap().is_nan());
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
            ("1Gi", 1_073_741_824.0),
            ("2E", 2_305_843_009_213_693_952.0),
            ("1 EiB", 1_152_921_504_606_846_976.0),
            ("3 usec", 0.000_003),
            ("3\u{3bc}sec", 0.000_003),
            ("3msec", 0.003),
            ("97%", 0.97),
            ("45.5 \u{b0}C", 45.5),
            ("2.4 GHz", 2.4e9),
            ("-3.000 mV", -0.003),
            ("1e3 B", 1000.0),
        ] {
            assert_eq!(binary(text), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn units_are_counted_by_1000_or_not_at_all() {
        for (text, decimal, ignored) in [
            ("1.5 kB", 1500.0, 1.5),
            ("2M", 2e6, 2.0),
            ("3GB", 3e9, 3.0),
            ("1EB", 1e18, 1.0),
            ("2KiB", 2048.0, 2.0),
            ("2Mi", 2_097_152.0, 2.0),
            ("97%", 0.97, 97.0),
            ("5ms", 0.005, 5.0),
            ("7", 7.0, 7.0),
        ] {
            assert_eq!(parse(text, Units::Decimal), Ok(decimal), "{text}");
            assert_eq!(parse(text, Units::Ignore), Ok(ignored), "{text}");
        }
        assert_eq!(parse("-1.5 ppm slow", Units::Ignore), Ok(-1.5));
        for text in ["foos", "1,5", "1.2.3", "12:30", "0x10", "5m3s", "1_000"] {
            assert_eq!(parse(text, Units::Ignore), Err(NotANumber::Other), "{text}");
        }
        assert_eq!(parse("5 foos", Units::Decimal), Err(NotANumber::Unit));
    }

    #[test]
    fn scaling_is_as_exact_as_can_be() {
        assert_eq!(in_units(3.0, 0.1), 0.3);
        assert_eq!(in_units(0.065, 1e-3), 0.000_065);
        assert_eq!(in_units(f64::INFINITY, 1e-3), f64::INFINITY);
        assert!(in_units(f64::NAN, 1e-3).is_nan());
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
            assert_eq!(binary(text), Err(NotANumber::Other), "{text:?}");
        }
        for text in ["1\0", "5m", "5 foos", "1e", "3ms/s", "5 m s"] {
            assert_eq!(binary(text), Err(NotANumber::Unit), "{text:?}");
        }
        assert_eq!(binary("1e309"), Err(NotANumber::TooLarge));
        assert_eq!(binary("1e308 P"), Err(NotANumber::TooLarge));
        assert_eq!(binary(" \n"), Err(NotANumber::Empty));
    }
}
