//! Names that node_exporter, or Prometheus, uses itself. A file that holds one loses its series, takes
//! node_exporter's away, or hides that other files fail.

use std::cmp::Ordering;

use super::family::Kind;

/// `NAME KIND` lines, sorted by name: the families of node_exporter's own end-to-end fixtures (1.5.0, 1.9.0,
/// 1.12.1) and of live scrapes.
const NAMES: &str = include_str!("reserved-names.txt");

/// Beginnings that belong to node_exporter (its own collectors' health, the Go client library) or to Prometheus
/// (what it adds to each scrape).
const PREFIXES: [&str; 7] =
    ["go_", "node_exporter_", "node_scrape_collector_", "node_textfile_", "process_", "promhttp_", "scrape_"];

/// Whose name a family `name` of this kind takes, or clashes with by the suffixes of a histogram or summary.
pub(super) fn owner(name: &str, kind: Kind) -> Option<String> {
    if name == "up" || name.starts_with("scrape_") {
        return Some(format!("`{name}` is Prometheus's own name"));
    }
    if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || find(name).is_some() {
        return Some(format!("`{name}` is node_exporter's own name"));
    }
    for suffix in Kind::Histogram.suffixes() {
        let Some(base) = name.strip_suffix(suffix) else { continue };
        if let Some(kind) = find(base).filter(|kind| kind.suffixes().contains(suffix)) {
            let kind = kind.word();
            return Some(format!("`{name}` belongs to node_exporter's own {kind} `{base}`"));
        }
    }
    kind.suffixes()
        .iter()
        .map(|suffix| format!("{name}{suffix}"))
        .find(|part| find(part).is_some())
        .map(|part| format!("`{part}` of this {} is node_exporter's own name", kind.word()))
}

/// The kind of the listed family `name`. Bisects the text, so that nothing is built at start-up.
fn find(name: &str) -> Option<Kind> {
    let mut rest = NAMES;
    while !rest.is_empty() {
        let (before, after) = rest.split_at_checked(rest.len() / 2)?;
        // The line that holds the middle, what stands before it, and what after.
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = after.find('\n').map_or(rest.len(), |at| before.len() + at + 1);
        let (line_name, kind) = rest.get(start..end)?.trim_end().split_once(' ')?;
        match name.cmp(line_name) {
            Ordering::Less => rest = rest.get(..start)?,
            Ordering::Greater => rest = rest.get(end..)?,
            Ordering::Equal => return Kind::from_word(kind),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_line_is_found() {
        let mut last = "";
        for line in NAMES.lines() {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(last < name, "{last} stands before {name}");
            last = name;
            assert_eq!(find(name), Some(Kind::from_word(kind).unwrap()), "{name}");
            for near in [format!("{name}!"), format!("{name}~"), name[1..].to_string()] {
                let listed = NAMES.lines().any(|line| line.split(' ').next() == Some(&near));
                assert_eq!(find(&near).is_some(), listed, "{near}");
            }
        }
        assert!(last > "node_");
        assert_eq!(find(""), None);
        assert_eq!(find("zzz"), None);
    }

    #[test]
    fn own_names_are_taken_and_unused_ones_free() {
        for name in [
            "node_load1",
            "node_textfile_anything",
            "node_scrape_collector_x",
            "node_exporter_x",
            "go_x",
            "process_x",
            "promhttp_x",
            "scrape_x",
            "up",
            "go_gc_duration_seconds_count",
        ] {
            assert!(owner(name, Kind::Gauge).is_some(), "{name}");
        }
        for name in ["node_reboot_required", "upset", "promdrop_run", "good", "nodes", "c_a"] {
            assert_eq!(owner(name, Kind::Gauge), None);
        }
    }

    #[test]
    fn a_histogram_must_not_spread_over_a_listed_name() {
        let (base, suffix) = NAMES
            .lines()
            .filter_map(|line| line.split(' ').next())
            .find_map(|name| Some((name.strip_suffix("_count")?, "_count")))
            .filter(|(base, _)| find(base).is_none())
            .unwrap();
        assert_eq!(owner(base, Kind::Gauge), None);
        assert!(owner(base, Kind::Histogram).unwrap().contains(&format!("{base}{suffix}")));
    }
}
