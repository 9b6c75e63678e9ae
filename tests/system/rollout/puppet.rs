//! The Puppet module, applied to machines by Debian's puppet-agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{DEB, FACTER, await_published, block, changed, hand_over, with_packaging};
use crate::support::machine::Machine;
use crate::support::need;
use crate::support::server::package;

/// What hosts have in common, and what this one has beyond it: one `promdrop::collectors` in two layers.
const HIERA: &str = "\
version: 5
defaults: {datadir: /etc/puppet/data, data_hash: yaml_data}
hierarchy:
- {name: host, path: host.yaml}
- {name: all, path: all.yaml}
";
const ALL: &str = "\
promdrop::install: none
promdrop::collectors:
  netstat: {module: netstat, interval: 15s}
  weights:
    module: command
    interval: 15s
    labels: {octal: '0o17', truth: 'yes'}
    command: {argv: [echo, '7'], output: {format: value, name: pd_weight}}
";
const HOST: &str = "\
promdrop::collectors:
  site: {module: command, interval: 15s, command: {argv: [echo, '1'], output: {format: value, name: pd_site}}}
promdrop::secret_collectors:
  tickets:
    module: command
    interval: 15s
    command: {shell: 'echo 3 # hunter2', output: {format: value, name: pd_tickets}}
";

/// A shipped folder.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// A machine that Puppet looks after; promdrop lies in /opt until it is put in its place.
fn host() -> Machine {
    need("puppet");
    let machine = Machine::boot(&[
        "--private-network",
        &format!("--bind-ro={}:/opt/promdrop", env!("CARGO_BIN_EXE_promdrop")),
        &with_packaging(),
    ]);
    machine.write("/etc/facter/facter.conf", FACTER).write("/etc/puppet/hiera.yaml", HIERA);
    machine.write("/etc/puppet/data/all.yaml", ALL).write("/etc/puppet/data/host.yaml", HOST);
    machine
}

/// What an apply did, by `--detailed-exitcodes`.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    Nothing,
    Changes,
    Failures,
    ChangesAndFailures,
}

/// Applies a manifest, and returns what Puppet says, with every difference that it would show.
fn apply(machine: &Machine, options: &[&str], manifest: &str) -> (Did, String) {
    let mut puppet = machine.command("puppet");
    puppet
        .args([
            "apply",
            "--detailed-exitcodes",
            "--color=false",
            "--show_diff",
            "--modulepath=/srv/packaging/puppet",
        ])
        .args(options);
    let Output { status, stdout, stderr } = puppet.args(["-e", manifest]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let did = match status.code() {
        Some(0) => Did::Nothing,
        Some(2) => Did::Changes,
        Some(4) => Did::Failures,
        Some(6) => Did::ChangesAndFailures,
        _ => panic!("{status}: {said}"),
    };
    (did, said)
}

#[test]
fn a_host_gets_what_its_data_say_keeps_it_and_loses_all_of_it() {
    let host = host();
    host.install(&package("bookworm", "prometheus-node-exporter"));
    hand_over(&host);
    let deb = format!("promdrop::install: deb\npromdrop::deb: {DEB}\n");
    host.write("/etc/puppet/data/all.yaml", &ALL.replace("promdrop::install: none\n", &deb));

    let (did, said) = apply(&host, &["--noop"], &block(include_str!("../../../README.md"), "puppet"));
    assert_eq!(did, Did::Nothing, "{said}");
    assert!(said.contains("netstat.yaml]/ensure: current_value 'absent', should be 'file' (noop)"), "{said}");
    assert!(!host.has("/etc/promdrop") && !host.has("/etc/systemd/system/promdrop.timer"), "{said}");

    // A definition that `promdrop check` refuses, beside good ones.
    let bad =
        "include promdrop promdrop::collector { 'bad': content => \"module: netstat\\ninterval: 0s\\n\" }";
    let (did, said) = apply(&host, &[], bad);
    assert_eq!(did, Did::ChangesAndFailures, "{said}");
    assert!(said.contains(":2:11: ") && said.contains("\n 2 | interval: 0s\n"), "says where: {said}");
    assert!(!said.contains("hunter2"), "{said}");
    let definitions = "/etc/promdrop/collectors.d";
    assert_eq!(
        host.sh(&format!("ls -A {definitions}")),
        "netstat.yaml\nping.yaml\nsite.yaml\ntickets.yaml\nweights.yaml\n"
    );
    assert_eq!(
        host.sh(&format!("stat -c '%a %U' {definitions}/tickets.yaml {definitions}/site.yaml")),
        "600 root\n644 root\n"
    );
    await_published(&host, &["netstat", "weights", "site", "tickets"]);
    let scrape = host.scrape();
    for family in ["count_netstat_wait_connections", "pd_weight", "pd_site", "pd_tickets"] {
        assert!(scrape.contains(&format!("\n{family}")), "{family}: {scrape}");
    }
    assert!(scrape.contains("pd_weight{octal=\"0o17\",truth=\"yes\"} 7\n"), "texts stay texts");
    assert_eq!(host.sh("systemctl is-enabled promdrop.timer"), "enabled\n");
    // What the package brought is as it was, but for the definition of the data.
    assert_eq!(changed(&host), format!("{definitions}/netstat.yaml\n"));

    let (did, said) = apply(&host, &[], "include promdrop");
    assert_eq!(did, Did::Nothing, "a second run: {said}");

    // One goes from the data, a stranger with it; one is to become what is refused; the secret changes.
    host.write(&format!("{definitions}/stranger.yaml"), "module: netstat\n");
    host.write(&format!("{definitions}/notes.txt"), "").write(&format!("{definitions}/sub/kept.yaml"), "");
    let data = HOST.replace("  site:", "  weights: {module: netstat, ping: {}}\n  other:");
    let data = data.replace("hunter2", "hunter3").replace("pd_site", "pd_other");
    host.write("/etc/puppet/data/host.yaml", &(data + "promdrop::purge_collectors: true\n"));
    let (did, said) = apply(&host, &[], "include promdrop");
    assert_eq!(did, Did::ChangesAndFailures, "{said}");
    assert!(host.read(&format!("{definitions}/weights.yaml")).contains("pd_weight"), "the good one stays");
    assert!(host.read(&format!("{definitions}/tickets.yaml")).contains("hunter3"), "{said}");
    assert!(!said.contains("hunter"), "a secret is shown: {said}");
    assert_eq!(
        host.sh(&format!("ls {definitions}")),
        "netstat.yaml\nnotes.txt\nother.yaml\nsub\ntickets.yaml\nweights.yaml\n"
    );
    // At once, before any tick.
    assert!(!host.has("/var/lib/prometheus/node-exporter/site.prom"), "{said}");
    assert!(!host.scrape().contains("pd_site"));

    let (did, said) = apply(&host, &[], "class { 'promdrop': ensure => absent }");
    assert_eq!(did, Did::Changes, "{said}");
    assert_eq!(host.sh("ls -A /var/lib/prometheus/node-exporter"), "");
    assert_eq!(host.sh("find /etc /usr/bin -name '*promdrop*' -not -path '/etc/puppet/*'"), "");
    assert_eq!(host.attempt("systemctl is-active promdrop.timer").stdout, b"inactive\n");
    assert!(!host.scrape().contains("pd_"), "series are left");
}

/// The shipped examples, as data: each as a definition of its own.
fn examples() -> String {
    let mut data = "examples:\n".to_owned();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d/examples");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap().replace('\n', "\n    ");
            data += &format!("  {}:\n    {text}\n", path.file_stem().unwrap().to_str().unwrap());
        }
    }
    data
}

#[test]
fn another_installation_of_node_exporter_gets_a_sandbox_that_fits() {
    let host = host();
    host.sh("ln -s /opt/promdrop /usr/bin/promdrop; useradd --system node_exporter");
    host.write("/etc/puppet/data/host.yaml", &examples());
    let manifest = "\
        class { 'promdrop':
          node_exporter    => 'upstream',
          scheduler        => 'cron',
          commands_sandbox => true,
          service_options  => ['PrivateDevices=no'],
        }
        # Whatever they need isn't here: they are but checked.
        lookup('examples').each |$name, $definition| {
          promdrop::collector { $name: definition => $definition + { 'enabled' => false } }
        }";
    let (did, said) = apply(&host, &[], manifest);
    assert_eq!(did, Did::Changes, "{said}");
    let directory = "/var/lib/node_exporter/textfile_collector";
    assert_eq!(host.sh(&format!("stat -c '%a %U %G' {directory}")), "755 node_exporter node_exporter\n");
    assert_eq!(host.sh("systemctl is-active promdrop.timer || true"), "inactive\n");
    assert!(
        host.read("/etc/cron.d/promdrop")
            .contains("\n* * * * *  root  exec promdrop run --every 15s --for 1m\n")
    );

    host.sh("systemctl start promdrop.service");
    assert_eq!(
        host.sh("systemctl show promdrop.service -p Result -p PrivateDevices"),
        "Result=success\nPrivateDevices=no\n"
    );
    let weights = host.read(&format!("{directory}/weights.prom"));
    assert!(weights.contains("\npd_weight{octal=\"0o17\",truth=\"yes\"} 7\n"), "{weights}");
    // By hand as by cron: no option says where.
    host.sh("promdrop run netstat");
    assert!(host.has(&format!("{directory}/netstat.prom")));

    // Nothing comes back by a run of cron's that is under way.
    let mut run = host.command("promdrop").args(["run", "--every", "1s", "--for", "40s"]).spawn().unwrap();
    let absent = "class { 'promdrop': node_exporter => 'upstream', ensure => absent }";
    let (did, said) = apply(&host, &[], absent);
    assert_eq!(did, Did::Changes, "{said}");
    assert!(run.try_wait().unwrap().is_some(), "awaited: {said}");
    assert_eq!(host.sh(&format!("ls -A {directory}")), "");
    let (did, said) = apply(&host, &[], absent);
    assert_eq!(did, Did::Nothing, "a second run: {said}");
}

#[test]
fn wrong_parameters_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| format!("--{name}={}", dir.path().join(name).display());
    let manifest = "class { 'promdrop':
        node_exporter  => 'debain',
        textfile_dir   => '/tmp/textfile',
        textfile_mode  => '0o755',
        node_exporter_url => 'https://localhost:9100/metrics',
        collectors_dir => '/etc/../promdrop',
        collectors     => {
          'Ping'   => { 'module' => 'ping' },
          'gap'    => { 'module' => 'ping', 'interval' => 15 },
          'typo'   => { 'module' => 'ping', 'intervall' => '15s' },
        },
        scheduler      => 'systemd',
    }";
    let puppet = Command::new("puppet")
        .args(["apply", "--noop", "--color=false", "-e", manifest])
        .args([place("confdir"), place("vardir"), format!("--modulepath={}", shipped("puppet").display())])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&puppet.stderr);
    assert_eq!(puppet.status.code(), Some(1), "{said}");
    for wrong in [
        "parameter 'node_exporter' expects",
        "parameter 'textfile_dir' expects",
        "parameter 'textfile_mode' expects",
        "parameter 'node_exporter_url' expects",
        "parameter 'collectors_dir' expects",
        "parameter 'collectors' key of entry 'Ping' expects",
        "parameter 'collectors' entry 'gap' entry 'interval' expects",
        "parameter 'collectors' entry 'typo' unrecognized key 'intervall'",
        "parameter 'scheduler' expects",
    ] {
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
}

#[test]
fn the_module_passes_puppets_own_checks() {
    need("puppet-lint");
    let module = shipped("puppet/promdrop");
    for check in [
        "puppet parser validate .",
        "puppet epp validate templates/*.epp",
        "puppet-lint --fail-on-warnings .",
        "ruby -rjson -e 'JSON.parse(File.read(%q(metadata.json))).fetch(%q(version))'",
    ] {
        let Output { status, stdout, stderr } =
            Command::new("sh").args(["-c", check]).current_dir(&module).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success() && said.is_empty(), "{check}: {status}\n{said}");
    }
    // What a host without the package gets.
    for file in ["promdrop.service", "promdrop.timer", "commands.conf", "netns.conf"] {
        let text = |path: &str| fs::read_to_string(shipped(path).join(file)).unwrap();
        assert_eq!(text("puppet/promdrop/files"), text("systemd"), "{file} is a copy");
    }
    let line = |path: &str| fs::read_to_string(shipped(path)).unwrap();
    assert_eq!(line("puppet/promdrop/files/cron"), line("cron/promdrop"), "cron is a copy");
}
