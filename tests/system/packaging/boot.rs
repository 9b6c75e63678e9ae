//! The units under the systemd that they are made for, beside Debian's own node_exporter.

use std::fs;
use std::time::Duration;

use super::{install_collectors, shipped};
use crate::support::machine::{Machine, with_promdrop};
use crate::support::series::Series;
use crate::support::server::package;
use crate::support::wait_for;

/// The timer's first tick, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_timer_publishes_what_debians_node_exporter_serves() {
    let machine = Machine::boot(&["--private-network", &with_promdrop()]);
    machine.install(&package("bookworm", "prometheus-node-exporter"));
    fs::create_dir_all(machine.path("/etc/promdrop/collectors.d")).unwrap();
    install_collectors(&machine.path("/etc/promdrop/collectors.d"));
    for unit in ["promdrop.service", "promdrop.timer"] {
        machine.copy(&shipped(&format!("systemd/{unit}")), &format!("/etc/systemd/system/{unit}"));
    }
    machine.sh("systemctl daemon-reload; systemctl enable --now promdrop.timer");
    wait_for(PATIENCE, "node_exporter serves netstat and ping", || {
        let scrape = Series::parse(&machine.scrape());
        let success =
            ["netstat", "ping"].map(|stem| scrape.get("promdrop_collector_success", &[("collector", stem)]));
        if success == [Some(1.0); 2] { Ok(()) } else { Err(success) }
    });
    assert_eq!(machine.sh("systemctl show promdrop.service -p Result --value"), "success\n");
    assert_eq!(machine.sh("journalctl --quiet --unit promdrop.service"), "", "quiet on success");
}
