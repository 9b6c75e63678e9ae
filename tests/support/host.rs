//! A host as promdrop sees it: a directory of collectors and a textfile directory.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::promdrop;
use super::series::Series;

/// Both directories, which go with this value.
#[derive(Debug)]
pub struct Host(TempDir);

impl Host {
    /// Both, empty.
    pub fn new() -> Self {
        let host = Self(TempDir::new().unwrap());
        fs::create_dir(host.collectors_dir()).unwrap();
        fs::create_dir(host.textfile_dir()).unwrap();
        host
    }

    /// Where the collectors are.
    pub fn collectors_dir(&self) -> PathBuf {
        self.0.path().join("collectors.d")
    }

    /// Where the `.prom` files are.
    pub fn textfile_dir(&self) -> PathBuf {
        self.0.path().join("textfile")
    }

    /// A path of the test's own, outside both.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the collector `stem`.
    pub fn collector(&self, stem: &str, yaml: &str) -> &Self {
        fs::write(self.collectors_dir().join(format!("{stem}.yaml")), yaml).unwrap();
        self
    }

    /// `promdrop run` on this host, to be given the names and started.
    pub fn run(&self) -> Command {
        let mut command = promdrop();
        command.arg("--collectors-dir").arg(self.collectors_dir());
        command.arg("--textfile-dir").arg(self.textfile_dir());
        command.arg("run");
        command
    }

    /// Runs the collectors of these names, which must all succeed.
    #[track_caller]
    pub fn run_well(&self, names: &[&str]) -> Output {
        let output = self.run().args(names).output().unwrap();
        assert!(
            output.status.success(),
            "promdrop run {names:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        output
    }

    /// The series that the collector `stem` has published.
    #[track_caller]
    pub fn published(&self, stem: &str) -> Series {
        let path = self.textfile_dir().join(format!("{stem}.prom"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Series::parse(&text)
    }
}
