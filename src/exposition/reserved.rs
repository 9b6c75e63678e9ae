//! Names that node_exporter, or Prometheus, uses itself. A file that holds one loses its series, takes
//! node_exporter's away, or hides that other files fail.
//!
//! There are two tiers. What a node_exporter serves as it comes is nobody else's. The families of collectors that
//! have to be switched on are free where nobody did: only a live node_exporter can tell.

use std::cmp::Ordering;

use super::family::Kind;
use super::rules::Harm;

/// `NAME KIND` lines, sorted by name; `NAME KIND COLLECTOR` for the families of a collector that is off by default.
///
/// They are those of node_exporter's end-to-end fixtures (1.5.0, 1.9.0, 1.12.1), of live scrapes, and, for collectors
/// that no fixture shows, of its sources. A collector that is on by default in any of these versions, or in Debian's
/// packages of them (`systemd` is), is no optional one.
const NAMES: &str = include_str!("reserved-names.txt");

/// Beginnings that belong to node_exporter: its own collectors' health and the Go client library.
const PREFIXES: [&str; 6] =
    ["go_", "node_exporter_", "node_scrape_collector_", "node_textfile_", "process_", "promhttp_"];

/// Beginnings of what node_exporter serves from a registry of its own, which goes before the files: only their series
/// are lost.
const OF_THE_PROCESS: [&str; 3] = ["go_", "process_", "promhttp_"];

/// A name that is taken, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The family of node_exporter, or of Prometheus, that is at stake: the name itself, or the one that it clashes
    /// with by a suffix.
    pub family: String,
    /// Who serves that family.
    pub tier: Tier,
    /// What comes of it where that family is served.
    pub harm: Harm,
    /// Whose name it is, without a full stop.
    pub message: String,
}

/// Where a reserved family is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// By every node_exporter, or by Prometheus.
    Default,
    /// By a node_exporter that was told to run a collector that is off by default.
    Optional {
        /// The collector.
        collector: &'static str,
    },
}

/// Whose name a family `name` of this kind takes, or clashes with by the suffixes of a histogram or summary. Where it
/// meets several, one of the default tier is named.
pub fn owner(name: &str, kind: Kind) -> Option<Reserved> {
    if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
        owner_by(NAMES, name, kind)
    } else {
        None
    }
}

/// The beginnings of all names that can be taken: of most others nothing is looked up.
const BEGINNINGS: [&str; 6] = ["go_", "node_", "process_", "promhttp_", "scrape_", "up"];

fn owner_by(list: &'static str, name: &str, kind: Kind) -> Option<Reserved> {
    if name == "up" || name.starts_with("scrape_") {
        return Some(Reserved {
            family: name.to_owned(),
            tier: Tier::Default,
            // Prometheus takes the file's sample for its own: `up 0` has a host down that isn't.
            harm: Harm::Poison,
            message: format!("`{name}` is Prometheus's own name"),
        });
    }
    let itself = if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Some(Tier::Default)
    } else {
        find(list, name).map(|listed| listed.tier)
    };
    let itself = itself.map(|tier| reserved(name.to_owned(), tier, format!("`{name}` is {}", a_name(tier))));
    let base = Kind::Histogram.suffixes().iter().filter_map(|suffix| {
        let base = name.strip_suffix(suffix)?;
        let Listed { kind, tier } = find(list, base).filter(|base| base.kind.suffixes().contains(suffix))?;
        let message = format!("`{name}` belongs to node_exporter's own {} `{base}`", kind.word());
        Some(reserved(base.to_owned(), tier, message))
    });
    let parts = kind.suffixes().iter().filter_map(|suffix| {
        let part = format!("{name}{suffix}");
        let tier = find(list, &part)?.tier;
        let message = format!("`{part}` of this {} is {}", kind.word(), a_name(tier));
        Some(reserved(part, tier, message))
    });
    itself.into_iter().chain(base).chain(parts).min_by_key(|reserved| reserved.tier)
}

fn a_name(tier: Tier) -> String {
    match tier {
        Tier::Default => "node_exporter's own name".to_owned(),
        Tier::Optional { collector } => format!("a name of node_exporter's optional collector {collector}"),
    }
}

fn reserved(family: String, tier: Tier, message: String) -> Reserved {
    let of_the_process = OF_THE_PROCESS.iter().any(|prefix| family.starts_with(prefix));
    let harm = if of_the_process { Harm::Distort } else { Harm::Poison };
    Reserved { family, tier, harm, message }
}

/// What the list says of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    kind: Kind,
    tier: Tier,
}

impl Listed {
    /// Reads what stands after the name.
    fn read(words: &'static str) -> Option<Self> {
        let (kind, tier) = match words.split_once(' ') {
            None => (words, Tier::Default),
            Some((kind, collector)) => (kind, Tier::Optional { collector }),
        };
        Some(Self { kind: Kind::from_word(kind)?, tier })
    }
}

/// What `list` says of the family `name`. Bisects the text, so that nothing is built at start-up.
fn find(list: &'static str, name: &str) -> Option<Listed> {
    let mut rest = list;
    while !rest.is_empty() {
        let (before, after) = rest.split_at_checked(rest.len() / 2)?;
        // The line that holds the middle, what stands before it, and what after.
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = after.find('\n').map_or(rest.len(), |at| before.len() + at + 1);
        let (line_name, words) = rest.get(start..end)?.trim_end().split_once(' ')?;
        match name.cmp(line_name) {
            Ordering::Less => rest = rest.get(..start)?,
            Ordering::Greater => rest = rest.get(end..)?,
            Ordering::Equal => return Listed::read(words),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCPSTAT: Tier = Tier::Optional { collector: "tcpstat" };

    /// Name, kind and optional collector of each line.
    fn lines() -> impl Iterator<Item = (&'static str, Kind, Option<&'static str>)> {
        NAMES.lines().map(|line| {
            let mut words = line.split(' ');
            let (name, kind, collector) = (words.next().unwrap(), words.next().unwrap(), words.next());
            assert_eq!(words.next(), None, "{line}");
            (name, Kind::from_word(kind).unwrap(), collector)
        })
    }

    #[test]
    fn the_list_is_sorted_and_every_line_is_found() {
        let mut last = "";
        for (name, kind, collector) in lines() {
            assert!(last < name, "{last} stands before {name}");
            assert!(BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)), "{name}");
            last = name;
            let tier = collector.map_or(Tier::Default, |collector| Tier::Optional { collector });
            assert_eq!(find(NAMES, name), Some(Listed { kind, tier }), "{name}");
            for near in [format!("{name}!"), format!("{name}~"), name[1..].to_string()] {
                assert_eq!(find(NAMES, &near).is_some(), lines().any(|(name, ..)| name == near), "{near}");
            }
        }
        assert!(last > "node_");
        assert_eq!(find(NAMES, ""), None);
        assert_eq!(find(NAMES, "zzz"), None);
    }

    #[test]
    fn own_names_are_taken_and_unused_ones_free() {
        use Harm::{Distort, Poison};
        for (name, harm) in [
            ("node_load1", Poison),
            ("node_textfile_anything", Poison),
            ("node_scrape_collector_x", Poison),
            ("node_exporter_x", Poison),
            ("scrape_x", Poison),
            ("up", Poison),
            ("go_x", Distort),
            ("process_x", Distort),
            ("promhttp_x", Distort),
            ("go_gc_duration_seconds_count", Distort),
        ] {
            let reserved = owner(name, Kind::Gauge).unwrap_or_else(|| panic!("{name} is free"));
            assert_eq!((reserved.tier, reserved.harm), (Tier::Default, harm), "{name}");
        }
        for name in ["node_reboot_required", "upset", "promdrop_run", "good", "nodes", "c_a"] {
            assert_eq!(owner(name, Kind::Gauge), None);
        }
    }

    #[test]
    fn optional_collectors_are_told_apart() {
        let reserved = owner("node_tcp_connection_states", Kind::Gauge).unwrap();
        let expected = Reserved {
            family: "node_tcp_connection_states".into(),
            tier: TCPSTAT,
            harm: Harm::Poison,
            message: "`node_tcp_connection_states` is a name of node_exporter's optional collector tcpstat"
                .into(),
        };
        assert_eq!(reserved, expected);
        // Debian switches systemd on; processes and stat are two collectors.
        for (name, collector) in [
            ("node_systemd_unit_state", None),
            ("node_procs_running", None),
            ("node_processes_pids", Some("processes")),
            ("node_memory_MemFree_bytes", None),
            ("node_memory_numa_MemFree", Some("meminfo_numa")),
        ] {
            let tier = collector.map_or(Tier::Default, |collector| Tier::Optional { collector });
            assert_eq!(owner(name, Kind::Gauge).unwrap().tier, tier, "{name}");
        }
    }

    #[test]
    fn a_histogram_must_not_spread_over_a_listed_name() {
        let base = lines()
            .filter_map(|(name, ..)| name.strip_suffix("_count"))
            .find(|base| find(NAMES, base).is_none())
            .unwrap();
        assert_eq!(owner(base, Kind::Gauge), None);
        let reserved = owner(base, Kind::Histogram).unwrap();
        assert_eq!((reserved.family, reserved.tier), (format!("{base}_count"), Tier::Default));
        assert!(
            reserved.message.contains(&format!("`{base}_count` of this histogram")),
            "{}",
            reserved.message
        );
    }

    #[test]
    fn a_name_that_is_always_served_is_named_before_one_that_may_be() {
        let list = "x summary tcpstat\nx_y gauge tcpstat\nx_y_count gauge\nx_y_sum gauge tcpstat\n";
        let of = |name, kind| owner_by(list, name, kind).map(|reserved| (reserved.family, reserved.tier));
        assert_eq!(of("x_y", Kind::Gauge), Some(("x_y".into(), TCPSTAT)));
        assert_eq!(of("x_y", Kind::Histogram), Some(("x_y_count".into(), Tier::Default)));
        assert_eq!(of("x_count", Kind::Gauge), Some(("x".into(), TCPSTAT)));
        assert_eq!(of("x_bucket", Kind::Gauge), None);
    }
}
