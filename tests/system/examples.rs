//! Each collector that the project ships, run for real and served by every supported node_exporter.

use std::fs;
use std::path::{Path, PathBuf};

use super::end_to_end::assert_serves_all_of;
use crate::support::exporter::{Exporter, VERSIONS};
use crate::support::host::Host;
use crate::support::netns::in_fresh;

#[test]
fn each_shipped_collector_succeeds_and_is_served() {
    let shipped = shipped();
    for wanted in ["netstat", "ping"] {
        let there = shipped.iter().any(|path| path.ends_with(format!("collectors.d/{wanted}.yaml")));
        assert!(there, "collectors.d/{wanted}.yaml is not among {shipped:?}");
    }
    assert!(
        shipped.iter().any(|path| path.parent().unwrap().ends_with("examples")),
        "no example in {shipped:?}"
    );
    for path in shipped {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        println!("{}", path.display());
        let host = Host::new();
        host.collector(&stem, &fs::read_to_string(&path).unwrap());
        // No packet of an example's leaves the machine.
        let (host, stem) = in_fresh(move || {
            host.run_well(&[&stem]);
            (host, stem)
        });
        for (_, version) in VERSIONS {
            assert_serves_all_of(&Exporter::start(version, &host.textfile_dir()).scrape(), &host, &stem);
        }
    }
}

/// What stands in collectors.d: the collectors that are installed, and the examples.
fn shipped() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d");
    let mut found = Vec::new();
    for dir in [dir.clone(), dir.join("examples")] {
        let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        found.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension() == Some("yaml".as_ref())),
        );
    }
    found.sort();
    found
}
