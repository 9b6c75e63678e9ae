//! What the official clients and shell scripts print passes `write` and `push` unchanged, and comes out of node_exporter
//! as it was printed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::push;
use crate::support::exporter::{Exporter, VERSIONS};
use crate::support::host::Host;
use crate::support::meaning::{Key, Meaning};
use crate::support::need;
use crate::support::pushgateway::{Pushed, Pushgateway, curl};
use crate::support::tools::unpacked;

/// Of every kind that the client knows, with texts that have to be escaped.
const PYTHON: &str = r#"
import sys
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, write_to_textfile
registry = CollectorRegistry()
jobs = Counter("py_jobs", 'Jobs, with "quotes", \\ and\na second line.', ["queue"], registry=registry)
jobs.labels('a "quoted" \\ one').inc(3)
jobs.labels("li\nne").inc(1e21)
jobs.labels("\u00fc\U0001f427").inc()
Gauge("py_free_bytes", "Free.", registry=registry).set(-1.5e-300)
nan = Gauge("py_odd", "Odd.", ["what"], registry=registry)
nan.labels("nan").set(float("nan")); nan.labels("inf").set(float("inf")); nan.labels("-inf").set(float("-inf"))
seconds = Histogram("py_seconds", "Seconds.", ["q"], buckets=(0.1, 1, 2.5), registry=registry)
seconds.labels("1").observe(0.5); seconds.labels("1").observe(7)
Summary("py_size_bytes", "Size.", registry=registry).observe(4)
Info("py_build", "Build.", registry=registry).info({"version": "1.2.3"})
Enum("py_state", "State.", states=["up", "down"], registry=registry).state("down")
Gauge("py_unset", "Never labelled.", ["never"], registry=registry)
write_to_textfile(sys.argv[1], registry)
"#;

/// What prints, and what it printed.
fn printed() -> Vec<(&'static str, Vec<u8>)> {
    let java = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clients").join(name);
        fs::read(path).unwrap()
    };
    vec![
        ("python", python()),
        ("go", go(&prometheus())),
        ("java-simpleclient", java("java-simpleclient.prom")),
        ("java-metrics", java("java-metrics.prom")),
    ]
}

fn python() -> Vec<u8> {
    need("python3");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.prom");
    let status = Command::new("python3")
        .args(["-c", PYTHON])
        .arg(&file)
        .env("PYTHONPATH", unpacked().join("usr/lib/python3/dist-packages"))
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(file).unwrap()
}

/// What a server tells of itself: Go's client, with histograms and summaries in use.
fn prometheus() -> String {
    let prometheus = crate::support::prometheus::Prometheus::start(1, "x");
    prometheus.query("up");
    prometheus.served()
}

/// Without what a registry of one's own does not have: that of Go's runtime and of the process is node_exporter's too.
fn go(served: &str) -> Vec<u8> {
    let own = |line: &str| {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        ["go_", "process_", "promhttp_"].iter().any(|own| name.starts_with(own))
    };
    served.split_inclusive('\n').filter(|line| !own(line)).collect::<String>().into_bytes()
}

#[test]
fn what_clients_print_comes_out_of_node_exporter_as_it_was_printed() {
    for (client, text) in printed() {
        let meaning = Meaning::read(&text).unwrap();
        assert!(meaning.series.len() > 10, "{client}: {}", String::from_utf8_lossy(&text));
        let host = Host::new();
        write(&host, client, &text);
        same(&host, client, &meaning, &[]);
        let host = Host::new();
        assert_eq!(push(&host, &["job/x/zone/a"], &text), (true, String::new()), "{client}");
        same(&host, client, &meaning, &[("job", "x"), ("zone", "a")]);
    }
}

fn write(host: &Host, name: &str, text: &[u8]) {
    let mut command = host.promdrop();
    command.args(["write", name]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut stdin, text).unwrap());
        child.wait_with_output().unwrap()
    });
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{name}: {said}");
}

/// That each node_exporter serves just what was printed, with these labels on it.
#[track_caller]
fn same(host: &Host, client: &str, printed: &Meaning, labels: &[(&str, &str)]) {
    for (_, version) in VERSIONS {
        let exporter = Exporter::start_textfile_only(version, &host.textfile_dir());
        let served = Pushed::of(&exporter.scrape_text());
        let about = |name: &str| name.starts_with("promdrop_") || name.starts_with("push_");
        let ours = served.series.iter().filter(|(key, _)| !about(&key.name));
        let spelt = |value: &f64| value.to_string();
        let ours: Vec<(Key, String)> = ours.map(|(key, value)| (key.clone(), spelt(value))).collect();
        let mut theirs: Vec<(Key, String)> = printed
            .series
            .iter()
            .map(|(key, value)| {
                let mut key = key.clone();
                key.labels.extend(labels.iter().map(|(name, value)| (name.to_string(), value.to_string())));
                (key, spelt(value))
            })
            .collect();
        theirs.sort();
        assert_eq!(ours, theirs, "{client} {version}");
        // A family without samples is nothing to serve.
        for (name, family) in printed.families.iter().filter(|(_, family)| family.samples > 0) {
            assert_eq!(served.families[name].kind(), family.kind(), "{client} {version} {name}");
            if family.help.is_some() {
                assert_eq!(served.families[name].help, family.help, "{client} {version} {name}");
            }
        }
    }
}

/// Ends of scripts as they are found: what was piped to curl, with `PUSH` for the pipe's end and `GROUP` for the group.
const SCRIPTS: &[&str] = &[
    "echo \"t_a 3.14\" | PUSHGROUP",
    "cat <<EOF | PUSHGROUP/instance/elsewhere\n# TYPE t_a counter\nt_a{label=\"val1\"} 42\n# TYPE t_b gauge\n# HELP t_b Just an example.\nt_b 2398.283\nEOF",
    "printf 't_a %d\\n' 7 | PUSHGROUP/zone/a",
    "{ echo '# HELP t_a A number.'; for i in 1 2 3; do echo \"t_a{i=\\\"$i\\\"} $i\"; done; } | PUSHGROUP",
    "PUSHGROUP <<EOF\nt_a 1\nEOF",
];

#[test]
fn scripts_that_piped_to_curl_publish_what_they_pushed() {
    for script in SCRIPTS {
        let (gateway, host) = (Pushgateway::start(), Host::new());
        let program = curl();
        let url = gateway.url("job/x");
        let by_curl = script
            .replace("PUSHGROUP", &format!("curl -s --data-binary @- {url}"))
            .replace("curl ", &format!("{} ", program.get_program().display()));
        let by_promdrop = script.replace("PUSHGROUP", &format!("\"$PROMDROP\" push {url}"));
        for (script, environment) in [(by_curl, &program), (by_promdrop, &host.promdrop())] {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &script]).env("PROMDROP", env!("CARGO_BIN_EXE_promdrop"));
            shell.env("PROMDROP_TEXTFILE_DIR", host.textfile_dir());
            let set = environment.get_envs().filter_map(|(name, value)| Some((name, value?)));
            let output = shell.envs(set).output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success() && said.is_empty(), "{script}: {said}");
        }
        let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
        let without_times = |mut pushed: Pushed| {
            pushed.series.retain(|key, _| !key.name.starts_with("push_"));
            pushed.series
        };
        let pushed = without_times(gateway.pushed());
        assert!(!pushed.is_empty());
        assert_eq!(without_times(Pushed::of(&exporter.scrape_text())), pushed, "{script}");
    }
}
