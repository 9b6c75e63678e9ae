//! What node_exporter serves beside what promdrop's files hold: bytes to findings. Pure.

use std::collections::HashMap;
use std::fmt;

use crate::exposition::{Served, each_sample};

/// A file that node_exporter should serve.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its name.
    pub file: &'a str,
    /// When it was written, in whole seconds since the epoch, as node_exporter tells it.
    pub modified: i64,
    /// What it holds.
    pub text: &'a [u8],
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which.
    pub file: String,
    /// What.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// node_exporter serves no such file: it reads another directory, can't read the file, or rejects it.
    Unread,
    /// It serves the file as it was at that time.
    Old {
        /// What it says, in seconds since the epoch.
        served: f64,
        /// What is right.
        modified: i64,
    },
    /// Series are missing.
    Missing {
        /// How many.
        missing: usize,
        /// Of how many.
        series: usize,
        /// The first.
        first: String,
    },
    /// Series have other values.
    Other {
        /// How many.
        others: usize,
        /// The first.
        first: String,
        /// Its value in the file.
        given: f64,
        /// As it is served.
        served: f64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unread => write!(out, "node_exporter does not serve it"),
            Fault::Old { served, modified } => {
                write!(out, "node_exporter serves one of {served}, and this is of {modified}")
            }
            Fault::Missing { missing, series, first } => {
                write!(out, "{missing} of its {series} series not served, the first {first}")
            }
            Fault::Other { others, first, given, served } => {
                write!(
                    out,
                    "{others} of its series served with other values, the first {first}: {served}, not {given}"
                )
            }
        }
    }
}

/// What a scrape tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// node_exporter's version.
    pub version: Option<String>,
    /// `node_textfile_scrape_error`: absent without the textfile collector.
    pub scrape_error: Option<f64>,
    /// `node_timex_sync_status`: whether the kernel's clock is synchronized.
    pub clock_sync: Option<f64>,
    /// The paths of the files that node_exporter read, and when each was written, in seconds since the epoch.
    pub files: Vec<(String, f64)>,
    /// What is wrong with the files given.
    pub findings: Vec<Finding>,
    /// How many series they have.
    pub series: usize,
}

/// A series that should be there.
struct Wanted {
    file: usize,
    written: String,
    given: f64,
    served: Option<f64>,
}

/// Compares what `scrape` holds with `given`.
pub fn compare(scrape: &[u8], given: &[Given<'_>]) -> Told {
    let mut wanted: HashMap<Vec<u8>, Wanted> = HashMap::new();
    let mut order = Vec::new();
    for (file, given) in given.iter().enumerate() {
        each_sample(given.text, |sample| {
            let written = String::from_utf8_lossy(sample.written).into_owned();
            let series = Wanted { file, written, given: sample.value, served: None };
            if wanted.insert(sample.key.to_vec(), series).is_none() {
                order.push(sample.key.to_vec());
            }
        });
    }
    let mut told = Told { series: order.len(), ..Told::default() };
    each_sample(scrape, |sample| {
        told.hear(&sample);
        if let Some(series) = wanted.get_mut(sample.key) {
            // Of two, Prometheus takes the first.
            series.served.get_or_insert(sample.value);
        }
    });
    let series: Vec<&Wanted> = order.iter().filter_map(|key| wanted.get(key)).collect();
    for (index, given) in given.iter().enumerate() {
        let own: Vec<&Wanted> = series.iter().copied().filter(|series| series.file == index).collect();
        if let Some(fault) = fault(given, &own, &told.files) {
            told.findings.push(Finding { file: given.file.to_owned(), fault });
        }
    }
    told
}

impl Told {
    fn hear(&mut self, sample: &Served<'_>) {
        match sample.name {
            "node_exporter_build_info" => {
                self.version = sample.label("version").map(std::borrow::Cow::into_owned);
            }
            "node_textfile_scrape_error" => self.scrape_error = Some(sample.value),
            "node_timex_sync_status" => self.clock_sync = Some(sample.value),
            "node_textfile_mtime_seconds" => {
                self.files.extend(sample.label("file").map(|path| (path.into_owned(), sample.value)));
            }
            _ => {}
        }
    }
}

/// What is wrong first: a file that isn't read has no series, an old one others.
fn fault(given: &Given<'_>, series: &[&Wanted], files: &[(String, f64)]) -> Option<Fault> {
    // node_exporter knows the directory by another path, maybe.
    let name = |path: &str| path.rsplit('/').next() == Some(given.file);
    let times: Vec<f64> = files.iter().filter(|(path, _)| name(path)).map(|(_, time)| *time).collect();
    let missing = || series.iter().filter(|series| series.served.is_none());
    let other = |series: &&&Wanted| {
        series
            .served
            .is_some_and(|served| served != series.given && !(served.is_nan() && series.given.is_nan()))
    };
    if times.is_empty() {
        return Some(Fault::Unread);
    }
    if !times.iter().any(|time| time.floor() == given.modified as f64) {
        let served = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return Some(Fault::Old { served, modified: given.modified });
    }
    if let Some(first) = missing().next() {
        let first = first.written.clone();
        return Some(Fault::Missing { missing: missing().count(), series: series.len(), first });
    }
    let others = series.iter().filter(other).count();
    let first = series.iter().find(other)?;
    Some(Fault::Other {
        others,
        first: first.written.clone(),
        given: first.given,
        served: first.served.unwrap_or(f64::NAN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = "node_exporter_build_info{goos=\"linux\",version=\"1.5.0\"} 1\n\
        node_textfile_scrape_error 0\nnode_timex_sync_status 1\n\
        node_textfile_mtime_seconds{file=\"/other/way/x.prom\"} 1.7e+09\n\
        a{x=\"1\",y=\"\"} 1\na{x=\"2\",y=\"3\"} 2.5\nb NaN\nc_bucket{le=\"1\"} 1\nc_bucket{le=\"+Inf\"} 2\nc_sum 3\nc_count 2\n";
    const FILE: &str = "# TYPE a gauge\na{x=\"1\"} 1\na{y=\"3\",x=\"2\"} 2.50\nb NaN\n# TYPE c histogram\n\
        c_bucket{le=\"1.0\"} 1\nc_bucket{le=\"+Inf\"} 2\nc_sum 3\nc_count 2\n";

    fn faults(modified: i64, file: &str, text: &str) -> Vec<Fault> {
        let given = [Given { file, modified, text: text.as_bytes() }];
        compare(SCRAPE.as_bytes(), &given).findings.into_iter().map(|finding| finding.fault).collect()
    }

    #[test]
    fn what_is_served_as_it_is_written_is_right() {
        let given = [Given { file: "x.prom", modified: 1_700_000_000, text: FILE.as_bytes() }];
        let told = compare(SCRAPE.as_bytes(), &given);
        assert_eq!(told.findings, []);
        assert_eq!(
            (told.version.as_deref(), told.scrape_error, told.clock_sync),
            (Some("1.5.0"), Some(0.0), Some(1.0))
        );
        assert_eq!((told.series, told.files.len()), (7, 1));
    }

    #[test]
    fn each_fault_is_found() {
        assert_eq!(faults(1_700_000_000, "y.prom", ""), [Fault::Unread]);
        let old = Fault::Old { served: 1.7e9, modified: 1_700_000_001 };
        assert_eq!(faults(1_700_000_001, "x.prom", FILE), [old]);
        let missing = format!("{FILE}d 1\na{{x=\"3\"}} 1\n");
        let expected = Fault::Missing { missing: 2, series: 9, first: "d".to_owned() };
        assert_eq!(faults(1_700_000_000, "x.prom", &missing), [expected]);
        let other = FILE.replace("b NaN", "b 1").replace("2.50", "2.51");
        let first = "a{y=\"3\",x=\"2\"}".to_owned();
        let expected = Fault::Other { others: 2, first, given: 2.51, served: 2.5 };
        assert_eq!(faults(1_700_000_000, "x.prom", &other), [expected]);
    }

    #[test]
    fn the_same_name_may_stand_in_two_directories() {
        let scrape = SCRAPE.replace("a{x", "node_textfile_mtime_seconds{file=\"/d/x.prom\"} 1.8e+09\na{x");
        let given = [Given { file: "x.prom", modified: 1_700_000_000, text: FILE.as_bytes() }];
        assert_eq!(compare(scrape.as_bytes(), &given).findings, []);
    }
}
