//! HELP must be equal in all files of a directory, those that an older promdrop wrote included: a text that changes is a
//! conflict on every host that upgrades. A new meaning gets a new name, and a line here.

use std::process::Stdio;

use promdrop::push::Group;

use crate::support::host::Host;
use crate::support::netns::in_fresh;

#[test]
fn names_types_and_help_texts_never_change() {
    let texts = in_fresh(|| {
        let host = Host::new();
        host.collector(
            "netstat",
            "module: netstat\nnetstat: {local_ports: [22], remote_ports: [22], listeners: [22], counters: true}\n",
        );
        host.collector(
            "ping",
            "module: ping\nping: {count: 2, spacing: 1ms, quantiles: [0.5], targets: [127.0.0.1]}\n",
        );
        host.collector("command", "module: command\ncommand: {shell: echo 'a 1'}\n");
        host.run_well(&["netstat", "ping", "command"]);
        // Whatever comes of it.
        let mut verified = host.run();
        verified.args(["command", "--verify", "http://127.0.0.1:1/metrics"]).stderr(Stdio::null());
        assert_eq!(verified.status().unwrap().code(), Some(1));
        let mut push = host.promdrop().args(["push", "job/x"]).stdin(Stdio::null()).spawn().unwrap();
        assert!(push.wait().unwrap().success());
        let pushed = Group::parse("job/x").unwrap().file();
        let mut write =
            host.promdrop().args(["write", "w", "--allow-empty"]).stdin(Stdio::null()).spawn().unwrap();
        assert!(write.wait().unwrap().success());
        let mut exec = host.promdrop();
        exec.args(["exec", "--buckets", "1s", "--expect-every", "1d", "e", "--", "true"]);
        assert!(exec.status().unwrap().success());
        ["netstat.prom", "ping.prom", "command.prom", "promdrop.prom", "w.prom", "exec.e.prom", &pushed]
            .map(|file| host.text(file))
            .concat()
    });
    let mut found: Vec<&str> = texts
        .lines()
        .filter(|line| line.starts_with("# HELP ") || line.starts_with("# TYPE "))
        .filter(|line| !line.starts_with("# TYPE a "))
        .collect();
    found.sort_unstable();
    found.dedup();
    let golden = include_str!("../data/help.txt");
    assert_eq!(found, golden.lines().collect::<Vec<_>>());
}
