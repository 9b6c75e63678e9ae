//! A machine that a collector finds as a test wants it, and what comes of it.

use std::any::Any;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Pid;

use super::end_to_end::assert_serves_all_of;
use crate::support::exporter::{Exporter, VERSIONS};
use crate::support::host::Host;
use crate::support::mounts::mount_files;
use crate::support::series::Series;
use crate::support::tools::Tools;
use crate::support::wait_for;

/// What lives as long as the collector runs, and ends then.
pub type Held = Box<dyn Any>;

/// A machine, described.
pub struct Scene {
    /// Where stand-ins for tools are put.
    pub stand_ins: &'static [&'static str],
    /// Puts more over /usr and /etc.
    pub files: fn(&Tools),
    /// Does the rest, on the machine, before the collector runs.
    pub machine: fn(&Host) -> Held,
}

/// Nothing but the unpacked tools.
pub const EMPTY: Scene = Scene { stand_ins: &[], files: |_| {}, machine: |_| Box::new(()) };

/// What came of a collector.
pub struct Played {
    stem: String,
    host: Host,
    /// promdrop's exit status.
    pub status: i32,
    /// Its stderr.
    pub said: String,
    /// What it published.
    pub published: Series,
}

impl Scene {
    /// Runs the collector `stem` on this machine.
    #[track_caller]
    pub fn play(&self, stem: &str, yaml: &str) -> Played {
        let tools = Tools::new();
        for path in self.stand_ins {
            tools.stand_in(path);
        }
        (self.files)(&tools);
        let host = Host::new();
        host.collector(stem, yaml);
        let (status, _, said) = tools.within(|| {
            let _held = (self.machine)(&host);
            host.outcome(&["run", stem])
        });
        Played { stem: stem.to_owned(), status, said, published: host.published(stem), host }
    }
}

impl Played {
    /// The families it published but for promdrop's own, in order, with a blank between two.
    pub fn families(&self) -> String {
        let names = self.published.names().into_iter();
        names.filter(|name| !name.starts_with("promdrop_")).collect::<Vec<_>>().join(" ")
    }

    /// That it published just these families, with these series among others, and that each node_exporter serves it.
    #[track_caller]
    pub fn assert_serves(&self, families: &str, series: &str) {
        assert_eq!(self.status, 0, "{}", self.said);
        assert_eq!(self.families(), families);
        assert_eq!(Series::parse(series).missing_in(&self.published), [], "in {:#?}", self.published);
        for (_, version) in VERSIONS {
            let served = Exporter::start(version, &self.host.textfile_dir()).scrape();
            assert_serves_all_of(&served, &self.host, &self.stem);
        }
    }
}

/// A process that ends with this value.
struct Running(Child);

impl Running {
    #[track_caller]
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not SIGKILL, of which Postfix's master would not tell its own processes.
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap();
    }
}

/// Runs a command, which has to end well.
#[track_caller]
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// A /dev of /dev/null and these, which are plain files.
pub fn devices(paths: &[&str]) {
    mount_files("/dev", &paths.iter().map(|path| (*path, "")).collect::<Vec<_>>());
    mknod("/dev/null", SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    // Whatever the umask.
    run(Command::new("chmod").args(["666", "/dev/null"]));
}

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// chronyd with its own clock for reference, which it leaves alone.
pub fn chronyd(host: &Host) -> Held {
    let configuration = host.path("chrony.conf");
    fs::write(&configuration, "local stratum 7\nport 0\n").unwrap();
    mount_files("/run", &[]);
    let chronyd =
        Running::start(Command::new("chronyd").args(["-x", "-d", "-u", "root", "-f"]).arg(configuration));
    wait_for(PATIENCE, "chronyd has a reference", || {
        let output = Command::new("chronyc").args(["-c", "tracking"]).output().unwrap();
        if output.stdout.starts_with(b"7F7F0101,") { Ok(()) } else { Err(output) }
    });
    Box::new(chronyd)
}

/// nginx with the location that the example needs.
pub fn nginx(host: &Host) -> Held {
    let configuration = host.path("nginx.conf");
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};\n", host.path(name).display()));
    let text = format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{}server {{\nlisten 127.0.0.1:80;\n\
         location = /nginx_status {{ stub_status; allow 127.0.0.1; deny all; }}\n}}\n}}\n",
        host.path("nginx.pid").display(),
        paths.concat(),
    );
    fs::write(&configuration, text).unwrap();
    let nginx = Running::start(Command::new("nginx").arg("-c").arg(configuration));
    wait_for(PATIENCE, "nginx listens", || std::net::TcpStream::connect("127.0.0.1:80").map(drop));
    Box::new(nginx)
}
