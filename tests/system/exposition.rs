//! What promdrop would publish, served by a real node_exporter: every series, with its value, and no error.

use std::collections::BTreeMap;
use std::path::Path;

use promdrop::exposition::{Family, Kind, Labels, Sample, read, render};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::support::corpus;
use crate::support::exporter::Exporter;

#[path = "../support/families.rs"]
mod families;

/// The lines of a scrape that node_exporter did not add itself.
fn from_the_file(scrape: &str) -> String {
    let is_own = |line: &str| {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        ["go_", "node_", "process_", "promhttp_"].iter().any(|prefix| name.starts_with(prefix))
    };
    scrape.split_inclusive('\n').filter(|line| !is_own(line)).collect()
}

/// Series and their values, as equal texts where they mean the same.
fn series(families: &[Family]) -> BTreeMap<String, String> {
    let mut series = BTreeMap::new();
    for family in families {
        for Sample { name, labels, value } in &family.samples {
            let bound = match family.kind {
                Some(Kind::Histogram) => "le",
                Some(Kind::Summary) => "quantile",
                _ => "",
            };
            // node_exporter spells bounds its own way.
            let plain = |(name, value): &(_, smol_str::SmolStr)| match name == bound {
                true => (bound.to_owned(), format!("{}", value.parse::<f64>().unwrap() + 0.0)),
                false => (format!("{name}"), format!("{value}")),
            };
            let mut labels: Vec<_> = labels.iter().map(plain).collect();
            labels.sort();
            // It also serves -0 as 0.
            let key = format!("{name} {labels:?}");
            assert_eq!(series.insert(key, format!("{}", value + 0.0)), None);
        }
    }
    series
}

fn assert_served(exporter: &Exporter, directory: &Path, what: &str, families: &[Family]) {
    let mut text = String::new();
    render(families, &mut text);
    std::fs::write(directory.join("ours.prom"), &text).unwrap();
    let scrape = exporter.scrape_text();
    assert!(scrape.contains("\nnode_textfile_scrape_error 0\n"), "{what}:\n{text}\n{scrape}");
    // It counts an error of one scrape in the next.
    let gathering = "\npromhttp_metric_handler_errors_total{cause=\"gathering\"} 0\n";
    assert!(exporter.scrape_text().contains(gathering), "{what}:\n{text}\n{scrape}");
    let served =
        read(from_the_file(&scrape).as_bytes()).unwrap_or_else(|problems| panic!("{what}: {problems:?}"));
    assert_eq!(series(&served), series(families), "{what}:\n{text}\n{scrape}");
    for family in families {
        let twin = served.iter().find(|served| served.name == family.name).unwrap();
        assert_eq!(twin.kind, family.kind.or(Some(Kind::Untyped)), "{what}");
        assert!(
            family.help.is_none() || twin.help == family.help,
            "{what}: {:?} is {:?}",
            family.help,
            twin.help
        );
    }
}

#[test]
fn what_is_rendered_is_served_by_1_5_0_as_it_was_meant() {
    is_served_as_it_was_meant("1.5.0");
}

#[test]
fn what_is_rendered_is_served_by_1_9_0_as_it_was_meant() {
    is_served_as_it_was_meant("1.9.0");
}

fn is_served_as_it_was_meant(version: &str) {
    let directory = tempfile::tempdir().unwrap();
    let exporter = Exporter::start_textfile_only(version, directory.path());
    let mut cases = 0;
    for case in corpus::single_files() {
        if let Ok(families) = read(&case.text) {
            assert_served(&exporter, directory.path(), &case.name, &families);
            cases += 1;
        }
    }
    assert!(cases > 150, "{cases} cases");
    let mut runner = TestRunner::deterministic();
    for number in 0..200 {
        let families = families::any_families().new_tree(&mut runner).unwrap().current();
        assert_served(&exporter, directory.path(), &format!("random {number}"), &families);
    }
}
