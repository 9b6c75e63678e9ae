//! The real Prometheus.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::server::{PATIENCE, Server, part};
use super::wait_for;

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
    /// Holds its configuration, storage and log.
    _dir: TempDir,
}

/// A series that a query answered: its labels, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    labels: Value,
    /// The value.
    pub value: f64,
}

impl Point {
    /// A label's value, empty where there is no such label, as in PromQL.
    pub fn label(&self, name: &str) -> &str {
        self.labels[name].as_str().unwrap_or("")
    }
}

impl Prometheus {
    /// Starts it on a free port; it scrapes one node_exporter every second, as job `node`: 127.0.0.1:`port`, whose
    /// label `instance` becomes `instance`.
    pub fn start(port: u16, instance: &str) -> Self {
        Self::start_with(&format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n\
             - job_name: node\n  \
               static_configs:\n  \
               - {{targets: ['127.0.0.1:{port}'], labels: {{instance: '{instance}'}}}}\n"
        ))
    }

    /// Starts it on a free port with this configuration.
    pub fn start_with(text: &str) -> Self {
        Self::start_as(&["--storage.tsdb.path=data"], text, "")
    }

    /// As [`start_with`](Self::start_with), with more `arguments`, in a folder of its own where `rules.yml` has the text
    /// `rules`.
    pub fn start_as(arguments: &[&str], text: &str, rules: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("prometheus.yml"), text).unwrap();
        fs::write(dir.path().join("rules.yml"), rules).unwrap();
        let mut command = Command::new(part("bookworm", "prometheus"));
        command.current_dir(dir.path()).arg("--config.file=prometheus.yml").args(arguments);
        let server = Server::start(command, 0, &dir.path().join("prometheus.log"));
        // It listens before it has read its storage, and answers 503 until then.
        wait_for(PATIENCE, "Prometheus is ready", || server.ask("/-/ready"));
        Self { server, _dir: dir }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// What it tells of itself.
    pub fn served(&self) -> String {
        self.server.get("/metrics")
    }

    /// The JSON that it answers to `GET path`.
    pub fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.server.get(path)).unwrap()
    }

    /// The instant vector that `expression` gives now.
    pub fn query(&self, expression: &str) -> Vec<Point> {
        let result = self.ask(expression, "vector");
        result
            .iter()
            .map(|point| Point { labels: point["metric"].clone(), value: number(&point["value"][1]) })
            .collect()
    }

    /// The range vector that `expression` gives now: the samples that it has stored of each series, with their times.
    pub fn samples(&self, expression: &str) -> Vec<Vec<(f64, f64)>> {
        let series = |series: &Value| {
            let samples = series["values"].as_array().expect("a list of samples");
            samples.iter().map(|sample| (sample[0].as_f64().expect("a time"), number(&sample[1]))).collect()
        };
        self.ask(expression, "matrix").iter().map(series).collect()
    }

    /// What `expression` gives now, which must be of type `expected`.
    fn ask(&self, expression: &str, expected: &str) -> Vec<Value> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={escaped}"));
        assert_eq!(answer["data"]["resultType"], expected, "{answer}");
        answer["data"]["result"].as_array().expect("a list of series").clone()
    }

    /// Asks until `wanted` says yes to the answer, at most for `limit`, and returns it.
    pub fn await_query(
        &self,
        expression: &str,
        limit: Duration,
        wanted: impl Fn(&[Point]) -> bool,
    ) -> Vec<Point> {
        wait_for(limit, expression, || {
            let points = self.query(expression);
            if wanted(&points) { Ok(points) } else { Err(points) }
        })
    }
}

/// A value, which JSON has as text, since it may be NaN or an infinity.
fn number(value: &Value) -> f64 {
    value.as_str().expect("a value as text").parse().unwrap()
}
