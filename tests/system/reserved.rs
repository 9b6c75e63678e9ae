//! Whose name is whose, asked of real node_exporters.

use std::collections::BTreeSet;
use std::path::Path;

use promdrop::exporter::{self, Live, PATIENCE};
use promdrop::exposition::Kind;
use promdrop::exposition::reserved::{Tier, owner};

use crate::support::exporter::Exporter;
use crate::support::host::Host;

/// Optional collectors that every Linux has something for, and a family of each.
const OPTIONAL: [(&str, &str); 5] = [
    ("buddyinfo", "node_buddyinfo_blocks"),
    ("interrupts", "node_interrupts_total"),
    ("processes", "node_processes_pids"),
    ("tcpstat", "node_tcp_connection_states"),
    ("zoneinfo", "node_zoneinfo_managed_pages"),
];

fn live(exporter: &Exporter) -> Live {
    exporter::live(&format!("http://127.0.0.1:{}/metrics", exporter.port()), PATIENCE).unwrap()
}

#[test]
fn node_exporter_1_5_0_serves_nothing_that_is_free_unless_told_to() {
    serves_nothing_that_is_free("1.5.0");
}

#[test]
fn node_exporter_1_9_0_serves_nothing_that_is_free_unless_told_to() {
    serves_nothing_that_is_free("1.9.0");
}

fn serves_nothing_that_is_free(version: &str) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("x.prom"), "# HELP x_y Ours.\n# TYPE x_y gauge\nx_y 1\n").unwrap();
    let Live { families, .. } = live(&Exporter::start(version, directory.path()));
    assert!(families.len() > 100, "{families:?}");
    let is_default =
        |name: &str| owner(name, Kind::Untyped).is_some_and(|reserved| reserved.tier == Tier::Default);
    let others: Vec<&String> = families.iter().filter(|name| !is_default(name)).collect();
    assert_eq!(others, ["x_y"]);
}

#[test]
fn node_exporter_1_5_0_serves_an_optional_collectors_names_where_it_runs() {
    serves_an_optional_collectors_names("1.5.0");
}

#[test]
fn node_exporter_1_9_0_serves_an_optional_collectors_names_where_it_runs() {
    serves_an_optional_collectors_names("1.9.0");
}

fn serves_an_optional_collectors_names(version: &str) {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = |_: &str| false;
    let without = live(&Exporter::start(version, directory.path()));
    for (collector, family) in OPTIONAL {
        let is_off = !without.owns(family, collector, nowhere) && !without.collectors.contains(collector);
        assert!(is_off, "{version} runs {collector} by default");
        let with = live(&with_only(version, collector, directory.path()));
        assert!(with.owns(family, collector, |name| name == family), "{collector}: {with:?}");
        // No other collector is running: what isn't every node_exporter's is this one's.
        let tiers: BTreeSet<Tier> =
            with.families.iter().map(|name| owner(name, Kind::Untyped).expect(name).tier).collect();
        assert_eq!(tiers, BTreeSet::from([Tier::Default, Tier::Optional { collector }]), "{with:?}");
    }
}

fn with_only(version: &str, collector: &str, directory: &Path) -> Exporter {
    let collector = format!("--collector.{collector}");
    Exporter::start_with(version, directory, &["--collector.disable-defaults", &collector])
}

/// A file's family comes back from node_exporter like one of its own.
#[test]
fn a_name_that_a_file_of_the_directory_holds_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let text = "# HELP node_tcp_connection_states A script's.\n# TYPE node_tcp_connection_states gauge\n\
                node_tcp_connection_states{state=\"x\"} 1\n";
    std::fs::write(directory.path().join("x.prom"), text).unwrap();
    let live = live(&Exporter::start("1.9.0", directory.path()));
    assert!(live.families.contains("node_tcp_connection_states"));
    assert!(!live.owns("node_tcp_connection_states", "tcpstat", |name| name == "node_tcp_connection_states"));
}

/// `promdrop lint` with these arguments, told that node_exporter is at `port`; its exit status and what it finds.
fn lint(host: &Host, port: u16, arguments: &[&str]) -> (i32, String) {
    let mut lint = host.promdrop();
    lint.arg("--node-exporter").arg(format!("http://127.0.0.1:{port}/metrics")).arg("lint").args(arguments);
    let output = lint.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn lint_calls_the_name_of_a_collector_that_is_on_poison() {
    let host = Host::new();
    let on = Exporter::start_with("1.9.0", &host.textfile_dir(), &["--collector.tcpstat"]);
    let off = Exporter::start("1.9.0", &host.textfile_dir());
    let text = "# HELP node_tcp_connection_states A script's.\n# TYPE node_tcp_connection_states gauge\n\
                node_tcp_connection_states{state=\"x\"} 1\n";
    let (place, apart) = (host.textfile_dir().join("x.prom"), host.path("x.prom"));
    for path in [&place, &apart] {
        std::fs::write(path, text).unwrap();
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for arguments in [&[][..], &[place.to_str().unwrap()], &[apart.to_str().unwrap()]] {
        let (status, said) = lint(&host, on.port(), arguments);
        let whose =
            format!("tcpstat, and the node_exporter at http://127.0.0.1:{}/metrics serves it", on.port());
        assert!(said.contains(":1:8: poison reserved-name: ") && said.contains(&whose), "{said}");
        assert_eq!(status, 1);
        // The file itself makes node_exporter serve it.
        assert!(live(&off).families.contains("node_tcp_connection_states"));
        for port in [off.port(), closed] {
            let (status, said) = lint(&host, port, arguments);
            assert!(said.contains(":1:8: advice optional-name: "), "{said}");
            assert_eq!(status, 0);
        }
    }
}

/// `promdrop write x` of that name, told that node_exporter is at `port`; its exit status and what it says.
fn write(host: &Host, port: u16) -> (i32, String) {
    let text = host.path("text");
    std::fs::write(
        &text,
        "# HELP node_tcp_connection_states A script's.\n# TYPE node_tcp_connection_states gauge\n\
         node_tcp_connection_states{state=\"x\"} 1\n",
    )
    .unwrap();
    let mut write = host.promdrop();
    write.arg("--node-exporter").arg(format!("http://127.0.0.1:{port}/metrics")).args(["write", "x"]);
    let output = write.stdin(std::fs::File::open(&text).unwrap()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_name_of_a_collector_that_is_on_is_refused() {
    let host = Host::new();
    let exporter = Exporter::start_with("1.9.0", &host.textfile_dir(), &["--collector.tcpstat"]);
    let said = format!(
        "promdrop: {}: `node_tcp_connection_states` is a name of node_exporter's optional collector tcpstat, \
         and the node_exporter at http://127.0.0.1:{}/metrics serves it\n   \
         = choose another name, or switch the collector off\n",
        host.textfile_dir().join("x.prom").display(),
        exporter.port()
    );
    assert_eq!(write(&host, exporter.port()), (1, said));
    assert!(!host.textfile_dir().join("x.prom").exists());
}

#[test]
fn a_name_of_a_collector_that_is_off_is_free() {
    let host = Host::new();
    let exporter = Exporter::start("1.9.0", &host.textfile_dir());
    assert_eq!(write(&host, exporter.port()), (0, String::new()));
    // From now on node_exporter serves it, and has it from the file.
    assert!(live(&exporter).families.contains("node_tcp_connection_states"));
    assert_eq!(write(&host, exporter.port()), (0, String::new()));
}

#[test]
fn a_collector_that_is_switched_on_later_is_met() {
    let host = Host::new();
    let exporter = Exporter::start("1.9.0", &host.textfile_dir());
    assert_eq!(write(&host, exporter.port()), (0, String::new()));
    let exporter = Exporter::start_with("1.9.0", &host.textfile_dir(), &["--collector.tcpstat"]);
    let (status, said) = write(&host, exporter.port());
    assert!(status == 1 && said.contains("optional collector tcpstat"), "{said}");
}

#[test]
fn where_no_node_exporter_answers_a_name_of_an_optional_collector_is_free() {
    let host = Host::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(write(&host, closed), (0, String::new()));
}
