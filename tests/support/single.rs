//! One collector of module `command` on a host of its own, run once.

use std::fmt::Write as _;
use std::fs::File;
use std::time::{Duration, Instant};

use super::host::Host;
use super::wait_for;

/// The collector's name.
pub const NAME: &str = "it";

/// What came of the run.
#[derive(Debug)]
pub struct Single {
    /// The host, with what was published.
    pub host: Host,
    /// What promdrop printed, stdout and stderr.
    pub said: String,
    /// How long promdrop took.
    pub took: Duration,
}

/// The lines of a definition whose command is the shell script `script`; `more` are lines of its section.
pub fn shell(header: &str, script: &str, more: &str) -> String {
    let mut yaml = format!("module: command\ninterval: 7d\n{header}\ncommand:\n  shell: |\n");
    for line in script.lines() {
        let _ = writeln!(yaml, "    {line}");
    }
    for line in more.lines() {
        let _ = writeln!(yaml, "  {line}");
    }
    yaml
}

impl Single {
    /// Runs `yaml` by `promdrop run`.
    #[track_caller]
    pub fn run(yaml: &str) -> Self {
        Self::run_on(Host::new(), yaml)
    }

    /// As [`run`](Self::run), on a host that has been prepared.
    #[track_caller]
    pub fn run_on(host: Host, yaml: &str) -> Self {
        host.collector(NAME, yaml);
        // To files: at a pipe, the test would wait for every process that has inherited it.
        let (stdout, stderr) = (host.path("stdout"), host.path("stderr"));
        let began = Instant::now();
        let mut run = host.run();
        run.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let mut run = run.spawn().unwrap();
        wait_for(Duration::from_secs(60), "promdrop has ended", || run.try_wait().unwrap().ok_or("it runs"));
        let took = began.elapsed();
        let text = |path| String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let said = text(stdout) + &text(stderr);
        Self { host, said, took }
    }

    /// Asserts that the run ended with the result `word`.
    #[track_caller]
    pub fn ended(&self, word: &str) -> &Self {
        let labels = [("collector", NAME), ("result", word)];
        let count = self.host.published(NAME).value("promdrop_collector_runs_total", &labels);
        assert_eq!(count, 1.0, "not {word}:\n{}", self.said);
        self
    }

    /// Asserts that promdrop said `text`.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.said.contains(text), "not said: {text}\n{}", self.said);
        self
    }

    /// A value that the command printed.
    #[track_caller]
    pub fn value(&self, name: &str) -> f64 {
        self.host.published(NAME).value(name, &[])
    }

    /// A value of health.
    #[track_caller]
    pub fn health(&self, name: &str) -> f64 {
        self.host.published(NAME).value(name, &[("collector", NAME)])
    }
}
