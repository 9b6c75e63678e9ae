//! `promdrop exec` with real jobs: each is as it would be bare, and what is told of it is true.

mod alike;
mod directory;
mod lock;
mod metrics;
mod quiet;
mod signals;
mod terminal;
mod told;
mod users;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::host::Host;
use crate::support::series::Series;
use crate::support::wait_for;

/// The job's name.
const NAME: &str = "job";
const FILE: &str = "exec.job.prom";

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

impl Host {
    /// `promdrop exec` of the job with these options, to be given the job and started. No signal is ignored,
    /// whatever the tests were started with: a shell has some ignored in what it starts in the background.
    fn exec(&self, options: &[&str]) -> Command {
        let plain = self.plain_exec(options);
        let mut command = bare("env");
        command.arg("--default-signal").arg(plain.get_program()).args(plain.get_args());
        command
    }

    /// Likewise, with the signals as they are.
    fn plain_exec(&self, options: &[&str]) -> Command {
        let mut command = self.promdrop();
        command.arg("exec").args(options).args([NAME, "--"]).stdin(Stdio::null());
        command
    }

    /// Runs a job that is a shell script.
    #[track_caller]
    fn exec_sh(&self, options: &[&str], script: &str) -> Output {
        self.exec(options).args(["sh", "-c", script]).output().unwrap()
    }

    /// A number that is told of the job.
    #[track_caller]
    fn told(&self, what: &str) -> f64 {
        self.series().value(&format!("promdrop_exec_{what}"), &[("name", NAME)])
    }

    /// How often it is told to have ended so.
    #[track_caller]
    fn runs(&self, result: &str) -> f64 {
        self.series().value("promdrop_exec_runs_total", &[("name", NAME), ("result", result)])
    }

    #[track_caller]
    fn series(&self) -> Series {
        Series::parse(&self.text(FILE))
    }

    /// Whether it is told that the job runs; `None` before anything is.
    fn says_running(&self) -> Option<bool> {
        let text = fs::read_to_string(self.textfile_dir().join(FILE)).ok()?;
        Series::parse(&text).get("promdrop_exec_running", &[("name", NAME)]).map(|value| value == 1.0)
    }

    #[track_caller]
    fn await_running(&self, running: bool) {
        wait_for(LONG, "the file says whether it runs", || match self.says_running() {
            Some(says) if says == running => Ok(()),
            other => Err(other),
        });
    }

    /// Sweeps, as every run does; what was done.
    #[track_caller]
    fn sweep(&self) -> String {
        let (status, stdout, stderr) = self.outcome(&["prune"]);
        assert_eq!((status, stderr.as_str()), (0, ""));
        stdout
    }
}

/// A job with nothing around it.
fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command
}

/// Waits until `path` is there.
#[track_caller]
fn await_file(path: &Path) -> String {
    wait_for(LONG, "the file is there", || match fs::read_to_string(path) {
        Ok(text) if text.ends_with('\n') => Ok(text),
        other => Err(other),
    })
}

#[track_caller]
fn await_end(child: &mut Child) -> std::process::ExitStatus {
    wait_for(LONG, "it has ended", || child.try_wait().unwrap().ok_or("it runs"))
}

#[track_caller]
fn silent(output: &Output) {
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
