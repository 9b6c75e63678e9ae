//! A machine that a collector finds as a test wants it, and what comes of it.

use std::any::Any;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen};
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
    /// The folder in tests/data/tools of what they print; nothing for tests/data/tools itself.
    pub outputs: &'static str,
    /// Puts more over /usr and /etc.
    pub files: fn(&Tools),
    /// Does the rest, on the machine, before the collector runs.
    pub machine: fn(&Host) -> Held,
}

/// Nothing but the unpacked tools.
pub const EMPTY: Scene = Scene { stand_ins: &[], outputs: "", files: |_| {}, machine: |_| Box::new(()) };

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
            tools.stand_in(path, self.outputs);
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

/// Listening sockets of the services that the example names; at 443, with room for 9, a connection waits.
pub fn listeners(_: &Host) -> Held {
    let busy = TcpListener::bind("0.0.0.0:443").unwrap();
    listen(&busy, Backlog::new(9).unwrap()).unwrap();
    let waiting = TcpStream::connect("127.0.0.1:443").unwrap();
    poll(&mut [PollFd::new(busy.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    let idle = ["127.0.0.1:8080", "[::1]:8080"].map(|place| TcpListener::bind(place).unwrap());
    Box::new((busy, waiting, idle))
}

/// What Postfix, which only unpacked has no user and no configuration, needs to be its own.
pub fn postfix_files(tools: &Tools) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let without = |text: &str, names: &[&str]| {
        let line_of = |line: &&str| !names.contains(&line.split(':').next().unwrap());
        text.lines().filter(line_of).fold(String::new(), |all, line| all + line + "\n")
    };
    let postfix = format!("postfix:x:{POSTFIX}:{POSTFIX}::/:/usr/sbin/nologin\n");
    tools.file("/etc/passwd", 0o644, &(without(&users, &["postfix"]) + &postfix));
    let both = format!("postfix:x:{POSTFIX}:\npostdrop:x:{POSTDROP}:\n");
    tools.file("/etc/group", 0o644, &(without(&groups, &["postfix", "postdrop"]) + &both));
    tools.file("/etc/postfix/main.cf", 0o644, MAIN_CF).file("/etc/postfix/master.cf", 0o644, MASTER_CF);
    tools.unpacked_file("/usr/sbin/postqueue", POSTDROP, 0o2755);
}

const POSTFIX: u32 = 64_001;
const POSTDROP: u32 = 64_002;

/// Its only next hop refuses every connection.
const MAIN_CF: &str = "compatibility_level = 3.6\nqueue_directory = /run/queue\ndata_directory = /run/data\n\
    daemon_directory = /usr/lib/postfix/sbin\ncommand_directory = /usr/sbin\nsetgid_group = postdrop\n\
    myhostname = host.example\ninet_interfaces = loopback-only\nrelayhost = [127.0.0.1]:1\nalias_maps =\n";

const MASTER_CF: &str = "\
pickup  unix n - n 60  1 pickup
cleanup unix n - n -   0 cleanup
qmgr    unix n - n 300 1 qmgr
rewrite unix - - n -   - trivial-rewrite
bounce  unix - - n -   0 bounce
defer   unix - - n -   0 bounce
trace   unix - - n -   0 bounce
smtp    unix - - n -   - smtp
showq   unix n - n -   - showq
";

/// Postfix with two messages that it can't get rid of.
pub fn postfix(_: &Host) -> Held {
    let names =
        "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace";
    let files: Vec<String> = names.split(' ').map(|name| format!("queue/{name}/.keep")).collect();
    mount_files("/run", &files.iter().map(|path| (path.as_str(), "")).collect::<Vec<_>>());
    let prepare = "cd /run/queue && rm */.keep && mkdir ../data && chown postfix * ../data && chown root pid && \
                   chgrp postdrop maildrop public && chmod 730 maildrop && chmod 710 public && chmod 700 private";
    run(Command::new("sh").args(["-c", prepare]));
    let master = Running::start(Command::new("/usr/lib/postfix/sbin/master").arg("-d"));
    wait_for(PATIENCE, "Postfix answers", || {
        let output = Command::new("postqueue").arg("-j").output().unwrap();
        if output.status.success() && output.stderr.is_empty() { Ok(()) } else { Err(output) }
    });
    for recipient in ["one@example.net", "two@example.org"] {
        let line = format!("echo text | sendmail -f root@host.example {recipient}");
        run(Command::new("sh").args(["-c", &line]));
    }
    wait_for(PATIENCE, "both messages are deferred", || {
        let output = Command::new("postqueue").arg("-j").output().unwrap();
        let deferred = String::from_utf8_lossy(&output.stdout).matches("\"deferred\"").count();
        if deferred == 2 { Ok(()) } else { Err(output) }
    });
    Box::new(master)
}

/// A certificate that ends in 30 days, where certbot leaves them.
pub fn certificate(_: &Host) -> Held {
    let place = Path::new("/etc/letsencrypt/live");
    mount_files(place.to_str().unwrap(), &[("www.example.net/README", "")]);
    let arguments =
        ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "30", "-subj", "/CN=www.example.net"];
    let place = place.join("www.example.net");
    run(Command::new("openssl")
        .args(arguments)
        .args(["-keyout", "/dev/null", "-out"])
        .arg(place.join("cert.pem")));
    Box::new(())
}
