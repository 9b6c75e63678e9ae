//! `format: prometheus`: the text exposition format, as most scripts for the textfile collector print it.

use super::metric::read_factor;
use super::number::in_units;
use super::{Bounds, Output, Reader, Unreadable};
use crate::config::fields::read_metric_name;
use crate::config::yaml::{Node, Problems, Section, Wrong, read_entries};
use crate::diagnostic;
use crate::exposition::{self, Family, Kind};

/// Of a long list of problems so many are shown.
const SHOWN: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Prometheus {
    /// Families by the names they are printed with, and what they shall be called.
    rename: Vec<(String, String)>,
    /// Families by the names they are printed with, and what their values are multiplied by.
    scale: Vec<(String, f64)>,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let rename = section.node("rename").map(|node| {
        let renamed = by_family(node, section.problems(), "write `{OLD: NEW}`", read_metric_name)?;
        let twice = renamed
            .iter()
            .enumerate()
            .any(|(at, (_, new))| renamed.iter().take(at).any(|(_, other)| other == new));
        if twice {
            let wrong = Wrong::new("two families would have one name", "give each a name of its own");
            section.report("rename", wrong);
        }
        Some(renamed)
    });
    let scale = section.node("scale").map(|node| {
        let factor = |node: &Node, problems: &Problems| {
            let factor = read_factor(node, problems)?;
            if factor < 0.0 {
                let wrong =
                    Wrong::new("a family can't be scaled by less than 0", "write a factor such as 0.001");
                problems.report(node, wrong);
            }
            Some(factor)
        };
        by_family(node, section.problems(), "write `{FAMILY: FACTOR}`", factor)
    });
    let (rename, scale) = (rename.unwrap_or(Some(Vec::new())), scale.unwrap_or(Some(Vec::new())));
    Some(Box::new(Prometheus { rename: rename?, scale: scale? }))
}

/// Reads a map of families' names to what `read` takes.
fn by_family<T>(
    node: &Node,
    problems: &Problems,
    cure: &str,
    read: impl Fn(&Node, &Problems) -> Option<T>,
) -> Option<Vec<(String, T)>> {
    read_entries(node, problems, cure, |(name, value)| {
        let name = read_metric_name(name, problems);
        name.zip(read(value, problems))
    })
}

impl Reader for Prometheus {
    fn families(&self, output: &Output<'_>, _: &Bounds<'_>) -> Result<Vec<Family>, Unreadable> {
        let mut families = exposition::read(output.stdout).map_err(|problems| broken(output, &problems))?;
        for (name, factor) in &self.scale {
            for family in families.iter_mut().filter(|family| family.name == *name) {
                scaled(family, *factor).ok_or_else(|| Unreadable {
                    message: format!("a number of `{name}` in its output is too large to be scaled"),
                    detail: String::new(),
                })?;
            }
        }
        for family in &mut families {
            if let Some((old, new)) = self.rename.iter().find(|(old, _)| family.name == *old) {
                for sample in &mut family.samples {
                    let suffix = sample.name.strip_prefix(old.as_str()).unwrap_or_default();
                    sample.name = format!("{new}{suffix}").into();
                }
                family.name = new.clone().into();
            }
        }
        for (old, new) in &self.rename {
            if families.iter().filter(|family| family.name == *new).count() > 1 {
                let message =
                    format!("its output has a family `{new}` itself, so that `{old}` can't be called so");
                return Err(Unreadable { message, detail: String::new() });
            }
        }
        Ok(families)
    }
}

/// Multiplies what `family` measures, not how often it did; `None` where a number becomes too large.
fn scaled(family: &mut Family, factor: f64) -> Option<()> {
    let times = |value: f64| {
        let scaled = in_units(value, factor);
        (scaled.is_finite() || !value.is_finite()).then_some(scaled)
    };
    let parts = matches!(family.kind, Some(Kind::Histogram | Kind::Summary));
    for sample in &mut family.samples {
        match sample.name.strip_prefix(&*family.name) {
            Some("_count") if parts => {}
            Some("_bucket") if parts => {
                for (_, bound) in sample.labels.iter_mut().filter(|(label, _)| label == "le") {
                    if let Some(number) = bound.parse().ok().filter(|number: &f64| number.is_finite()) {
                        *bound = times(number)?.to_string().into();
                    }
                }
            }
            _ => sample.value = times(sample.value)?,
        }
    }
    Some(())
}

/// That `output` is no exposition. The words of the problems may quote it, so they are for the detail.
fn broken(output: &Output<'_>, problems: &[diagnostic::Problem]) -> Unreadable {
    let place = match problems.first() {
        Some(first) if first.line > 0 => {
            format!("line {}, column {} of its output", first.line, first.column)
        }
        _ => "its output".to_owned(),
    };
    let message = match problems.len() {
        0 | 1 => format!("{place} breaks the exposition format"),
        count => format!("{place} breaks the exposition format, the first of {count} problems"),
    };
    let text = String::from_utf8_lossy(output.stdout);
    let shown = problems.iter().take(SHOWN);
    let shown: Vec<String> = shown.map(|p| diagnostic::show("output", &text, p).to_string()).collect();
    Unreadable { message, detail: shown.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read};

    #[test]
    fn the_message_tells_the_place_and_the_detail_the_line() {
        let (message, detail) = read("{format: prometheus}", "good 1\nSECRET what\n").unwrap_err();
        assert_eq!(message, "line 2, column 8 of its output breaks the exposition format");
        assert!(detail.contains("SECRET what"), "{detail}");
    }

    #[test]
    fn families_get_other_names() {
        let yaml = "{format: prometheus, rename: {a: b, b: a, h: x_seconds, absent: y}}";
        let output = "# HELP a A.\n# TYPE a gauge\na{l=\"1\"} 1\nb 2\n# TYPE h summary\nh_sum 1\nh_count 2\n";
        assert_eq!(
            read(yaml, output).unwrap(),
            "# HELP b A.\n# TYPE b gauge\nb{l=\"1\"} 1\na 2\n# TYPE x_seconds summary\nx_seconds_sum 1\nx_seconds_count 2\n"
        );
        assert_eq!(
            message("{format: prometheus, rename: {a: b}}", output),
            "its output has a family `b` itself, so that `a` can't be called so"
        );
    }

    #[test]
    fn values_are_scaled_and_counts_are_not() {
        let yaml = "{format: prometheus, scale: {a: 0.001, h: 0.001, s: 1000}, rename: {a: a_seconds}}";
        let output = "a 7\na{b=\"c\"} +Inf\nb 7\n\
                      # TYPE h histogram\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 30\nh_count 2\n\
                      # TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 3\ns_count 4\n";
        assert_eq!(
            read(yaml, output).unwrap(),
            "a_seconds 0.007\na_seconds{b=\"c\"} +Inf\nb 7\n\
             # TYPE h histogram\nh_bucket{le=\"0.005\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.03\nh_count 2\n\
             # TYPE s summary\ns{quantile=\"0.5\"} 2000\ns_sum 3000\ns_count 4\n"
        );
        assert_eq!(
            message("{format: prometheus, scale: {a: 10}}", "a 1e308\n"),
            "a number of `a` in its output is too large to be scaled"
        );
    }

    #[test]
    fn what_can_not_be_renamed_or_scaled_is_told() {
        for (more, expected) in [
            ("rename: {a: c, b: c}", "two families would have one name"),
            ("rename: {a: 1c}", "`1c` is not a metric's name"),
            ("rename: [a]", "this is a list, where a map is expected"),
            ("scale: {a: 0}", "a number can't be scaled by this"),
            ("scale: {a: -1}", "a family can't be scaled by less than 0"),
            ("scale: {a: x}", "this is text, where a number is expected"),
        ] {
            assert_eq!(format(&format!("{{format: prometheus, {more}}}")).unwrap_err(), [expected]);
        }
    }
}
