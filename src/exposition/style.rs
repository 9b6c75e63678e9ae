//! What is only good style: said as advice by `lint`, and no reason to refuse anything.

use super::family::Kind;
use super::rules::Rule;

/// What is declared of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared {
    pub help: bool,
    pub kind: Option<Kind>,
}

/// Units that are not base units, and those that are (prometheus.io/docs/practices/naming).
const UNITS: [(&str, &str); 22] = [
    ("nanoseconds", "seconds"),
    ("microseconds", "seconds"),
    ("milliseconds", "seconds"),
    ("ms", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("bits", "bytes"),
    ("kb", "bytes"),
    ("kilobytes", "bytes"),
    ("kibibytes", "bytes"),
    ("mb", "bytes"),
    ("megabytes", "bytes"),
    ("mebibytes", "bytes"),
    ("gb", "bytes"),
    ("gigabytes", "bytes"),
    ("gibibytes", "bytes"),
    ("percent", "ratio"),
    ("percentage", "ratio"),
    ("fahrenheit", "celsius"),
    ("milliamperes", "amperes"),
];

/// Rule, message and cure of each piece of advice on the family `name`.
pub(super) fn advice(name: &str, declared: Declared) -> Vec<(Rule, String, &'static str)> {
    let mut found = Vec::new();
    if !declared.help {
        let message = format!("no HELP for `{}`", super::text::short(name));
        found.push((Rule::NoHelp, message, "say what the number means: # HELP name text"));
    }
    let Some(kind) = declared.kind else {
        let message = format!("no TYPE for `{}`", super::text::short(name));
        found.push((Rule::NoType, message, "say what kind of number it is: # TYPE name gauge"));
        return found;
    };
    let (base, is_total) = match name.strip_suffix("_total") {
        Some(base) => (base, true),
        None => (name, false),
    };
    if is_total != (kind == Kind::Counter) && kind != Kind::Untyped {
        let message = match is_total {
            true => format!("a {} called like a counter", kind.word()),
            false => "a counter whose name does not end in `_total`".to_owned(),
        };
        found.push((
            Rule::CounterName,
            message,
            "end the names of counters, and of nothing else, in `_total`",
        ));
    }
    let last = base.rsplit('_').next().unwrap_or_default();
    if let Some((unit, better)) = UNITS.iter().find(|(unit, _)| last.eq_ignore_ascii_case(unit)) {
        found.push((
            Rule::BaseUnit,
            format!("the unit `{unit}`: {better} is the base unit"),
            "use base units",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_for_what_other_hosts_would_call_otherwise() {
        let of = |name: &str, help: bool, kind: Option<Kind>| -> Vec<Rule> {
            advice(name, Declared { help, kind }).into_iter().map(|(rule, ..)| rule).collect()
        };
        assert_eq!(of("c_seconds_total", true, Some(Kind::Counter)), []);
        assert_eq!(of("c_a", false, None), [Rule::NoHelp, Rule::NoType]);
        assert_eq!(of("c_a", true, Some(Kind::Counter)), [Rule::CounterName]);
        assert_eq!(of("c_total", true, Some(Kind::Gauge)), [Rule::CounterName]);
        assert_eq!(of("c_total", true, Some(Kind::Untyped)), []);
        assert_eq!(of("c_ms_total", true, Some(Kind::Counter)), [Rule::BaseUnit]);
        assert_eq!(of("c_Percent", true, Some(Kind::Gauge)), [Rule::BaseUnit]);
        assert_eq!(of("c_items", true, Some(Kind::Gauge)), []);
    }
}
