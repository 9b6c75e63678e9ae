//! Each collector that the project ships, run as it stands there and served by every supported node_exporter.
//!
//! Against the real tool where a test machine can have it, else against a stand-in that prints what the tool does
//! (tests/data/outputs).

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;

use super::scene::{EMPTY, Scene, nginx};
use crate::support::mounts::mount_files;
use crate::support::names;
use crate::support::series::Series;

/// One collector on one machine.
struct Example {
    /// Its file without `.yaml`.
    name: &'static str,
    scene: Scene,
    /// All its families.
    families: &'static str,
    /// Series among them of which it is known what they are.
    series: &'static str,
    /// Whether promdrop has nothing to say.
    quiet: bool,
    /// What else must hold.
    plausible: fn(&Series),
}

const EXAMPLE: Example =
    Example { name: "", scene: EMPTY, families: "", series: "", quiet: true, plausible: |_| {} };

/// Those that are installed to be run, in collectors.d itself.
const INSTALLED: &[Example] = &[
    Example {
        name: "netstat",
        families: "count_netstat_wait_connections netstat_tcp_connections",
        series: "netstat_tcp_connections{family=\"ipv4\",state=\"listen\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "ping",
        families: PING,
        series: "ping_loss_ratio{target=\"127.0.0.1\",address=\"127.0.0.1\",family=\"ipv4\"} 0\n",
        ..EXAMPLE
    },
];

const PING: &str = "ping_loss_ratio ping_packets_duplicate_total ping_packets_received_total ping_packets_sent_total \
                    ping_rtt_max_seconds ping_rtt_mean_seconds ping_rtt_min_seconds ping_rtt_seconds_bucket \
                    ping_rtt_seconds_count ping_rtt_seconds_sum ping_rtt_stddev_seconds ping_target_resolved";

/// Those to be copied, in collectors.d/examples.
const EXAMPLES: &[Example] = &[
    Example {
        name: "apt-upgrades",
        families: "apt_upgradable_packages apt_upgradable_security_packages",
        plausible: |series| {
            let apt = Command::new("apt").env("LC_ALL", "C").args(["list", "--upgradable"]).output().unwrap();
            let upgradable = String::from_utf8(apt.stdout).unwrap();
            let upgradable: Vec<&str> = upgradable.lines().filter(|line| line.ends_with(']')).collect();
            let security = upgradable.iter().filter(|line| line.contains("-security")).count();
            assert_eq!(series.value("apt_upgradable_packages", &[]), upgradable.len() as f64);
            assert_eq!(series.value("apt_upgradable_security_packages", &[]), security as f64);
        },
        ..EXAMPLE
    },
    Example {
        name: "bash-script",
        families: "host_processes",
        plausible: |series| assert!(series.value("host_processes", &[("user", "root")]) >= 1.0),
        ..EXAMPLE
    },
    Example {
        name: "netstat-wait-command",
        families: "count_netstat_wait_connections",
        series: "count_netstat_wait_connections 0\n",
        ..EXAMPLE
    },
    Example {
        name: "nginx",
        scene: Scene { machine: nginx, ..EMPTY },
        families: "nginx_connections nginx_connections_accepted_total nginx_connections_handled_total \
                   nginx_requests_total",
        // Its own request is the only one.
        series: "nginx_requests_total 1\nnginx_connections{state=\"writing\"} 1\n\
                 nginx_connections{state=\"reading\"} 0\nnginx_connections{state=\"waiting\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "ping-targets",
        // Nothing answers where no packet leaves the machine.
        families: "ping_loss_ratio ping_packets_duplicate_total ping_packets_received_total \
                   ping_packets_sent_total ping_rtt_seconds_bucket ping_rtt_seconds_count ping_rtt_seconds_sum \
                   ping_target_resolved",
        series: "ping_loss_ratio{target=\"192.0.2.1\",address=\"192.0.2.1\",family=\"ipv4\",team=\"network\"} 1\n",
        quiet: false,
        ..EXAMPLE
    },
    Example {
        name: "python-client",
        families: "host_file_locks",
        plausible: |series| {
            for kind in ["POSIX", "FLOCK", "OFDLCK", "LEASE"] {
                let locks = series.value("host_file_locks", &[("kind", kind)]);
                // promdrop itself holds one of its directory while the collector runs.
                assert!(locks >= f64::from(kind == "OFDLCK"), "{kind}: {locks}");
            }
        },
        ..EXAMPLE
    },
    Example {
        name: "python-script",
        families: "host_threads",
        plausible: |series| {
            let threads = |state| series.value("host_threads", &[("state", state)]);
            assert!(threads("runnable") >= 1.0 && threads("any") > threads("runnable"));
        },
        ..EXAMPLE
    },
    Example {
        name: "reboot-required",
        scene: Scene {
            machine: |_| {
                mount_files("/run", &[("reboot-required", "*** System restart required ***\n")]);
                Box::new(())
            },
            ..EMPTY
        },
        families: "host_reboot_required",
        series: "host_reboot_required 1\n",
        ..EXAMPLE
    },
];

#[test]
fn each_shipped_collector_succeeds_and_is_served() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d");
    // All of them, so that one run tells everything.
    let mut failed = Vec::new();
    for (directory, examples) in [(shipped.clone(), INSTALLED), (shipped.join("examples"), EXAMPLES)] {
        let there: BTreeSet<String> =
            names(&directory).into_iter().filter(|name| name.contains('.')).collect();
        let tested: BTreeSet<String> =
            examples.iter().map(|example| format!("{}.yaml", example.name)).collect();
        assert_eq!(there, tested, "what {} holds, and what is tested", directory.display());
        for example in examples {
            if catch_unwind(|| example.run(&directory)).is_err() {
                failed.push(example.name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

impl Example {
    fn run(&self, directory: &Path) {
        let yaml = fs::read_to_string(directory.join(format!("{}.yaml", self.name))).unwrap();
        let played = self.scene.play(self.name, &yaml);
        played.assert_serves(self.families, self.series);
        assert_eq!(played.said.is_empty(), self.quiet, "{}", played.said);
        (self.plausible)(&played.published);
    }
}
