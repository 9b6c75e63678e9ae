//! Whatever fails while it publishes: nothing published is ever partial or false, the exit status and the message
//! tell, and the next run recovers. Needs root.

mod clock;
mod errors;
mod killed;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime};

use promdrop::exposition::{judge, prove};
use promdrop::textfile::Directory;

use crate::support::host::Host;
use crate::support::names;
use crate::support::netns::in_fresh;
use crate::support::series::Series;

/// The ways into the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Door {
    Netstat,
    Command,
    Write,
}

/// The name that is published under, by each of them.
const NAME: &str = "told";

const FILE: &str = "told.prom";

/// Samples of a text: enough that it is not written in one page.
const SAMPLES: usize = 300;

/// What is published before, and by the publish that a fault is put into. All samples of a text say it, so that a
/// mixture would show.
const OLD: u64 = 1;
const NEW: u64 = 2;

/// A host of one publish, which can be set back to what it was before.
#[derive(Debug)]
struct Place {
    host: Host,
    door: Door,
    /// The files as an earlier publish has left them.
    before: BTreeMap<String, Vec<u8>>,
    /// The files as this publish leaves them, without what may differ.
    after: BTreeMap<String, String>,
    /// Whom promdrop runs as, where that is not the test's user.
    user: Option<u32>,
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    /// What was there before, byte for byte.
    Old,
    /// All of what this publish makes.
    New,
    /// The health of a collector that failed.
    Failed,
}

impl Place {
    /// To be made, and used, in a network namespace of its own.
    fn new(door: Door) -> Self {
        Self::on(Host::new(), door, None)
    }

    /// Likewise, on a host whose directories are there already.
    fn on(host: Host, door: Door, user: Option<u32>) -> Self {
        match door {
            Door::Netstat => {
                host.collector(NAME, "module: netstat\ninterval: 15s\n");
            }
            Door::Command => {
                let told = host.path(NAME);
                host.collector(
                    NAME,
                    &format!("module: command\ncommand:\n  argv: [cat, {}]\n", told.display()),
                );
            }
            Door::Write => {}
        }
        let mut place = Self { host, door, before: BTreeMap::new(), after: BTreeMap::new(), user };
        let listeners = place.tell(OLD);
        place.publish_well();
        drop(listeners);
        place.before = place.files();
        let listeners = place.tell(NEW);
        place.publish_well();
        place.after = place.files().into_iter().map(|(name, text)| (name, shape(&text))).collect();
        // They would be gone from the counts with this value.
        std::mem::forget(listeners);
        place
    }

    /// Has the next publish find `number`: by so many sockets that listen, or in the text of so many samples.
    fn tell(&self, number: u64) -> Vec<TcpListener> {
        let mut text = String::from("# HELP told What was told.\n# TYPE told gauge\n");
        for sample in 0..SAMPLES {
            text += &format!("told{{sample=\"{sample}\"}} {number}\n");
        }
        fs::write(self.host.path(NAME), text).unwrap();
        let listens = self.door == Door::Netstat;
        (0..number).filter(|_| listens).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect()
    }

    /// The publish, to be given its stdin.
    fn command(&self) -> Command {
        let mut command = self.host.promdrop();
        if let Some(user) = self.user {
            let mut other = Command::new("setpriv");
            other.args([&format!("--reuid={user}"), "--clear-groups"]).arg(self.host.path("promdrop"));
            other.args(command.get_args());
            command = other;
        }
        match self.door {
            Door::Write => command.args(["write", NAME]),
            Door::Netstat | Door::Command => command.args(["run", NAME]),
        };
        command
    }

    /// Its stdin.
    fn stdin(&self) -> Stdio {
        match self.door {
            Door::Write => fs::File::open(self.host.path(NAME)).unwrap().into(),
            Door::Netstat | Door::Command => Stdio::null(),
        }
    }

    fn publish(&self) -> (Option<i32>, String) {
        said(&self.command().stdin(self.stdin()).output().unwrap())
    }

    #[track_caller]
    fn publish_well(&self) {
        assert_eq!(self.publish(), (Some(0), String::new()));
    }

    /// As before the publish: the files of an earlier one, or nothing at all.
    fn reset(&self, over: bool) {
        for name in names(&self.host.textfile_dir()) {
            fs::remove_file(self.host.textfile_dir().join(name)).unwrap();
        }
        if over {
            for (name, text) in &self.before {
                fs::write(self.host.textfile_dir().join(name), text).unwrap();
            }
            let lock = self.host.textfile_dir().join(".promdrop.lock");
            fs::File::options().write(true).create_new(true).mode(0o600).open(lock).unwrap();
        }
    }

    /// The published files.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let directory = self.host.textfile_dir();
        let names = names(&directory).into_iter().filter(|name| name.ends_with(".prom"));
        names
            .map(|name| (fs::read(directory.join(&name)).unwrap(), name))
            .map(|(text, name)| (name, text))
            .collect()
    }

    /// What each file is, in order of the names. Fails on what is neither old nor whole, on names that nobody should
    /// see, and on files that harm each other.
    fn look(&self, over: bool) -> Result<Vec<Found>, String> {
        let files = self.files();
        for name in names(&self.host.textfile_dir()) {
            let others = name == ".promdrop.lock" || name.starts_with("foreign");
            let known = self.after.contains_key(&name) || others || is_temporary(&name);
            if !known {
                return Err(format!("{name} is left"));
            }
        }
        let texts: Vec<(&str, &[u8])> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
        if let Some((_, harm)) = judge(&texts).iter().find(|(_, finding)| finding.harm.is_some()) {
            return Err(format!("harm: {harm:?}"));
        }
        let found = self.after.keys().map(|name| match files.get(name) {
            None if over => Err(format!("{name} is gone")),
            None => Ok(Found::Nothing),
            Some(text) if over && self.before.get(name) == Some(text) => Ok(Found::Old),
            Some(text) => self
                .whole(name, text)
                .map_err(|why| format!("{name}: {why}:\n{}", String::from_utf8_lossy(text))),
        });
        found.collect()
    }

    /// Whether `text` is all of what the publish makes of the file `name`.
    fn whole(&self, name: &str, text: &[u8]) -> Result<Found, String> {
        prove(text).map_err(|problems| format!("it breaks rules: {problems:?}"))?;
        let directory = Directory::open(&self.host.textfile_dir()).unwrap();
        let published =
            directory.previous(name).map_err(|error| error.to_string())?.ok_or("its header is in doubt")?;
        if published.families().is_none() {
            return Err("it can't be read back".to_owned());
        }
        let series = Series::parse(&String::from_utf8_lossy(text));
        if name == FILE && self.door != Door::Write {
            let success = series.value("promdrop_collector_success", &[("collector", NAME)]);
            if (success == 1.0) != published.header.failure.is_none() {
                return Err("its header and its health contradict each other".to_owned());
            }
            if published.header.failure.is_some() {
                let kept = series.has(NAME) || series.has("netstat_tcp_connections");
                return if kept { Err("it keeps numbers".to_owned()) } else { Ok(Found::Failed) };
            }
        }
        let whole = self.after.get(name).map_or("", String::as_str);
        // It leaves that out where the directory can't be listed.
        let without: String =
            whole.split_inclusive('\n').filter(|line| !line.contains("promdrop_foreign_files")).collect();
        if ![whole, &without].contains(&shape(text).as_str()) {
            return Err("it is not whole".to_owned());
        }
        match name == FILE {
            true if self.numbers(&series) != BTreeSet::from([NEW]) => Err("it is not the new one".to_owned()),
            _ => Ok(Found::New),
        }
    }

    /// All numbers that `file` says.
    fn numbers(&self, file: &Series) -> BTreeSet<u64> {
        match self.door {
            Door::Netstat => {
                let labels = [("family", "ipv4"), ("state", "listen")];
                BTreeSet::from([file.value("netstat_tcp_connections", &labels) as u64])
            }
            Door::Command | Door::Write => {
                let value = |sample: usize| file.value(NAME, &[("sample", &sample.to_string())]) as u64;
                (0..SAMPLES).map(value).collect()
            }
        }
    }

    /// Publishes once more, now without a fault, and sweeps what the fault has left once that is old; whether there
    /// was any. `was` is what the fault has left published.
    fn recover(&self, was: &[Found]) -> Result<bool, String> {
        let again = match was.contains(&Found::Failed) {
            true => format!("promdrop: {NAME}: it succeeds again\n"),
            false => String::new(),
        };
        let (status, said) = self.publish();
        if (status, &said) != (Some(0), &again) {
            return Err(format!("the next run ends with {status:?}: {said}"));
        }
        self.all_new()?;
        let left = age_temporaries(&self.host);
        if left {
            let (status, said) = self.publish();
            if (status, said.as_str()) != (Some(0), "") {
                return Err(format!("the run after the next ends with {status:?}: {said}"));
            }
            self.all_new()?;
            if names(&self.host.textfile_dir()).iter().any(|name| is_temporary(name)) {
                return Err("a temporary file is not swept".to_owned());
            }
            self.lint()?;
        }
        Ok(left)
    }

    fn all_new(&self) -> Result<(), String> {
        let found = self.look(false)?;
        let all = found.iter().all(|found| *found == Found::New);
        if all { Ok(()) } else { Err(format!("not all is published anew: {found:?}")) }
    }

    /// `promdrop lint` of the directory finds nothing.
    fn lint(&self) -> Result<(), String> {
        let directory = self.host.textfile_dir();
        let (status, stdout, stderr) = self.host.outcome(&["lint", directory.to_str().unwrap()]);
        let clean = status == 0 && stdout.is_empty() && stderr.is_empty();
        if clean { Ok(()) } else { Err(format!("lint: {status}: {stdout}{stderr}")) }
    }
}

/// A text without its times and numbers: what is left is the same of every whole one.
fn shape(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| match line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
        true => format!("{line}\n"),
        false => {
            let end = if line.starts_with('#') { line.find(": ") } else { line.rfind(' ') };
            format!("{}\n", &line[..end.unwrap_or(line.len())])
        }
    };
    let cut = if text.ends_with('\n') { "" } else { "no newline" };
    text.lines().map(line).collect::<String>() + cut
}

/// Exit status, `None` where it was killed, and all that was printed.
fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix(".promdrop-").is_some_and(|rest| rest.ends_with(".tmp"))
}

/// Makes temporary files old enough to be swept; whether there are any.
fn age_temporaries(host: &Host) -> bool {
    let temporaries: Vec<String> =
        names(&host.textfile_dir()).into_iter().filter(|name| is_temporary(name)).collect();
    for name in &temporaries {
        let file = fs::File::options().write(true).open(host.textfile_dir().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    !temporaries.is_empty()
}

/// Does `body` to each of `items`, several at a time, each of these on a host, and in a network namespace, of its own.
/// Fails with all that went wrong.
fn to_each<T: Send>(door: Door, items: Vec<T>, body: impl Fn(&Place, T) -> Result<(), String> + Sync) {
    let workers = thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let items = Mutex::new(items);
    let wrong = Mutex::new(Vec::new());
    let work = || {
        let place = Place::new(door);
        loop {
            let Some(item) = items.lock().unwrap().pop() else { break };
            if let Err(why) = body(&place, item) {
                wrong.lock().unwrap().push(why);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| in_fresh(work));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} went wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}
