//! A host as promdrop sees it: a directory of collectors and a textfile directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::series::Series;
use super::{copy_promdrop, promdrop};

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

    /// `promdrop run` by another user, who owns the textfile directory and is in no group but nogroup; `limit` is
    /// prlimit's. The build directory may be closed to that user.
    pub fn run_by(&self, user: u32, limit: &str) -> Output {
        let program = self.path("promdrop");
        copy_promdrop(&program);
        for path in [self.path(""), self.collectors_dir(), self.textfile_dir()] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        chown(self.textfile_dir(), Some(user), None).unwrap();
        Command::new("setpriv")
            .args([&format!("--reuid={user}"), "--regid=65534", "--clear-groups", "prlimit", limit])
            .arg(program)
            .args(self.run().get_args())
            .output()
            .unwrap()
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
