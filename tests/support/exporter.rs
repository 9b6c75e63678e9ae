//! The real node_exporter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::series::Series;
use super::server::{Server, part};

/// The node_exporters that are tested against: the Debian release that each comes from, and its version.
pub const VERSIONS: [(&str, &str); 2] = [("bookworm", "1.5.0"), ("trixie", "1.9.0")];

/// A running node_exporter with its default collectors.
#[derive(Debug)]
pub struct Exporter {
    server: Server,
    program: PathBuf,
    textfile_dir: PathBuf,
    logs: TempDir,
}

impl Exporter {
    /// Starts `version` on a free port, its textfile collector on `textfile_dir`.
    pub fn start(version: &str, textfile_dir: &Path) -> Self {
        let (release, _) = VERSIONS.iter().find(|(_, known)| *known == version).expect("a known version");
        let program = part(release, "prometheus-node-exporter");
        let logs = TempDir::new().unwrap();
        let server = start(&program, textfile_dir, 0, logs.path());
        let exporter = Self { server, program, textfile_dir: textfile_dir.to_owned(), logs };
        let scrape = exporter.server.get("/metrics");
        assert!(
            scrape.contains(&format!("version=\"{version}\"")),
            "{} is not {version}",
            exporter.program.display()
        );
        exporter
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// Everything it serves at this moment.
    pub fn scrape(&self) -> Series {
        Series::parse(&self.server.get("/metrics"))
    }

    /// Ends it; [`start_again`](Stopped::start_again) starts it on the same port.
    pub fn stop(self) -> Stopped {
        let port = self.port();
        let Self { server, program, textfile_dir, logs } = self;
        drop(server);
        Stopped { port, program, textfile_dir, logs }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(log_file(self.logs.path())).unwrap()
    }
}

/// A node_exporter that was stopped.
#[derive(Debug)]
pub struct Stopped {
    port: u16,
    program: PathBuf,
    textfile_dir: PathBuf,
    logs: TempDir,
}

impl Stopped {
    /// Starts it again, on the port that it had.
    pub fn start_again(self) -> Exporter {
        let Self { port, program, textfile_dir, logs } = self;
        let server = start(&program, &textfile_dir, port, logs.path());
        Exporter { server, program, textfile_dir, logs }
    }
}

fn start(program: &Path, textfile_dir: &Path, port: u16, logs: &Path) -> Server {
    let mut command = Command::new(program);
    command.arg(format!("--collector.textfile.directory={}", textfile_dir.display()));
    Server::start(command, port, &log_file(logs))
}

fn log_file(logs: &Path) -> PathBuf {
    logs.join("node_exporter.log")
}
