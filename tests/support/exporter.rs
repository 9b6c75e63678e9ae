//! The real node_exporter.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::series::Series;
use super::server::{Server, part};

/// The node_exporters that are tested against: the Debian release that each comes from, and its version.
pub const VERSIONS: [(&str, &str); 2] = [("bookworm", "1.5.0"), ("trixie", "1.9.0")];

/// A running node_exporter.
#[derive(Debug)]
pub struct Exporter {
    server: Server,
    setup: Setup,
}

impl Exporter {
    /// Starts `version` on a free port with its default collectors, its textfile collector on `textfile_dir`.
    pub fn start(version: &str, textfile_dir: &Path) -> Self {
        Self::start_with(version, textfile_dir, &[])
    }

    /// As [`start`](Self::start), without the other collectors.
    pub fn start_textfile_only(version: &str, textfile_dir: &Path) -> Self {
        Self::start_with(version, textfile_dir, &["--collector.disable-defaults", "--collector.textfile"])
    }

    /// As [`start`](Self::start), with more `arguments`.
    pub fn start_with(version: &str, textfile_dir: &Path, arguments: &[&str]) -> Self {
        let (release, _) = VERSIONS.iter().find(|(_, known)| *known == version).expect("a known version");
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.push(format!("--collector.textfile.directory={}", textfile_dir.display()));
        let program = part(release, "prometheus-node-exporter");
        let exporter = Setup { program, arguments, logs: TempDir::new().unwrap() }.start(0);
        let scrape = exporter.scrape_text();
        assert!(scrape.contains(&format!("version=\"{version}\"")), "not {version}:\n{scrape}");
        exporter
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Everything it serves at this moment.
    pub fn scrape(&self) -> Series {
        Series::parse(&self.scrape_text())
    }

    /// As [`scrape`](Self::scrape), the text itself.
    pub fn scrape_text(&self) -> String {
        self.server.get("/metrics")
    }

    /// The bytes of everything it serves at this moment, `None` where it died of the question.
    pub fn scrape_or_die(&mut self) -> Option<Vec<u8>> {
        self.server.ask_or_end("/metrics")
    }

    /// Ends it; [`start_again`](Stopped::start_again) starts it on the same port.
    pub fn stop(self) -> Stopped {
        Stopped { port: self.port(), setup: self.setup }
    }
}

/// A node_exporter that was stopped.
#[derive(Debug)]
pub struct Stopped {
    port: u16,
    setup: Setup,
}

impl Stopped {
    /// Starts it again, on the port that it had.
    pub fn start_again(self) -> Exporter {
        self.setup.start(self.port)
    }
}

/// What it takes to start one.
#[derive(Debug)]
struct Setup {
    program: PathBuf,
    arguments: Vec<String>,
    logs: TempDir,
}

impl Setup {
    fn start(self, port: u16) -> Exporter {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let server = Server::start(command, port, &self.logs.path().join("node_exporter.log"));
        Exporter { server, setup: self }
    }
}
