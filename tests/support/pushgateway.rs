//! The real Pushgateway, pushed to by the real curl.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::meaning::{Family, Key, Meaning};
use super::server::{Server, part};
use super::tools::unpacked;

/// A running Pushgateway.
#[derive(Debug)]
pub struct Pushgateway {
    server: Server,
    _logs: TempDir,
}

impl Pushgateway {
    /// Starts it on a free port.
    pub fn start() -> Self {
        Self::start_at([127, 0, 0, 1].into())
    }

    /// Starts it on a free port of `host`.
    pub fn start_at(host: IpAddr) -> Self {
        let logs = TempDir::new().unwrap();
        let command = Command::new(part("bookworm", "prometheus-pushgateway"));
        let server = Server::start_at(command, (host, 0).into(), &logs.path().join("log"));
        Self { server, _logs: logs }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The URL of a path below `/metrics/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/metrics/{path}", self.server.address)
    }

    /// What it answers to `method` at `path` with `body`: status and text.
    pub fn push(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut curl = curl();
        curl.args(["--silent", "--path-as-is", "--write-out", "\n%{http_code}", "--request", method]);
        curl.args(["--data-binary", "@-"]).arg(self.url(path));
        let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "curl: {}", output.status);
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let (text, status) = answer.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), text.to_owned())
    }

    /// What was pushed to it, as it serves it.
    pub fn pushed(&self) -> Pushed {
        Pushed::of(&self.served())
    }

    /// All that it serves.
    pub fn served(&self) -> String {
        self.server.get("/metrics")
    }
}

/// Debian's curl, which `tests/run` unpacks.
pub fn curl() -> Command {
    let tree = unpacked();
    let mut command = Command::new(tree.join("usr/bin/curl"));
    command.env("LD_LIBRARY_PATH", tree.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)));
    command
}

/// What a server of Go serves, without what it says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    pub series: BTreeMap<Key, f64>,
    pub families: BTreeMap<String, Family>,
}

impl Pushed {
    /// Of the text of a scrape.
    pub fn of(text: &str) -> Self {
        let own = |name: &str| {
            ["go_", "process_", "promhttp_", "pushgateway_", "node_"].iter().any(|own| name.starts_with(own))
        };
        let Meaning { mut series, mut families } = Meaning::read(text.as_bytes()).unwrap();
        series.retain(|key, _| !own(&key.name));
        families.retain(|name, _| !own(name));
        Self { series, families }
    }
}
