//! The static build, with nothing of the host but its kernel.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{printed, repository};
use crate::support::netns::in_fresh;
use crate::support::series::Series;
use crate::support::{need, wait_for};

const PING: &str = "module: ping\nping: {count: 1, targets: [hosts.example.net, dns.example.net]}\n";
const VERSION: &str = "module: command\nuser: worker\ncommand:\n  argv: [/bin/promdrop, --version]\n  \
                       output: {format: regex, pattern: 'promdrop (?P<major>\\d+)[.]', name: major_version, value: major}\n";

/// A root that holds the program, and the few files that say what names mean.
fn root(program: &Path) -> TempDir {
    let root = TempDir::new().unwrap();
    let path = |inside: &str| root.path().join(inside);
    for directory in ["", "bin", "dev", "proc", "etc/collectors.d", "textfile"] {
        fs::create_dir_all(path(directory)).unwrap();
        fs::set_permissions(path(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
    printed(Command::new("cp").arg(program).arg(path("bin/promdrop")));
    fs::write(path("dev/null"), "").unwrap();
    fs::write(path("etc/hosts"), "127.0.0.2 hosts.example.net\n").unwrap();
    fs::write(path("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    fs::write(path("etc/passwd"), "root:x:0:0::/:/bin/sh\nworker:x:4711:4712::/:/bin/sh\n").unwrap();
    fs::write(path("etc/group"), "root:x:0:\nworker:x:4712:\n").unwrap();
    fs::write(path("etc/collectors.d/ping.yaml"), PING).unwrap();
    fs::write(path("etc/collectors.d/version.yaml"), VERSION).unwrap();
    root
}

/// promdrop in there.
fn promdrop(root: &Path, words: &str) -> Output {
    let line = format!(
        "mount -t proc proc proc && mount --bind /dev/null dev/null && \
         exec chroot . /bin/promdrop --textfile-dir /textfile --collectors-dir /etc/collectors.d {words}"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "sh", "-euc", &line]).current_dir(root);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap()
}

/// A real server of names.
struct Names(Child);

impl Names {
    fn start() -> Self {
        need("/usr/sbin/dnsmasq");
        let mut dnsmasq = Command::new("/usr/sbin/dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--user=root",
        ]);
        dnsmasq.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file="]);
        dnsmasq.args(["--address=/dns.example.net/127.0.0.3", "--log-facility=-"]);
        Self(dnsmasq.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "builds all once more, two minutes of one core: tests/run --long"]
fn long_the_static_build_needs_no_library_and_finds_names_of_hosts_and_users() {
    // Without optimisation and what a debugger wants, which change nothing here but how long it takes.
    let mut build = Command::new(repository("packaging/static/build"));
    printed(build.args(["--quiet", "--profile=dev"]).env("CARGO_PROFILE_DEV_DEBUG", "0"));
    let target = printed(Command::new("rustc").args(["--print", "host-tuple"]));
    let program = repository(&format!("target/static/{}/debug/promdrop", target.trim()));
    let read =
        printed(Command::new("readelf").args(["--program-headers", "--dynamic", "--wide"]).arg(&program));
    assert!(!read.contains("INTERP") && !read.contains("NEEDED"), "{read}");

    let root = root(&program);
    in_fresh(|| {
        let _names = Names::start();
        // Until the server listens, one name is not known.
        let scrape = wait_for(Duration::from_secs(60), "both names are found", || {
            let run = promdrop(root.path(), "run ping version");
            let files = ["ping", "version"].map(|stem| root.path().join(format!("textfile/{stem}.prom")));
            let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
            let series = Series::parse(&text);
            let known = series
                .get("ping_target_resolved", &[("target", "dns.example.net"), ("family", "any")])
                == Some(1.0);
            if run.status.success() && known { Ok(series) } else { Err((run, text)) }
        });
        for (target, address) in [("hosts.example.net", "127.0.0.2"), ("dns.example.net", "127.0.0.3")] {
            let labels = [("target", target), ("address", address), ("family", "ipv4")];
            assert_eq!(scrape.get("ping_loss_ratio", &labels), Some(0.0), "{target}");
        }
        assert_eq!(scrape.get("major_version", &[]), Some(0.0));
    });
    let test = promdrop(root.path(), "test version");
    let shown = String::from_utf8_lossy(&test.stdout);
    assert!(shown.contains("worker (uid 4711, gid 4712"), "{shown}");
}
