//! promdrop in the sandbox of its unit, made of the unit file itself without systemd: a mount namespace, the capability
//! bounding set, no_new_privs and the umask are real; system calls, socket families and memory are compared with what
//! strace sees of a real run.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::super::scene::{postfix, postfix_files};
use super::trace::Trace;
use super::unit::Unit;
use super::{install_collectors, shipped};
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::mounts::{in_private, mount_tmpfs};
use crate::support::netns::in_fresh;
use crate::support::tcp::every_state;
use crate::support::tools::Tools;
use crate::support::{need, processes};

/// What [`Sandbox`] makes of the unit.
const MADE: [&str; 14] = [
    "CapabilityBoundingSet",
    "ExecStart",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateTmp",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadWritePaths",
    "SuccessExitStatus",
    "UMask",
];

/// What is compared with the trace of a real run.
const TRACED: [&str; 7] = [
    "MemoryDenyWriteExecute",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallErrorNumber",
    "SystemCallFilter",
];

/// What follows from the others here (a capability or a system call that is not there), or is no part of the sandbox.
const ELSE: [&str; 12] = [
    "KillMode",
    "LockPersonality",
    "LogLevelMax",
    "OOMPolicy",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "SyslogLevel",
    "SystemCallArchitectures",
    "TimeoutStartSec",
    "TimeoutStopSec",
];

/// Makes the namespace and runs what it is given in it. What the unit hides is put aside first: promdrop, the
/// definitions and strace's report. Nothing of it outlives the namespace.
const SCRIPT: &str = r##"
set -eu
mount -t tmpfs -o mode=755 tmpfs /mnt
touch /mnt/promdrop
mount --bind "$PROGRAM" /mnt/promdrop
cp -r "$COLLECTORS" /mnt/collectors.d
touch /mnt/report
mount --bind "$REPORT" /mnt/report
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p "$WRITABLE"
mount --bind "$TEXTFILE" "$WRITABLE"
if [ "$PROTECT_SYSTEM" = strict ]; then
    findmnt --raw --noheadings --output TARGET | while read -r target; do
        case $target in
            /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /mnt/report) ;;
            *) ! mountpoint --quiet "$target" || mount -o remount,bind,ro "$target" ;;
        esac
    done
    mount -o remount,bind,rw "$WRITABLE"
fi
if [ "$PRIVATE_DEVICES" = yes ]; then
    mount -t tmpfs -o mode=755 tmpfs /srv
    for device in null zero full random urandom tty; do
        touch "/srv/$device"
        mount --bind "/dev/$device" "/srv/$device"
    done
    ln -s /proc/self/fd /srv/fd
    mount --rbind /srv /dev
fi
if [ "$PRIVATE_TMP" = yes ]; then
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    mount -t tmpfs -o mode=1777 tmpfs /var/tmp
fi
if [ "$PROTECT_HOME" = yes ]; then
    for home in /home /root /run/user; do
        [ ! -d "$home" ] || mount -t tmpfs -o ro,mode=000 tmpfs "$home"
    done
fi
mount -t proc -o "$PROC_OPTIONS" proc /proc
if [ "$PROTECT_SYS" = yes ]; then
    mount -o remount,bind,ro /sys
    [ ! -d /proc/sys ] || mount -o bind,ro /proc/sys /proc/sys
fi
umask "$UMASK"
cd /
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PROMDROP_COLLECTORS_DIR=/mnt/collectors.d \
    PROMDROP_NODE_EXPORTER="$NODE_EXPORTER" $ENVIRONMENT setpriv --inh-caps=-all --ambient-caps=-all --bounding-set="$CAPABILITIES" \
    $NO_NEW_PRIVS -- "$@"
"##;

/// A host whose promdrop runs as a unit says.
struct Sandbox<'a> {
    unit: &'a Unit,
    host: &'a Host,
    /// Where node_exporter is.
    node_exporter: String,
}

impl<'a> Sandbox<'a> {
    fn of(unit: &'a Unit, host: &'a Host) -> Self {
        Self { unit, host, node_exporter: "http://127.0.0.1:9/metrics".into() }
    }

    fn run(&self) -> Output {
        self.start(&["/mnt/promdrop", "run"])
    }

    /// As [`run`](Self::run), and what strace saw of it.
    fn trace(&self) -> (Output, Trace) {
        need("strace");
        let strace = ["strace", "--follow-forks", "--string-limit=0", "--output=/mnt/report"];
        let output = self.start(&[&strace[..], &["/mnt/promdrop", "run"]].concat());
        (output, Trace::read(&self.report()))
    }

    /// What `program` prints in the same place.
    fn ask(&self, program: &[&str]) -> String {
        let output = self.start(program);
        assert!(output.status.success(), "{program:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(&self, program: &[&str]) -> Output {
        for program in ["unshare", "findmnt", "setpriv"] {
            need(program);
        }
        fs::write(self.report(), "").unwrap();
        let unit = self.unit;
        assert_eq!(unit.get("ExecStart"), Some("/usr/bin/promdrop run"));
        let writable = unit.get("ReadWritePaths").unwrap();
        let on = |key: &str| if unit.is_on(key) { "yes" } else { "no" };
        let capabilities: String = unit
            .words("CapabilityBoundingSet")
            .iter()
            .map(|name| format!(",+{}", name.strip_prefix("CAP_").unwrap().to_lowercase()))
            .collect();
        let hidden = match unit.get("ProtectProc") {
            None | Some("default") => "off",
            Some(word) => word,
        };
        let subset = if unit.get("ProcSubset") == Some("pid") { ",subset=pid" } else { "" };
        let output = Command::new("unshare")
            .args(["--mount", "--propagation=private", "sh", "-c", SCRIPT, "sh"])
            .args(program)
            .env("PROGRAM", env!("CARGO_BIN_EXE_promdrop"))
            .env("COLLECTORS", self.host.collectors_dir())
            .env("REPORT", self.report())
            .env("TEXTFILE", self.host.textfile_dir())
            .env("WRITABLE", writable.trim_start_matches('-'))
            .env("ENVIRONMENT", unit.get("Environment").unwrap_or(""))
            .env("NODE_EXPORTER", &self.node_exporter)
            .env("PROTECT_SYSTEM", unit.get("ProtectSystem").unwrap())
            .env("PROTECT_HOME", on("ProtectHome"))
            .env("PROTECT_SYS", on("ProtectKernelTunables"))
            .env("PRIVATE_DEVICES", on("PrivateDevices"))
            .env("PRIVATE_TMP", on("PrivateTmp"))
            .env("PROC_OPTIONS", format!("hidepid={hidden}{subset}"))
            .env("UMASK", unit.get("UMask").unwrap())
            .env("CAPABILITIES", format!("-all{capabilities}"))
            .env("NO_NEW_PRIVS", if unit.is_on("NoNewPrivileges") { "--no-new-privs" } else { "" })
            .output()
            .unwrap();
        assert!(output.status.code().is_some_and(|code| code <= 1), "{}: {}", output.status, text(&output));
        output
    }

    fn report(&self) -> PathBuf {
        self.host.path("strace")
    }
}

/// Whatever was printed.
fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn every_line_of_the_unit_is_known_here() {
    let known = [&MADE[..], &TRACED, &ELSE, &["Type"]].concat();
    for unit in [Unit::tight(), Unit::for_commands(), Unit::for_netns()] {
        let unknown: Vec<&str> = unit.keys().into_iter().filter(|key| !known.contains(key)).collect();
        assert_eq!(unknown, [""; 0], "say here what becomes of it");
    }
    assert!(fs::read_to_string(shipped("systemd/promdrop.service")).unwrap().contains("\nType=oneshot\n"));
}

#[test]
fn the_sandbox_is_as_tight_as_the_unit_says() {
    let (tight, host) = (Unit::tight(), Host::new());
    let sandbox = Sandbox::of(&tight, &host);
    let status = sandbox.ask(&["cat", "/proc/self/status"]);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
    };
    // CAP_NET_RAW is the 13th (linux/capability.h).
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(set), format!("{:016x}", 1 << 13), "{set}");
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Umask").as_str()), ("1", "0077"));
    let script = "for at in / /etc /usr /var /var/lib /tmp /sys /proc/sys/kernel/hostname \
                  /var/lib/prometheus/node-exporter; do [ ! -w $at ] || echo $at; done; \
                  for at in /dev/sda /dev/kmsg; do [ ! -e $at ] || echo $at; done; ! ls /root 2>/dev/null";
    assert_eq!(sandbox.ask(&["sh", "-c", script]), "/tmp\n/var/lib/prometheus/node-exporter\n");
}

#[test]
fn the_native_modules_and_promdrop_itself_need_no_more() {
    in_fresh(|| {
        let (tight, host) = (Unit::tight(), Host::new());
        install_collectors(&host.collectors_dir());
        // Names are resolved, IPv6 is spoken, and node_exporter asked, since a family bears an optional name.
        host.collector("names", "module: ping\nping: {count: 1, targets: [localhost, '::1']}\n").collector(
            "optional",
            "module: command\n\
             command: {argv: [echo, 'node_tcp_connection_states{state=\"x\"} 1']}\n",
        );
        let exporter = Exporter::start_textfile_only("1.9.0", &host.textfile_dir());
        let node_exporter = format!("http://127.0.0.1:{}/metrics", exporter.port());
        let sandbox = Sandbox { node_exporter, ..Sandbox::of(&tight, &host) };

        let output = sandbox.run();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        let served = exporter.scrape();
        for stem in ["netstat", "ping", "names", "optional"] {
            assert_eq!(served.value("promdrop_collector_success", &[("collector", stem)]), 1.0, "{stem}");
        }
        assert_eq!(served.value("node_textfile_scrape_error", &[]), 0.0);
        assert_eq!(
            served.value(
                "ping_loss_ratio",
                &[("target", "127.0.0.1"), ("address", "127.0.0.1"), ("family", "ipv4")]
            ),
            0.0
        );

        for stem in ["netstat", "ping", "names", "optional"] {
            fs::remove_file(host.textfile_dir().join(format!("{stem}.prom"))).unwrap();
        }
        let (output, trace) = sandbox.trace();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        let names = trace.names();
        println!("{} system calls: {names:?}", names.len());
        // The supervisor, netlink and ping, node_exporter, publishing.
        for call in ["capset", "sendto", "connect", "renameat"] {
            assert!(names.contains(call), "no {call} was traced: {names:?}");
        }
        assert_let_through(&tight, &trace);
        drop(exporter);
        processes::await_none(Duration::from_secs(20));
    });
}

#[test]
fn a_command_counts_the_hosts_sockets_and_processes_in_it() {
    in_fresh(|| {
        let host = Host::new();
        let example =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d/examples/netstat-wait-command.yaml");
        fs::copy(example, host.collectors_dir().join("waits.yaml")).unwrap();
        let held = every_state();
        let waits = ["fin_wait1", "fin_wait2", "time_wait", "close_wait"];
        let expected = held.expected.iter().filter(|((_, state), _)| waits.contains(&state.as_str()));
        let expected: u32 = expected.map(|(_, count)| *count).sum();
        let mut sleep = Command::new("sleep").arg("1000").uid(65534).spawn().unwrap();
        let shell = format!("'ps -e -o pid= | grep -cw {}'", sleep.id());
        command_of(
            &host,
            "processes",
            "",
            &format!("{{shell: {shell}, output: {{format: value, name: found}}}}"),
        );

        let tight = Unit::tight();
        let output = Sandbox::of(&tight, &host).run();
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        assert_eq!(host.published("processes").value("found", &[]), 1.0);
        let counted = host.published("waits").value("count_netstat_wait_connections", &[]);
        assert!(expected > 0);
        assert_eq!(counted, f64::from(expected));
    });
}

/// A collector that runs a command as nobody.
fn as_nobody(host: &Host, stem: &str, command: &str) {
    command_of(host, stem, "user: nobody", command);
}

fn command_of(host: &Host, stem: &str, user: &str, command: &str) {
    host.collector(stem, &format!("module: command\n{user}\ntimeout: 2s\ncommand: {command}\n"));
}

#[test]
fn a_command_of_another_user_needs_the_drop_in_and_says_so() {
    in_fresh(|| {
        let host = Host::new();
        as_nobody(&host, "user", "{shell: id -u, output: {format: value, name: uid}}");
        let run = |unit: &Unit| {
            let output = Sandbox::of(unit, &host).run();
            (output.status.code(), text(&output))
        };
        let said = "promdrop: user: spawn: can't become user id 65534: Operation not permitted; promdrop lacks the \
                    capability, see its unit\n";
        assert_eq!(run(&Unit::tight()), (Some(1), said.to_owned()));
        let counted = [("collector", "user"), ("result", "spawn")];
        assert_eq!(host.published("user").value("promdrop_collector_runs_total", &counted), 1.0);

        fs::remove_file(host.textfile_dir().join("user.prom")).unwrap();
        let unit = Unit::for_commands();
        let (output, trace) = Sandbox::of(&unit, &host).trace();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        assert_eq!(host.published("user").value("uid", &[]), 65534.0);
        assert!(trace.names().contains("setresuid"), "{trace:?}");
        assert_let_through(&unit, &trace);
    });
}

#[test]
fn the_examples_take_what_their_comments_say() {
    in_fresh(|| {
        let host = Host::new();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d/examples");
        let users = ["bash-script", "python-script", "reboot-required"];
        let stems = [&users[..], &["directory-size"]].concat();
        for stem in &stems {
            let file = format!("{stem}.yaml");
            fs::copy(examples.join(&file), host.collectors_dir().join(&file)).unwrap();
        }
        let success =
            |stem: &str| host.published(stem).value("promdrop_collector_success", &[("collector", stem)]);
        let output = Sandbox::of(&Unit::tight(), &host).run();
        assert_eq!(output.status.code(), Some(1));
        for stem in users {
            assert_eq!(success(stem), 0.0, "{stem}");
        }

        for stem in &stems {
            fs::remove_file(host.textfile_dir().join(format!("{stem}.prom"))).unwrap();
        }
        let unit = Unit::for_commands();
        let (output, trace) = Sandbox::of(&unit, &host).trace();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        for stem in stems {
            assert_eq!(success(stem), 1.0, "{stem}");
        }
        // Of directory-size, which needs no other user.
        assert!(
            trace.names().contains("setpriority") && !Unit::tight().system_calls().contains("setpriority")
        );
        assert_let_through(&unit, &trace);
    });
}

#[test]
fn the_example_of_postqueue_needs_the_drop_in_to_become_another_group() {
    let tools = Tools::new();
    postfix_files(&tools);
    tools.within(|| {
        let host = Host::new();
        let _held = postfix(&host);
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d/examples/postfix-queue.yaml");
        fs::copy(example, host.collectors_dir().join("mail.yaml")).unwrap();
        let output = Sandbox::of(&Unit::for_commands().without("NoNewPrivileges"), &host).run();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("promdrop: mail: exit: "), "{}", text(&output));

        fs::remove_file(host.textfile_dir().join("mail.prom")).unwrap();
        let output = Sandbox::of(&Unit::for_commands(), &host).run();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        assert_eq!(host.published("mail").value("postfix_queue_messages", &[("queue", "deferred")]), 2.0);
    });
}

#[test]
fn limits_and_files_of_another_user_need_the_drop_in_too() {
    in_fresh(|| {
        let host = Host::new();
        let limited = "{shell: nice, nice: 5, rlimits: {memory: 1GiB, cpu: 5s, open_files: 64, processes: 5000}, \
                       output: {format: value, name: niceness}}";
        as_nobody(&host, "limits", limited);
        let file =
            "{paths: [/proc/uptime], output: {format: table, header: false, name: host_uptime, value: '1'}}";
        host.collector("file", &format!("module: file\nuser: nobody\nfile: {file}\n"));
        let tight = Sandbox::of(&Unit::tight(), &host).run();
        let said = text(&tight);
        assert!(said.contains("promdrop: file: spawn: can't become user id 65534: "), "{said}");
        assert!(said.contains("promdrop: limits: spawn: "), "{said}");

        for name in ["limits.prom", "file.prom"] {
            fs::remove_file(host.textfile_dir().join(name)).unwrap();
        }
        let unit = Unit::for_commands();
        let (output, trace) = Sandbox::of(&unit, &host).trace();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        assert_eq!(host.published("limits").value("niceness", &[]), 5.0);
        assert!(host.published("file").value("host_uptime", &[]) > 0.0);
        assert_let_through(&unit, &trace);
    });
}

#[test]
fn what_a_command_of_roots_leaves_behind_is_found_and_ended() {
    is_found_and_ended(Unit::tight(), "");
}

#[test]
fn what_another_users_command_leaves_behind_is_found_and_ended_with_the_drop_in() {
    is_found_and_ended(Unit::for_commands(), "user: nobody");
}

fn is_found_and_ended(unit: Unit, user: &'static str) {
    in_fresh(move || {
        let host = Host::new();
        // One that hangs, and one that leaves a process of another session.
        command_of(&host, "hangs", user, "{argv: [sleep, '1000']}");
        let leaves = "{shell: 'setsid sleep 1000 & echo 1', output: {format: value, name: left}}";
        command_of(&host, "leaves", user, leaves);
        let output = Sandbox::of(&unit, &host).run();
        let text = text(&output);
        assert!(text.contains("promdrop: hangs: timeout: it did not end within 2s"), "{text}");
        assert!(text.contains("promdrop: leaves: ended 1 process that it left behind"), "{text}");
        assert_eq!(output.status.code(), Some(1));
        processes::await_none(Duration::from_secs(20));
    });
}

#[test]
fn a_program_with_file_capabilities_needs_what_the_drop_in_says() {
    need("fping");
    in_fresh(|| {
        let host = Host::new();
        as_nobody(
            &host,
            "fping",
            "{shell: 'fping -c1 -q 127.0.0.1 2>/dev/null; echo $?', output: {format: value, name: status}}",
        );
        let status = |unit: &Unit| {
            let _ = fs::remove_file(host.textfile_dir().join("fping.prom"));
            let output = Sandbox::of(unit, &host).run();
            assert!(output.status.success(), "{}", text(&output));
            host.published("fping").value("status", &[])
        };
        assert_eq!(status(&Unit::for_commands()), 0.0);
        assert_ne!(status(&Unit::for_commands().without("NoNewPrivileges")), 0.0);
    });
}

#[test]
fn another_directory_takes_what_the_manual_says() {
    in_fresh(|| {
        let host = Host::new();
        install_collectors(&host.collectors_dir());
        chown(host.textfile_dir(), Some(65534), Some(65534)).unwrap();
        let elsewhere = "/var/lib/node_exporter";
        let unit = || {
            let variable = format!("PROMDROP_TEXTFILE_DIR={elsewhere}");
            Unit::tight().with("Environment", &variable).with("ReadWritePaths", elsewhere)
        };
        let output = Sandbox::of(&unit(), &host).run();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output).contains("/var/lib/node_exporter: can't create a file in it: permission denied"),
            "{}",
            text(&output)
        );

        let output = Sandbox::of(&unit().with("CapabilityBoundingSet", "CAP_DAC_OVERRIDE"), &host).run();
        assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
        assert_eq!(
            host.published("netstat").value("promdrop_collector_success", &[("collector", "netstat")]),
            1.0
        );
    });
}

#[test]
fn another_network_namespace_takes_its_drop_in() {
    in_private(|| {
        mount_tmpfs("mode=0755", Path::new("/run"));
        need("ip");
        assert!(Command::new("ip").args(["netns", "add", "web"]).status().unwrap().success());
        in_fresh(|| {
            let host = Host::new();
            host.collector("web", "module: netstat\nnetstat: {netns: web, counters: true}\n");
            let output = Sandbox::of(&Unit::tight(), &host).run();
            assert_eq!(output.status.code(), Some(1));
            let cure = "that takes CAP_SYS_ADMIN, and of a unit RestrictNamespaces=net";
            assert!(text(&output).contains(cure), "{}", text(&output));

            // What the manual says of commands. CAP_NET_RAW is the 13th, CAP_SYS_ADMIN the 21st (linux/capability.h).
            let unit = Unit::for_netns();
            let shell = "set -- $(grep ^CapEff /proc/self/status); printf %d 0x$2";
            command_of(
                &host,
                "mine",
                "",
                &format!("{{shell: '{shell}', output: {{format: value, name: mine}}}}"),
            );
            fs::remove_file(host.textfile_dir().join("web.prom")).unwrap();
            let (output, trace) = Sandbox::of(&unit, &host).trace();
            assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
            let listening = [("family", "ipv4"), ("state", "listen"), ("netns", "web")];
            assert_eq!(host.published("web").value("netstat_tcp_connections", &listening), 0.0);
            assert_eq!(host.published("mine").value("mine", &[]), f64::from(1 << 13 | 1 << 21));
            assert_let_through(&unit, &trace);
        });
    });
}

/// That `unit` lets through all that was traced.
#[track_caller]
fn assert_let_through(unit: &Unit, trace: &Trace) {
    let allowed = unit.system_calls();
    assert!(allowed.contains("read") && !allowed.contains("mount"), "{allowed:?}");
    let denied: Vec<&str> = trace.names().into_iter().filter(|call| !allowed.contains(*call)).collect();
    assert_eq!(denied, [""; 0], "system calls that SystemCallFilter denies");

    let families = unit.words("RestrictAddressFamilies");
    let family = |call: &&str| !families.contains(call.split(',').next().unwrap());
    assert_eq!(
        trace.calls(&["socket", "socketpair"]).find(family),
        None,
        "RestrictAddressFamilies denies it"
    );

    if unit.is_on("MemoryDenyWriteExecute") {
        let both = |call: &&str| call.contains("PROT_WRITE") && call.contains("PROT_EXEC");
        assert_eq!(trace.calls(&["mmap"]).find(both), None);
        assert_eq!(trace.calls(&["mprotect", "pkey_mprotect"]).find(|call| call.contains("PROT_EXEC")), None);
    }
    // systemd allows a type where it is named, not to leave it open. strace may tell the end of a call elsewhere.
    let has_net = unit.get("RestrictNamespaces") == Some("net");
    let is_allowed = |call: &str| {
        has_net && [", CLONE_NEWNET)", ", CLONE_NEWNET <unfinished"].iter().any(|end| call.contains(end))
    };
    let is_namespace = |call: &&str| call.contains("CLONE_NEW") && !is_allowed(call);
    assert_eq!(trace.calls(&["clone", "clone3", "unshare", "setns"]).find(is_namespace), None);
    assert_eq!(trace.calls(&["setns"]).find(|call| !call.contains("CLONE_NEW")), None);
    let is_set_id = |call: &&str| call.contains("S_ISUID") || call.contains("S_ISGID");
    assert_eq!(trace.calls(&["chmod", "fchmod", "fchmodat", "openat", "mkdirat"]).find(is_set_id), None);
    assert_eq!(trace.calls(&["sched_setscheduler"]).next(), None, "RestrictRealtime");
}
