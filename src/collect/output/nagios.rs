//! `format: nagios`: what a monitoring plugin says, by its exit status and its performance data.
//!
//! As <https://www.monitoring-plugins.org/doc/guidelines.html> has it: what stands after the first `|`, and in later
//! lines after a second one, is a list of `'label'=value[UOM];[warn];[crit];[min];[max]`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::number::{self, Units};
use super::record::line_place;
use super::{Bounds, Output, Reader, Unreadable, excerpt};
use crate::config::fields::read_metric_name;
use crate::config::yaml::Section;
use crate::exposition::{Family, Kind, Labels};

/// The states, by exit status.
const STATES: [&str; 4] = ["ok", "warning", "critical", "unknown"];

/// How a family's name ends by the unit of measurement, and the units that are so.
const UNITS: &[(&str, &[&str])] = &[
    ("value", &[""]),
    ("total", &["c"]),
    ("seconds", &["s", "ms", "us", "\u{b5}s", "\u{3bc}s", "ns", "min", "h", "d"]),
    ("ratio", &["%"]),
    ("bytes", &["B", "kB", "KB", "MB", "GB", "TB", "PB", "EB", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
    ("celsius", &["C", "\u{b0}C"]),
    ("volts", &["V", "mV"]),
    ("amperes", &["A", "mA"]),
    ("watts", &["W", "mW", "kW"]),
    ("hertz", &["Hz", "kHz", "MHz", "GHz"]),
];

const STATE_HELP: &str = "Whether the plugin is in this state, by its exit status.";
const VALUE_HELP: &str = "Performance data of the plugin.";

#[derive(Debug)]
struct Nagios {
    name: String,
    /// Whether what was measured is read too.
    perfdata: bool,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let name = section.required_node("name", "write `name: ` and what the families' names shall begin with");
    let name = name.and_then(|node| read_metric_name(node, section.problems()));
    let perfdata = section.optional::<bool>("perfdata").unwrap_or(true);
    Some(Box::new(Nagios { name: name?, perfdata }))
}

impl Reader for Nagios {
    fn needs_status(&self) -> bool {
        true
    }

    fn families(&self, output: &Output<'_>, _: &Bounds<'_>) -> Result<Vec<Family>, Unreadable> {
        let text = super::text(output.stdout)?;
        let status = output.status;
        if !self.accepts(status) {
            let message = format!("the exit status {status} is none of a plugin's, which are 0 to 3");
            return Err(Unreadable { message, detail: format!("its output: {}", excerpt(text.trim())) });
        }
        let mut families = Families { name: &self.name, all: Vec::new() };
        for (known, state) in (0..).zip(STATES) {
            let labels = vec![("state".into(), state.into())];
            families.push("state", STATE_HELP, labels, f64::from(u8::from(known == status)));
        }
        if !self.perfdata {
            return Ok(families.all);
        }
        let mut seen = HashSet::new();
        for (line, text) in performance_data(text) {
            let unreadable = |wrong: &str, at: &str| Unreadable {
                message: format!("{wrong} in the performance data in {}", line_place(line)),
                detail: format!("line {line}: {}", excerpt(at)),
            };
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                let (datum, after) = Datum::parse(rest).map_err(|wrong| unreadable(wrong, rest))?;
                if !seen.insert((datum.unit, datum.symbol, datum.label.clone())) {
                    return Err(unreadable("a label stands twice", rest));
                }
                families.take(datum);
                rest = after.trim_start();
            }
        }
        Ok(families.all)
    }

    fn accepts(&self, status: i32) -> bool {
        (0..).zip(STATES).any(|(known, _)| known == status)
    }
}

/// The parts of lines that hold performance data, each with the number of its line.
fn performance_data(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut data_only = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if data_only {
            return Some((at + 1, line));
        }
        let (_, data) = line.split_once('|')?;
        // Below the first line it goes on to the end.
        data_only = at > 0;
        Some((at + 1, data))
    })
}

const NO_NUMBER: &str = "there is a value that is no number";

/// One measured thing.
struct Datum<'t> {
    label: Cow<'t, str>,
    /// How its families' names end.
    unit: &'static str,
    /// The unit, where it is none of those that a name can say.
    symbol: Option<&'t str>,
    /// `None`: the plugin does not know.
    value: Option<f64>,
    warning: Option<Range>,
    critical: Option<Range>,
    min: Option<f64>,
    max: Option<f64>,
}

/// The bounds that a threshold says; infinite ones are none.
struct Range {
    low: Option<f64>,
    high: Option<f64>,
    /// Whether it is between them that something is wrong.
    inside: bool,
}

impl<'t> Datum<'t> {
    /// The first of `text`, and what stands after it; or what is wrong, in words.
    fn parse(text: &'t str) -> Result<(Self, &'t str), &'static str> {
        let (label, rest) = label(text)?;
        let (data, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        let mut parts = data.split(';');
        let measured = parts.next().unwrap_or_default();
        let (value, symbol) = match measured.strip_prefix('U') {
            Some(symbol) => (None, symbol),
            None => value_and_unit(measured).map(|(value, symbol)| (Some(value), symbol)).ok_or(NO_NUMBER)?,
        };
        let known = UNITS.iter().find(|(_, symbols)| symbols.contains(&symbol));
        let (unit, unknown) = known.map_or(("value", Some(symbol)), |(unit, _)| (*unit, None));
        // A count has no factor, nor has what nobody knows.
        let factor = number::factor(symbol, Units::Binary).unwrap_or(1.0);
        // Some plugins repeat the unit.
        let in_base = |text: &str| decimal(text.strip_suffix(symbol).unwrap_or(text), factor);
        let value = value.map(|value| decimal(value, factor).ok_or(NO_NUMBER)).transpose()?;
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let mut range = || next().map(|text| Range::parse(text, &in_base)).transpose();
        let warning = range()?;
        let critical = range()?;
        let mut bound =
            || next().map(|text| in_base(text).ok_or("there is a bound that is no number")).transpose();
        let min = bound()?;
        let max = bound()?;
        if parts.next().is_some_and(|more| !more.is_empty()) {
            return Err("there is more than a value, two thresholds and two bounds");
        }
        Ok((Self { label, unit, symbol: unknown, value, warning, critical, min, max }, rest))
    }
}

/// The number that `text` begins with, and the unit after it. A unit may hold digits too, `m3/h`, but is not what makes
/// the number another one: `1,5`, `1_000`, `0x10`, `1e999`.
fn value_and_unit(text: &str) -> Option<(&str, &str)> {
    let of_number = |c: char| matches!(c, '0'..='9' | '.' | '-' | '+');
    let longest = text.rfind(of_number).map_or(0, |at| at + 1);
    let shortest = text.find(|c| !of_number(c)).unwrap_or(text.len());
    let ends = [longest, shortest].into_iter().filter_map(|end| text.split_at_checked(end));
    let (value, unit) = ends.into_iter().find(|(value, _)| decimal(value, 1.0).is_some())?;
    let of_number = |c: char| matches!(c, ',' | '_' | ':') || c.is_numeric();
    let more = unit.contains(char::is_numeric) && unit.starts_with(['e', 'E', 'x', 'X']);
    (!unit.starts_with(of_number) && !more).then_some((value, unit))
}

/// A number in base units, where `text` is nothing but one.
fn decimal(text: &str, factor: f64) -> Option<f64> {
    let plain = |c: u8| matches!(c, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    if !text.bytes().all(plain) {
        return None;
    }
    let value = number::in_units(text.parse().ok()?, factor);
    value.is_finite().then_some(value)
}

/// The label that `text` begins with, and what stands after its `=`.
fn label(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    const UNNAMED: &str = "there is something that is not `label=value`";
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, rest) = text.split_once('=').ok_or(UNNAMED)?;
        let fits = !label.is_empty() && !label.contains(|c: char| c.is_whitespace() || c == '\'');
        return if fits { Ok((label.into(), rest)) } else { Err(UNNAMED) };
    };
    let mut from = 0;
    loop {
        let after = quoted.get(from..).unwrap_or_default();
        let at = from + after.find('\'').ok_or("there is a label whose quote is not closed")?;
        let rest = quoted.get(at + 1..).unwrap_or_default();
        // Two of them are one.
        if rest.starts_with('\'') {
            from = at + 2;
            continue;
        }
        let label = quoted.get(..at).unwrap_or_default();
        let rest = rest.strip_prefix('=').ok_or(UNNAMED)?;
        if label.trim().is_empty() {
            return Err("there is a label that is empty");
        }
        let label =
            if label.contains('\'') { Cow::Owned(label.replace("''", "'")) } else { Cow::Borrowed(label) };
        return Ok((label, rest));
    }
}

impl Range {
    /// `10` is up to 10, `10:` from 10 on, `~:10` up to 10, `10:20` between, `@10:20` not between.
    fn parse(text: &str, number: &impl Fn(&str) -> Option<f64>) -> Result<Self, &'static str> {
        const NONE: &str = "there is a threshold that is no range";
        let (text, inside) = text.strip_prefix('@').map_or((text, false), |text| (text, true));
        let (low, high) = text.split_once(':').unwrap_or(("", text));
        if text == ":" {
            return Err(NONE);
        }
        let low = match low {
            // 0 by the guidelines, but nobody wrote it: a series of zeros for each plain threshold says nothing.
            "" if !inside => None,
            "" => Some(0.0),
            "~" => None,
            low => Some(number(low).ok_or(NONE)?),
        };
        let high = match high {
            "" if text.contains(':') => None,
            high => Some(number(high).ok_or(NONE)?),
        };
        Ok(Self { low, high, inside })
    }
}

/// The families so far.
struct Families<'a> {
    name: &'a str,
    all: Vec<Family>,
}

impl Families<'_> {
    fn push(&mut self, suffix: &str, help: &'static str, labels: Labels, value: f64) {
        let name = format!("{}_{suffix}", self.name);
        if let Some(family) = self.all.iter_mut().find(|family| family.name == name) {
            return family.push(labels, value);
        }
        let kind = if suffix == "total" { Kind::Counter } else { Kind::Gauge };
        let mut family =
            Family { name: name.into(), help: Some(help.into()), kind: Some(kind), samples: Vec::new() };
        family.push(labels, value);
        self.all.push(family);
    }

    fn take(&mut self, datum: Datum<'_>) {
        let mut labels: Labels = vec![("label".into(), datum.label.into_owned().into())];
        labels.extend(datum.symbol.map(|symbol| ("unit".into(), symbol.to_owned().into())));
        // A bound of a counter is none itself.
        let unit = if datum.unit == "total" { "value" } else { datum.unit };
        if let Some(value) = datum.value {
            self.push(datum.unit, VALUE_HELP, labels.clone(), value);
        }
        for (range, low, high, low_help, high_help) in [
            (
                datum.warning,
                "warning_low",
                "warning_high",
                "Lower bound of warning.",
                "Upper bound of warning.",
            ),
            (
                datum.critical,
                "critical_low",
                "critical_high",
                "Lower bound of critical.",
                "Upper bound of critical.",
            ),
        ] {
            let Some(range) = range else { continue };
            let mut labels = labels.clone();
            if range.inside {
                labels.push(("inside".into(), "true".into()));
            }
            for (bound, name, help) in [(range.low, low, low_help), (range.high, high, high_help)] {
                if let Some(bound) = bound {
                    self.push(&format!("{name}_{unit}"), help, labels.clone(), bound);
                }
            }
        }
        for (bound, name, help) in [
            (datum.min, "min", "The least that can be, as the plugin says."),
            (datum.max, "max", "The most that can be, as the plugin says."),
        ] {
            if let Some(bound) = bound {
                self.push(&format!("{name}_{unit}"), help, labels.clone(), bound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read, read_status};

    const YAML: &str = "{format: nagios, name: n}";

    /// The samples of `output`, but for the state.
    fn samples(output: &str) -> String {
        let text = read(YAML, output).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("n_state"));
        lines.collect::<Vec<_>>().join(" ")
    }

    fn wrong(data: &str) -> String {
        message(YAML, format!("OK\nlong\nmore | {data}\n"))
            .replace(" in the performance data in line 3 of its output", "")
    }

    #[test]
    fn the_state_is_the_exit_status() {
        for (status, state) in [(0, "ok"), (1, "warning"), (2, "critical"), (3, "unknown")] {
            let text = read_status(YAML, "", status).unwrap();
            assert!(text.contains(&format!("n_state{{state=\"{state}\"}} 1\n")), "{text}");
            assert_eq!(text.matches("} 0\n").count(), 3, "{text}");
        }
        let format = format(YAML).unwrap();
        let accepted: Vec<i32> = (-1..300).filter(|status| format.accepts(*status)).collect();
        assert_eq!(accepted, [0, 1, 2, 3]);
        // With nothing to read, there still is a state.
        assert!(read("{format: nagios, name: n, allow_empty: true}", "").unwrap().contains("\"ok\"} 1"));
    }

    #[test]
    fn values_are_in_base_units() {
        assert_eq!(
            samples(
                "PING OK | rta=0.5ms pl=20% users=3 packets=7c free=1KiB 't \u{b0}'=-4.5C;;;\tx=U y=1.5e3s\n"
            ),
            "n_seconds{label=\"rta\"} 0.0005 n_seconds{label=\"y\"} 1500 n_ratio{label=\"pl\"} 0.2 \
             n_value{label=\"users\"} 3 n_total{label=\"packets\"} 7 n_bytes{label=\"free\"} 1024 \
             n_celsius{label=\"t \u{b0}\"} -4.5"
        );
        assert!(read(YAML, "x|a=1c").unwrap().contains("# TYPE n_total counter\n"));
    }

    #[test]
    fn thresholds_are_bounds_in_the_same_unit() {
        assert_eq!(
            samples("x | a=1;10;5:;0;20"),
            "n_value{label=\"a\"} 1 n_warning_high_value{label=\"a\"} 10 \
             n_critical_low_value{label=\"a\"} 5 n_min_value{label=\"a\"} 0 n_max_value{label=\"a\"} 20"
        );
        assert_eq!(
            samples("x | a=1ms;~:10;@10:20"),
            "n_seconds{label=\"a\"} 0.001 n_warning_high_seconds{label=\"a\"} 0.01 \
             n_critical_low_seconds{label=\"a\",inside=\"true\"} 0.01 \
             n_critical_high_seconds{label=\"a\",inside=\"true\"} 0.02"
        );
        assert_eq!(
            samples("x | a=9%;;50%"),
            "n_ratio{label=\"a\"} 0.09 n_critical_high_ratio{label=\"a\"} 0.5"
        );
        assert_eq!(
            samples("x | a=1;@5"),
            "n_value{label=\"a\"} 1 n_warning_low_value{label=\"a\",inside=\"true\"} 0 \
             n_warning_high_value{label=\"a\",inside=\"true\"} 5"
        );
        assert_eq!(samples("x | a=1c;;;;2"), "n_total{label=\"a\"} 1 n_max_value{label=\"a\"} 2");
    }

    #[test]
    fn labels_may_be_quoted() {
        assert_eq!(
            samples("x | 'C:\\ it''s = 1'=1 'b'=2 /x=3"),
            "n_value{label=\"C:\\\\ it's = 1\"} 1 n_value{label=\"b\"} 2 n_value{label=\"/x\"} 3"
        );
    }

    #[test]
    fn later_lines_have_performance_data_behind_a_second_bar() {
        assert_eq!(
            samples("DISK OK | /=1\n/ long text a=b\n/home | /boot=2\n/home=3 /var=4\n\n"),
            "n_value{label=\"/\"} 1 n_value{label=\"/boot\"} 2 n_value{label=\"/home\"} 3 n_value{label=\"/var\"} 4"
        );
        assert_eq!(samples("OK - fine"), "");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_bytes() {
        let (message, detail) = read(YAML, "OK | a=1\nlong |\nb=SECRET\n").unwrap_err();
        assert_eq!(
            message,
            "there is a value that is no number in the performance data in line 3 of its output"
        );
        assert_eq!(detail, "line 3: \"b=SECRET\"");
        for (data, expected) in [
            ("a=1 a=2", "a label stands twice"),
            ("a=1 b", "there is something that is not `label=value`"),
            ("a b=1", "there is something that is not `label=value`"),
            ("=1", "there is something that is not `label=value`"),
            ("'a'1", "there is something that is not `label=value`"),
            ("''=1", "there is a label that is empty"),
            ("'a=1", "there is a label whose quote is not closed"),
            ("a=1,5", "there is a value that is no number"),
            ("a=", "there is a value that is no number"),
            ("a=1e999", "there is a value that is no number"),
            ("a=1,", "there is a value that is no number"),
            ("a=1_000", "there is a value that is no number"),
            ("a=0x10", "there is a value that is no number"),
            ("a=12:30", "there is a value that is no number"),
            ("a=1foo a=2foo", "a label stands twice"),
            ("a=nan", "there is a value that is no number"),
            ("a=1;x", "there is a threshold that is no range"),
            ("a=1;:", "there is a threshold that is no range"),
            ("a=1;;1:2:3", "there is a threshold that is no range"),
            ("a=1;;;x", "there is a bound that is no number"),
            ("a=1;;;;;6", "there is more than a value, two thresholds and two bounds"),
        ] {
            assert_eq!(wrong(data), expected, "{data}");
        }
        // In another unit it is another series.
        assert_eq!(samples("x | a=1s a=1B"), "n_seconds{label=\"a\"} 1 n_bytes{label=\"a\"} 1");
    }

    #[test]
    fn an_unknown_unit_is_a_label() {
        assert_eq!(
            samples("x | in=1.5e1Mb/s;20Mb/s;@5;0 flow=2m3/h in=4 up=UMb/s"),
            "n_value{label=\"in\",unit=\"Mb/s\"} 15 n_value{label=\"flow\",unit=\"m3/h\"} 2 \
             n_value{label=\"in\"} 4 n_warning_high_value{label=\"in\",unit=\"Mb/s\"} 20 \
             n_critical_low_value{label=\"in\",unit=\"Mb/s\",inside=\"true\"} 0 \
             n_critical_high_value{label=\"in\",unit=\"Mb/s\",inside=\"true\"} 5 \
             n_min_value{label=\"in\",unit=\"Mb/s\"} 0"
        );
    }

    #[test]
    fn performance_data_may_be_left_out() {
        let yaml = "{format: nagios, name: n, perfdata: false}";
        assert_eq!(read(yaml, "OK | a=1,5 b=2").unwrap(), read(yaml, "").unwrap());
        assert!(read(yaml, "").unwrap().contains("n_state{state=\"ok\"} 1\n"));
    }

    #[test]
    fn another_exit_status_is_none_of_the_states() {
        for status in [-1, 4, 127] {
            let (message, detail) = read_status(YAML, "SECRET | a=1", status).unwrap_err();
            assert_eq!(message, format!("the exit status {status} is none of a plugin's, which are 0 to 3"));
            assert_eq!(detail, "its output: \"SECRET | a=1\"");
        }
    }

    #[test]
    fn the_name_must_be_one() {
        assert_eq!(format("{format: nagios}").unwrap_err(), ["`output` has no `name`"]);
        assert_eq!(format("{format: nagios, name: a-b}").unwrap_err(), ["`a-b` is not a metric's name"]);
    }
}
