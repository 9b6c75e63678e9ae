//! A machine with systemd, promdrop's units and Debian's node_exporter.

use std::path::Path;
use std::time::Duration;

use super::doctor;
use super::host::{Case, LINES, each_is_found_and_mended};
use crate::support::machine::{Machine, with_promdrop};
use crate::support::server::package;
use crate::support::wait_for;

const PATIENCE: Duration = Duration::from_secs(90);

/// Runs every hour, so that nothing runs while it is looked at.
const NETSTAT: &str = "module: netstat\ninterval: 1h\n";
const PING: &str = "module: ping\ninterval: 1h\nping: {count: 1, targets: [127.0.0.1]}\n";

/// Functions for the lines of the cases: node_exporter with other options, a drop-in of a unit, and a tick of the timer.
const FUNCTIONS: &str = r#"
D=/var/lib/prometheus/node-exporter
listens() {
    for try in $(seq 200); do
        if ss -Hltn | grep -Eq ":$1 "; then return; fi
        sleep 0.05
    done
    return 1
}
again() {
    # So often in so short a time it would not be started.
    systemctl reset-failed prometheus-node-exporter
    systemctl restart prometheus-node-exporter
    listens '9[12]00'
}
ONLY="--collector.disable-defaults --collector.textfile"
told() { echo "ARGS=\"$ONLY $*\"" >/etc/default/prometheus-node-exporter; again; }
dropin() {
    mkdir -p /run/systemd/system/$1.d
    unit=$1
    shift
    { echo "[Service]"; printf '%s\n' "$@"; } >/run/systemd/system/$unit.d/test.conf
    systemctl daemon-reload
}
undo() {
    rm -f /run/systemd/system/$1.d/test.conf /etc/systemd/system/$1.d/zz-*
    systemctl daemon-reload
}
runs() {
    rm $D/netstat.prom
    systemctl start promdrop.service
    test -e $D/netstat.prom
}
"#;

fn healthy() -> Machine {
    let machine = Machine::boot(&["--private-network", &with_promdrop()]);
    machine.install(&package("bookworm", "prometheus-node-exporter"));
    for unit in ["promdrop.service", "promdrop.timer"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd").join(unit);
        machine.copy(&path, &format!("/etc/systemd/system/{unit}"));
    }
    machine.write("/etc/promdrop/collectors.d/netstat.yaml", NETSTAT);
    machine.write("/etc/promdrop/collectors.d/ping.yaml", PING);
    // A tick now and none for a year: the machine stands still while it is looked at.
    machine
        .write("/etc/systemd/system/promdrop.timer.d/test.conf", "[Timer]\nOnCalendar=\nOnCalendar=yearly\n");
    machine.write(LINES, FUNCTIONS);
    machine.sh("sysctl -q net.ipv4.ping_group_range='1 0'; systemctl daemon-reload; systemctl enable --now promdrop.timer");
    machine.sh("systemctl start promdrop.service");
    machine.sh(&format!(". {LINES}; told"));
    wait_for(PATIENCE, "the machine is healthy", || {
        let found = doctor(&machine, &[]);
        if found.amiss().is_empty() { Ok(()) } else { Err(found.0) }
    });
    machine
}

#[test]
fn what_is_broken_is_found_and_mended_on_a_machine_with_systemd() {
    let machine = healthy();
    let found = doctor(&machine, &[]);
    for (check, says) in [
        ("definitions", "2 collectors in /etc/promdrop/collectors.d"),
        ("directory", "/var/lib/prometheus/node-exporter, root:root 0755"),
        ("service", "promdrop.service may write"),
        ("icmp", "1 collector of module ping"),
        ("timer", "promdrop.timer is enabled and active, next at "),
        ("last-run", " ago"),
        ("node_exporter", "runs as prometheus, process "),
        ("version", "node_exporter 1.5.0"),
        ("textfile-directory", "node_exporter reads /var/lib/prometheus/node-exporter"),
        ("scrape", "http://127.0.0.1:9100/metrics answers"),
        ("foreign-files", "none"),
        ("served", "3 files with "),
    ] {
        let [verdict, message, cure] = found.check(check);
        assert!(verdict == "ok" && message.contains(says) && cure.is_empty(), "{check}: {:#}", found.0);
    }
    // Of two, the one that reads the directory counts.
    machine.sh(
        "systemd-run --quiet --unit=second prometheus-node-exporter --web.listen-address=127.0.0.1:9300 \
         --collector.textfile.directory=/srv",
    );
    let found = doctor(&machine, &[]);
    assert!(
        found.amiss().is_empty() && found.check("node_exporter")[1].ends_with("; 1 more"),
        "{:#}",
        found.0
    );
    machine.sh("systemctl stop second");
    each_is_found_and_mended(&machine, CASES);
    as_another_user(&machine);
    in_a_directory_of_its_own(&machine);
}

/// What can't be seen by an ordinary user is not called broken.
fn as_another_user(machine: &Machine) {
    machine.sh("chmod 0755 /var/lib/prometheus");
    let shown = machine.sh("setpriv --reuid=nobody --regid=nogroup --clear-groups promdrop doctor");
    assert!(shown.ends_with("0 failures, 0 warnings\n"), "{shown}");
    assert!(shown.contains("ok       served"), "{shown}");
}

/// Sandboxes that hide /tmp and /home, from promdrop and from node_exporter.
fn in_a_directory_of_its_own(machine: &Machine) {
    for (place, option) in [("/tmp/metrics", "PrivateTmp"), ("/home/metrics", "ProtectHome")] {
        machine.sh(&format!(
            ". {LINES}; mkdir {place}; echo PROMDROP_TEXTFILE_DIR={place} >/etc/default/promdrop; \
             told --collector.textfile.directory={place}; promdrop run netstat ping"
        ));
        let found = doctor(machine, &[]);
        let [verdict, message, cure] = found.check("service");
        assert_eq!(
            (verdict, message.contains(option), cure.contains(option)),
            ("failure", true, true),
            "{:#}",
            found.0
        );
        let unit = "prometheus-node-exporter.service";
        machine.sh(cure);
        machine.sh(&format!(". {LINES}; dropin {unit} {option}=yes; again"));
        let found = doctor(machine, &[]);
        let [verdict, message, cure] = found.check("textfile-directory");
        assert!(
            verdict == "failure" && message.contains(&format!("{option}=yes of {unit} hides it")),
            "{:#}",
            found.0
        );
        assert_eq!(found.check("service")[0], "ok", "{:#}", found.0);
        machine.sh(&format!(". {LINES}; D={place}; systemctl reset-failed; {cure}; listens 9100; runs"));
        let found = doctor(machine, &[]);
        // /tmp may be lost at boot.
        let amiss: Vec<&str> = found.amiss().into_iter().filter(|check| *check != "file-system").collect();
        assert_eq!(amiss, [""; 0], "{:#}", found.0);
        machine.sh(&format!(". {LINES}; undo {unit}; undo promdrop.service"));
    }
}

const CASES: &[Case] = &[
    Case {
        breaks: "printf 'module: netsta\n' >/etc/promdrop/collectors.d/x.yaml",
        check: "definitions",
        verdict: "failure",
        says: "x.yaml:1:9: there is no module `netsta`",
        cure: "did you mean `netstat`?",
        also: &[],
        mends: "rm /etc/promdrop/collectors.d/x.yaml",
    },
    Case {
        breaks: "chmod o+w /etc/promdrop/collectors.d/ping.yaml",
        check: "definitions",
        verdict: "failure",
        says: "ping.yaml can be changed by everyone",
        cure: "chmod go-w /etc/promdrop/collectors.d/ping.yaml",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "mv /etc/promdrop/collectors.d /etc/promdrop/gone",
        check: "definitions",
        verdict: "failure",
        says: "can't read the collectors directory",
        cure: "--collectors-dir or PROMDROP_COLLECTORS_DIR",
        also: &[],
        mends: "mv /etc/promdrop/gone /etc/promdrop/collectors.d",
    },
    Case {
        breaks: "sed -i 's/^module/enabled: false\\nmodule/' /etc/promdrop/collectors.d/*",
        check: "definitions",
        verdict: "warning",
        says: "every collector in /etc/promdrop/collectors.d is disabled",
        cure: "remove `enabled: false`",
        also: &[],
        mends: "sed -i '/^enabled/d' /etc/promdrop/collectors.d/*",
    },
    Case {
        breaks: "mv $D $D.gone",
        check: "directory",
        verdict: "failure",
        says: "the textfile directory does not exist",
        cure: "create it with mkdir",
        also: &["last-run"],
        mends: "mv $D.gone $D",
    },
    Case {
        breaks: "chmod o+w $D",
        check: "directory",
        verdict: "failure",
        says: "anyone can replace the files",
        cure: "chmod o-w /var/lib/prometheus/node-exporter",
        also: &["last-run"],
        mends: "CURE",
    },
    Case {
        breaks: "mount -t tmpfs -o mode=755 tmpfs $D; promdrop run netstat",
        check: "file-system",
        verdict: "warning",
        says: "tmpfs: the directory is lost at boot",
        cure: "/etc/tmpfiles.d/promdrop.conf",
        also: &[],
        mends: "cat >/run/cure <<'END'\nCURE\nEND\nsed 's/^make it at boot: //' /run/cure | sh",
    },
    Case {
        breaks: "mount -o remount,ro $D",
        check: "file-system",
        verdict: "failure",
        says: "tmpfs, mounted read-only",
        cure: "mount -o remount,rw /var/lib/prometheus/node-exporter",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "mount -o remount,size=1m $D; head -c 960k /dev/zero >$D/full",
        check: "file-system",
        verdict: "warning",
        says: "tmpfs, with only ",
        cure: "df",
        also: &[],
        mends: "rm $D/full",
    },
    Case {
        breaks: "mount -o remount,nr_inodes=20 $D; touch $(seq -f $D/%g 30) 2>/run/refused || true",
        check: "file-system",
        verdict: "failure",
        says: "tmpfs, with no inodes left",
        cure: "df -i",
        also: &[],
        mends: "rm -f $(seq -f $D/%g 30)",
    },
    Case {
        breaks: "mount -o remount,size=64k $D; cat /dev/zero >$D/full 2>/run/refused || true",
        check: "file-system",
        verdict: "failure",
        says: "tmpfs, with no space left",
        cure: "df",
        also: &[],
        mends: "umount -l $D; rm /etc/tmpfiles.d/promdrop.conf",
    },
    Case {
        breaks: "dropin promdrop.service ReadWritePaths=",
        check: "service",
        verdict: "failure",
        says: "may not write to /var/lib/prometheus/node-exporter: ProtectSystem=strict",
        cure: "ReadWritePaths=/var/lib/prometheus/node-exporter",
        also: &[],
        mends: "CURE; runs",
    },
    Case {
        // What is said of one place both ways is the stricter, whatever link it is named by.
        breaks: "undo promdrop.service; ln -s $D /srv/link; dropin promdrop.service ReadOnlyPaths=$D ReadWritePaths=/srv/link",
        check: "service",
        verdict: "failure",
        says: "may not write to /var/lib/prometheus/node-exporter: ReadOnlyPaths=",
        cure: "ReadOnlyPaths=",
        also: &[],
        mends: "CURE; runs",
    },
    Case {
        breaks: "dropin promdrop.service ExecStart=",
        check: "service",
        verdict: "failure",
        says: "systemd can't load promdrop.service: bad-setting",
        cure: "systemd-analyze verify promdrop.service",
        also: &[],
        mends: "undo promdrop.service",
    },
    Case {
        breaks: "dropin promdrop.service User=prometheus",
        check: "service",
        verdict: "failure",
        says: "runs as prometheus, who may not write to",
        cure: "chgrp prometheus /var/lib/prometheus/node-exporter && chmod g+rwx",
        also: &["icmp"],
        mends: "CURE",
    },
    Case {
        breaks: "true",
        check: "icmp",
        verdict: "failure",
        says: "promdrop.service may not open ICMP sockets",
        cure: "AmbientCapabilities=CAP_NET_RAW",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "undo promdrop.service; chgrp root $D; chmod 755 $D; chmod 0700 /var/lib/prometheus; chown prometheus /var/lib/prometheus",
        check: "service",
        verdict: "failure",
        says: "runs as root, who may not pass /var/lib/prometheus",
        cure: "CapabilityBoundingSet=CAP_DAC_OVERRIDE",
        also: &[],
        mends: "CURE; runs; undo promdrop.service; chmod 755 /var/lib/prometheus",
    },
    Case {
        breaks: "chown prometheus $D",
        check: "service",
        verdict: "failure",
        says: "runs as root, who may not write to",
        cure: "CapabilityBoundingSet=CAP_DAC_OVERRIDE",
        also: &[],
        mends: "CURE; runs",
    },
    Case {
        breaks: "chown root $D; rm /etc/systemd/system/promdrop.service.d/zz-*",
        check: "service",
        verdict: "warning",
        says: "systemd doesn't know it yet",
        cure: "systemctl daemon-reload",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "dropin promdrop.service Environment=PROMDROP_TEXTFILE_DIR=/srv",
        check: "service",
        verdict: "failure",
        says: "promdrop.service publishes to /srv",
        cure: "PROMDROP_TEXTFILE_DIR=/var/lib/prometheus/node-exporter in /etc/default/promdrop",
        also: &[],
        mends: "undo promdrop.service",
    },
    Case {
        breaks: "dropin promdrop.service CapabilityBoundingSet=",
        check: "icmp",
        verdict: "failure",
        says: "promdrop.service may not open ICMP sockets",
        cure: "CapabilityBoundingSet=CAP_NET_RAW",
        also: &[],
        mends: "sysctl -q net.ipv4.ping_group_range='0 0'",
    },
    Case {
        breaks: "undo promdrop.service; systemctl stop promdrop.timer",
        check: "timer",
        verdict: "failure",
        says: "promdrop.timer is inactive, and no cron line",
        cure: "systemctl enable --now promdrop.timer",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "systemctl -q disable promdrop.timer",
        check: "timer",
        verdict: "warning",
        says: "doesn't come back at boot",
        cure: "systemctl enable promdrop.timer",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "mv /etc/systemd/system/promdrop.timer /usr/lib/systemd/system; systemctl daemon-reload; systemctl -q mask --now promdrop.timer",
        check: "timer",
        verdict: "failure",
        says: "promdrop.timer is masked, and no cron line",
        cure: "systemctl unmask promdrop.timer && systemctl enable --now promdrop.timer",
        also: &[],
        mends: "CURE",
    },
    Case {
        breaks: "dropin promdrop.service ExecStart= 'ExecStart=/bin/sh -c \"exit 3\"'; systemctl start promdrop.service 2>/run/refused || true",
        check: "timer",
        verdict: "failure",
        says: "promdrop.timer is active, but promdrop.service failed: exit-code",
        cure: "journalctl -u promdrop.service",
        also: &[],
        mends: "undo promdrop.service; systemctl start promdrop.service",
    },
    Case {
        // Another unit may start it, by its own name.
        breaks: "systemctl -q disable --now promdrop.timer; mv /usr/lib/systemd/system/promdrop.timer /run; systemctl daemon-reload",
        check: "timer",
        verdict: "warning",
        says: "neither promdrop.timer nor a cron line starts promdrop, but something has, lately",
        cure: "install promdrop.service and promdrop.timer",
        also: &[],
        mends: "mv /run/promdrop.timer /etc/systemd/system; systemctl daemon-reload; systemctl -q enable --now promdrop.timer",
    },
    Case {
        breaks: "echo '* * * * * root promdrop run' >/etc/cron.d/x",
        check: "timer",
        verdict: "warning",
        says: "both promdrop.timer and /etc/cron.d/x:1 start promdrop",
        cure: "remove that line",
        also: &[],
        mends: "rm /etc/cron.d/x",
    },
    Case {
        breaks: "sed -i 's/last-success-ms: .*/last-success-ms: 1700000000000/' $D/promdrop.prom",
        check: "last-run",
        verdict: "failure",
        says: "a collector is due every 1h",
        cure: "promdrop run",
        also: &[],
        mends: "promdrop run netstat",
    },
    Case {
        breaks: "touch -d '+1 hour' $D/netstat.prom",
        check: "clock",
        verdict: "failure",
        says: "netstat.prom is of ",
        cure: "timedatectl status",
        also: &[],
        mends: "promdrop run netstat",
    },
    Case {
        breaks: "systemctl stop prometheus-node-exporter",
        check: "node_exporter",
        verdict: "failure",
        says: "no node_exporter runs on this host",
        cure: "systemctl start prometheus-node-exporter",
        also: &["scrape"],
        mends: "again",
    },
    Case {
        breaks: "mkdir /srv/other; told --collector.textfile.directory=/srv/other",
        check: "textfile-directory",
        verdict: "failure",
        says: "node_exporter reads /srv/other, and promdrop publishes to /var/lib/prometheus/node-exporter",
        cure: "PROMDROP_TEXTFILE_DIR=/srv/other in /etc/default/promdrop",
        also: &["served"],
        mends: "told --collector.textfile.directory=/var/lib/../lib/prometheus/node-exporter/",
    },
    Case {
        breaks: "told --collector.textfile.directory=",
        check: "textfile-directory",
        verdict: "failure",
        says: "node_exporter was told no directory to read",
        cure: "--collector.textfile.directory=/var/lib/prometheus/node-exporter",
        also: &["served"],
        mends: "told '--collector.textfile.directory=/var/lib/prometheus/node-*'",
    },
    Case {
        breaks: "ONLY= told --no-collector.textfile",
        check: "textfile-directory",
        verdict: "failure",
        says: "node_exporter's textfile collector is off",
        cure: "--collector.textfile",
        also: &["scrape", "served"],
        mends: "told",
    },
    Case {
        breaks: "dropin prometheus-node-exporter.service InaccessiblePaths=/var/lib/prometheus; again",
        check: "textfile-directory",
        verdict: "failure",
        says: "InaccessiblePaths=/var/lib/prometheus of prometheus-node-exporter.service hides it",
        cure: "InaccessiblePaths=",
        also: &["scrape", "served"],
        mends: "CURE; listens 9100",
    },
    Case {
        breaks: "chmod 0750 $D",
        check: "readable",
        verdict: "failure",
        says: "node_exporter's user prometheus can't read /var/lib/prometheus/node-exporter: that is root:root 0750",
        cure: "chmod o+rx /var/lib/prometheus/node-exporter",
        also: &["scrape", "served"],
        mends: "CURE",
    },
    Case {
        breaks: "chown root /var/lib/prometheus; chmod 0700 /var/lib/prometheus",
        check: "readable",
        verdict: "failure",
        says: "node_exporter's user prometheus can't pass /var/lib/prometheus",
        cure: "chmod g+x /var/lib/prometheus",
        also: &["scrape", "served"],
        mends: "CURE",
    },
    Case {
        breaks: "chmod 0600 $D/ping.prom",
        check: "readable",
        verdict: "failure",
        says: "node_exporter's user prometheus can't read ping.prom: mode 0600",
        cure: "chmod a+r /var/lib/prometheus/node-exporter/ping.prom",
        also: &["scrape", "served"],
        mends: "CURE",
    },
    Case {
        breaks: "told --web.listen-address=127.0.0.1:9200",
        check: "scrape",
        verdict: "warning",
        says: "node_exporter answers at http://127.0.0.1:9200/metrics, and promdrop asks elsewhere",
        cure: "PROMDROP_NODE_EXPORTER=http://127.0.0.1:9200/metrics in /etc/default/promdrop",
        also: &[],
        mends: "line='CURE'; echo \"${line% in *}\" >/etc/default/promdrop",
    },
    Case {
        // Where nobody has said otherwise another one answers, who has nothing of promdrop's.
        breaks: "rm /etc/default/promdrop; systemd-run --quiet --unit=second prometheus-node-exporter \
                 --web.listen-address=127.0.0.1:9100 --collector.textfile.directory=/srv; listens 9100",
        check: "scrape",
        verdict: "warning",
        says: "node_exporter answers at http://127.0.0.1:9200/metrics, and promdrop asks elsewhere",
        cure: "PROMDROP_NODE_EXPORTER=http://127.0.0.1:9200/metrics in /etc/default/promdrop",
        also: &[],
        mends: "systemctl stop second",
    },
    Case {
        breaks: "cat >/etc/web.yml <<'END'\nbasic_auth_users:\n  test: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay\nEND\n\
                 told --web.config.file=/etc/web.yml",
        check: "scrape",
        verdict: "warning",
        says: "it answers with status 401",
        cure: "promdrop speaks no https and knows no password",
        also: &[],
        mends: "told",
    },
    Case {
        breaks: "echo 'a_b{' >$D/other.prom",
        check: "foreign-files",
        verdict: "warning",
        says: "other.prom: label-syntax: ",
        cure: "promdrop lint /var/lib/prometheus/node-exporter",
        also: &["scrape"],
        mends: "rm $D/other.prom",
    },
    Case {
        breaks: "echo 'node_load1 1' >$D/other.prom",
        check: "foreign-files",
        verdict: "failure",
        says: "other.prom: reserved-name: ",
        cure: "choose another name",
        also: &[],
        mends: "rm $D/other.prom",
    },
    Case {
        breaks: "printf '# HELP ping_loss_ratio Theirs.\\n# TYPE ping_loss_ratio gauge\\nping_loss_ratio 7\\n' >$D/a.prom",
        check: "foreign-files",
        verdict: "failure",
        says: "a.prom:1",
        cure: "rename one of the two",
        also: &["served"],
        mends: "rm $D/a.prom",
    },
];
