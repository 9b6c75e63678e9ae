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

    /// promdrop on this host, to be given the rest of its arguments and started.
    pub fn promdrop(&self) -> Command {
        let mut command = promdrop();
        command.arg("--collectors-dir").arg(self.collectors_dir());
        command.arg("--textfile-dir").arg(self.textfile_dir());
        command
    }

    /// `promdrop run` on this host, to be given the names and started.
    pub fn run(&self) -> Command {
        let mut command = self.promdrop();
        command.arg("run");
        command
    }

    /// Runs promdrop to its end: exit status, stdout, stderr.
    #[track_caller]
    pub fn outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.promdrop().args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// The text of a published file.
    #[track_caller]
    pub fn text(&self, file: &str) -> String {
        let path = self.textfile_dir().join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
        Series::parse(&self.text(&format!("{stem}.prom")))
    }
}
