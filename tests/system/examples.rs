//! Each collector that the project ships, run as it stands there and served by every supported node_exporter.
//!
//! Against the real tool where a test machine can have it, else against a stand-in that prints what the tool does
//! (tests/data/tools).

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::scene::{EMPTY, Scene, certificate, chronyd, devices, listeners, nginx, postfix, postfix_files};
use crate::support::mounts::mount_files;
use crate::support::names;
use crate::support::series::Series;

/// One collector on one machine.
struct Example {
    /// Its file without `.yaml`.
    name: &'static str,
    scene: Scene,
    /// All its families.
    families: &'static str,
    /// Series among them of which it is known what they are.
    series: &'static str,
    /// Whether promdrop has nothing to say.
    quiet: bool,
    /// What else must hold.
    plausible: fn(&Series),
}

const EXAMPLE: Example =
    Example { name: "", scene: EMPTY, families: "", series: "", quiet: true, plausible: |_| {} };

/// Those that are installed to be run, in collectors.d itself.
const INSTALLED: &[Example] = &[
    Example {
        name: "netstat",
        families: "count_netstat_wait_connections netstat_tcp_connections",
        series: "netstat_tcp_connections{family=\"ipv4\",state=\"listen\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "ping",
        families: PING,
        series: "ping_loss_ratio{target=\"127.0.0.1\",address=\"127.0.0.1\",family=\"ipv4\"} 0\n",
        ..EXAMPLE
    },
];

const PING: &str = "ping_icmp_errors_total ping_loss_ratio ping_packets_duplicate_total ping_packets_late_total \
                    ping_packets_out_of_order_total ping_packets_received_total ping_packets_sent_total \
                    ping_reply_hop_limit ping_rtt_jitter_seconds ping_rtt_max_seconds ping_rtt_mean_seconds \
                    ping_rtt_min_seconds ping_rtt_seconds_bucket ping_rtt_seconds_count ping_rtt_seconds_sum \
                    ping_rtt_stddev_seconds ping_send_errors_total ping_target_resolved";

/// Those to be copied, in collectors.d/examples.
const EXAMPLES: &[Example] = &[
    Example {
        name: "apt-upgrades",
        families: "apt_upgradable_packages apt_upgradable_security_packages",
        plausible: |series| {
            let apt = Command::new("apt").env("LC_ALL", "C").args(["list", "--upgradable"]).output().unwrap();
            let upgradable = String::from_utf8(apt.stdout).unwrap();
            let upgradable: Vec<&str> = upgradable.lines().filter(|line| line.ends_with(']')).collect();
            let security = upgradable.iter().filter(|line| line.contains("-security")).count();
            assert_eq!(series.value("apt_upgradable_packages", &[]), upgradable.len() as f64);
            assert_eq!(series.value("apt_upgradable_security_packages", &[]), security as f64);
        },
        ..EXAMPLE
    },
    Example {
        name: "bash-script",
        families: "host_processes",
        plausible: |series| assert!(series.value("host_processes", &[("user", "root")]) >= 1.0),
        ..EXAMPLE
    },
    Example {
        name: "certificate-expiry",
        scene: Scene {
            files: |tools| {
                tools.file("/etc/letsencrypt/live/README", 0o644, "");
            },
            machine: certificate,
            ..EMPTY
        },
        families: "tls_certificate_expiry_timestamp_seconds",
        plausible: |series| {
            let file = "/etc/letsencrypt/live/www.example.net/cert.pem";
            let end = series.value("tls_certificate_expiry_timestamp_seconds", &[("file", file)]);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            let days = (end - now) / 86400.0;
            assert!((29.9..=30.0).contains(&days), "{days}");
        },
        ..EXAMPLE
    },
    Example {
        name: "chrony",
        scene: Scene { machine: chronyd, ..EMPTY },
        families: "chrony_frequency_ratio chrony_leap_status chrony_offset_seconds chrony_rms_offset_seconds \
                   chrony_root_delay_seconds chrony_root_dispersion_seconds chrony_stratum",
        series: "chrony_stratum 7\nchrony_root_delay_seconds 0\nchrony_offset_seconds 0\n\
                 chrony_leap_status{state=\"normal\"} 1\nchrony_leap_status{state=\"unsynchronised\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "directory-size",
        scene: Scene {
            machine: |_| {
                mount_files("/var/log", &[("journal/some", TEXT), ("syslog", TEXT)]);
                mount_files("/var/cache", &[("apt/some", TEXT)]);
                Box::new(())
            },
            ..EMPTY
        },
        families: "directory_size_bytes",
        // In whole pages, of which a directory on tmpfs takes none.
        series: "directory_size_bytes{directory=\"/var/log\"} 16384\n\
                 directory_size_bytes{directory=\"/var/cache\"} 8192\n",
        ..EXAMPLE
    },
    Example {
        name: "docker-containers",
        scene: Scene { stand_ins: &["/usr/bin/docker"], ..EMPTY },
        families: "docker_containers docker_unhealthy_containers",
        series: "docker_containers{state=\"running\"} 2\ndocker_containers{state=\"exited\"} 1\n\
                 docker_containers{state=\"restarting\"} 0\ndocker_containers{state=\"other\"} 0\n\
                 docker_unhealthy_containers 0\n",
        ..EXAMPLE
    },
    Example {
        name: "ipmi-sensors",
        scene: Scene { stand_ins: &["/usr/bin/ipmitool"], ..EMPTY },
        families: "ipmi_fan_rpm ipmi_power_watts ipmi_sensor_severity ipmi_temperature_celsius ipmi_volts",
        series: "ipmi_fan_rpm{sensor=\"FAN1\"} 5600\nipmi_power_watts{sensor=\"PSU1 Power In\"} 168\n\
                 ipmi_temperature_celsius{sensor=\"Inlet Temp\"} 23\nipmi_volts{sensor=\"12V\"} 12.063\n\
                 ipmi_sensor_severity{sensor=\"FAN2\"} 2\nipmi_sensor_severity{sensor=\"CPU1 Temp\"} 0\n",
        ..EXAMPLE
    },
    // Two sensors of one name, of which one is too hot.
    Example {
        name: "ipmi-sensors",
        scene: Scene { stand_ins: &["/usr/bin/ipmitool"], outputs: "worse", ..EMPTY },
        families: "ipmi_fan_rpm ipmi_power_watts ipmi_sensor_severity ipmi_temperature_celsius ipmi_volts",
        series: "ipmi_temperature_celsius{sensor=\"Temp\"} 94\nipmi_sensor_severity{sensor=\"Temp\"} 1\n\
                 ipmi_fan_rpm{sensor=\"Fan1\"} 5040\nipmi_sensor_severity{sensor=\"Fan1\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "mdadm",
        scene: Scene { stand_ins: &["/usr/sbin/mdadm"], ..EMPTY },
        families: "mdadm_degraded mdadm_devices mdadm_events_total",
        series: "mdadm_degraded{device=\"/dev/md0\"} 1\nmdadm_events_total{device=\"/dev/md0\"} 459\n\
                 mdadm_devices{device=\"/dev/md0\",state=\"active\"} 1\n\
                 mdadm_devices{device=\"/dev/md0\",state=\"failed\"} 1\n\
                 mdadm_devices{device=\"/dev/md0\",state=\"spare\"} 0\n",
        ..EXAMPLE
    },
    // Lost, and of a kind that counts no events.
    Example {
        name: "mdadm",
        scene: Scene { stand_ins: &["/usr/sbin/mdadm"], outputs: "worse", ..EMPTY },
        families: "mdadm_degraded mdadm_devices",
        series: "mdadm_degraded{device=\"/dev/md0\"} 1\n\
                 mdadm_devices{device=\"/dev/md0\",state=\"active\"} 1\n",
        ..EXAMPLE
    },
    Example {
        name: "meminfo",
        families: "host_memory_available_bytes host_memory_dirty_bytes",
        plausible: |series| {
            let available = series.value("host_memory_available_bytes", &[]);
            assert!(available > 1e7 && available % 1024.0 == 0.0, "{available}");
        },
        ..EXAMPLE
    },
    Example {
        name: "nagios-disk",
        families: "nagios_disk_bytes nagios_disk_critical_high_bytes nagios_disk_max_bytes \
                   nagios_disk_min_bytes nagios_disk_state nagios_disk_warning_high_bytes",
        plausible: |series| {
            let states = ["ok", "warning", "critical", "unknown"];
            let is = states.map(|state| series.value("nagios_disk_state", &[("state", state)]));
            assert_eq!(is.iter().sum::<f64>(), 1.0, "{is:?}");
        },
        ..EXAMPLE
    },
    Example {
        name: "nagios-load",
        families: "nagios_load_critical_high_value nagios_load_min_value nagios_load_state \
                   nagios_load_value nagios_load_warning_high_value",
        plausible: |series| assert_eq!(series.value("nagios_load_state", &[("state", "unknown")]), 0.0),
        ..EXAMPLE
    },
    Example {
        name: "netstat-wait-command",
        families: "count_netstat_wait_connections",
        series: "count_netstat_wait_connections 0\n",
        ..EXAMPLE
    },
    Example {
        name: "netstat-ports",
        scene: Scene { machine: listeners, ..EMPTY },
        families: "netstat_tcp_fast_retransmissions_total netstat_tcp_listen_drops_total \
                   netstat_tcp_listen_overflows_total netstat_tcp_listen_queue_connections \
                   netstat_tcp_listen_queue_fill_ratio netstat_tcp_listen_queue_limit_connections \
                   netstat_tcp_listen_sockets netstat_tcp_local_port_connections \
                   netstat_tcp_lost_retransmissions_total netstat_tcp_remote_port_connections \
                   netstat_tcp_retransmitted_segments_total netstat_tcp_sent_segments_total \
                   netstat_tcp_slow_start_retransmissions_total netstat_tcp_syn_retransmissions_total \
                   netstat_tcp_timeouts_total",
        series: "netstat_tcp_local_port_connections{port=\"443\",family=\"ipv4\",state=\"listen\"} 1\n\
                 netstat_tcp_local_port_connections{port=\"8000-8100\",family=\"ipv4\",state=\"listen\"} 1\n\
                 netstat_tcp_local_port_connections{port=\"8000-8100\",family=\"ipv6\",state=\"listen\"} 1\n\
                 netstat_tcp_remote_port_connections{port=\"5432\",family=\"ipv4\",state=\"established\"} 0\n\
                 netstat_tcp_listen_sockets{listener=\"443\"} 1\n\
                 netstat_tcp_listen_sockets{listener=\"8080\"} 2\n\
                 netstat_tcp_listen_queue_connections{listener=\"443\"} 1\n\
                 netstat_tcp_listen_queue_limit_connections{listener=\"443\"} 9\n\
                 netstat_tcp_listen_queue_fill_ratio{listener=\"443\"} 0.1\n\
                 netstat_tcp_listen_overflows_total 0\n",
        ..EXAMPLE
    },
    Example {
        name: "nginx",
        scene: Scene { machine: nginx, ..EMPTY },
        families: "nginx_connections nginx_connections_accepted_total nginx_connections_handled_total \
                   nginx_requests_total",
        // Its own request is the only one.
        series: "nginx_requests_total 1\nnginx_connections{state=\"writing\"} 1\n\
                 nginx_connections{state=\"reading\"} 0\nnginx_connections{state=\"waiting\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "nvme",
        scene: Scene { stand_ins: &["/usr/sbin/nvme"], ..EMPTY },
        families: "nvme_critical_warning nvme_media_errors_total nvme_power_on_seconds_total \
                   nvme_read_bytes_total nvme_spare_ratio nvme_spare_threshold_ratio nvme_temperature_kelvin \
                   nvme_unsafe_shutdowns_total nvme_used_ratio nvme_written_bytes_total",
        series: "nvme_temperature_kelvin{device=\"/dev/nvme0\"} 314\nnvme_used_ratio{device=\"/dev/nvme0\"} 0.03\n\
                 nvme_read_bytes_total{device=\"/dev/nvme0\"} 4201646592000\n\
                 nvme_power_on_seconds_total{device=\"/dev/nvme0\"} 21974400\n",
        ..EXAMPLE
    },
    Example {
        name: "ping-targets",
        // Nothing answers where no packet leaves the machine.
        families: "ping_icmp_errors_total ping_loss_ratio ping_packets_duplicate_total ping_packets_late_total \
                   ping_packets_out_of_order_total ping_packets_received_total ping_packets_sent_total \
                   ping_rtt_seconds_bucket ping_rtt_seconds_count ping_rtt_seconds_sum ping_send_errors_total \
                   ping_target_resolved",
        series: "ping_loss_ratio{target=\"192.0.2.1\",address=\"192.0.2.1\",family=\"ipv4\",team=\"network\"} 1\n",
        quiet: false,
        ..EXAMPLE
    },
    Example {
        name: "ping-voice",
        // No route leads out of the namespace, and no name server is there.
        families: "ping_target_resolved",
        series: "ping_target_resolved{target=\"default-gateway\",family=\"any\"} 0\n",
        quiet: false,
        ..EXAMPLE
    },
    Example {
        name: "postfix-queue",
        scene: Scene { files: postfix_files, machine: postfix, ..EMPTY },
        families: "postfix_queue_messages postfix_queue_oldest_timestamp_seconds postfix_queue_size_bytes",
        series: "postfix_queue_messages{queue=\"deferred\"} 2\npostfix_queue_messages{queue=\"active\"} 0\n\
                 postfix_queue_messages{queue=\"hold\"} 0\npostfix_queue_messages{queue=\"maildrop\"} 0\n",
        plausible: |series| {
            assert!((300.0..2000.0).contains(&series.value("postfix_queue_size_bytes", &[])));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            let age = now - series.value("postfix_queue_oldest_timestamp_seconds", &[]);
            assert!((0.0..60.0).contains(&age), "{age}");
        },
        ..EXAMPLE
    },
    Example {
        name: "python-client",
        families: "host_file_locks",
        plausible: |series| {
            for kind in ["POSIX", "FLOCK", "OFDLCK", "LEASE"] {
                let locks = series.value("host_file_locks", &[("kind", kind)]);
                // promdrop itself holds one of its directory while the collector runs.
                assert!(locks >= f64::from(kind == "OFDLCK"), "{kind}: {locks}");
            }
        },
        ..EXAMPLE
    },
    Example {
        name: "python-script",
        families: "host_threads",
        plausible: |series| {
            let threads = |state| series.value("host_threads", &[("state", state)]);
            assert!(threads("runnable") >= 1.0 && threads("any") > threads("runnable"));
        },
        ..EXAMPLE
    },
    Example {
        name: "reboot-required",
        scene: Scene {
            machine: |_| {
                mount_files("/run", &[("reboot-required", "*** System restart required ***\n")]);
                Box::new(())
            },
            ..EMPTY
        },
        families: "host_reboot_required",
        series: "host_reboot_required 1\n",
        ..EXAMPLE
    },
    Example {
        name: "service-memory",
        scene: Scene {
            machine: |_| {
                let files = [
                    ("system.slice/cron.service/memory.current", "1159168\n"),
                    ("system.slice/ssh.service/memory.current", "5873664\n"),
                ];
                mount_files("/sys/fs/cgroup", &files);
                Box::new(())
            },
            ..EMPTY
        },
        families: "service_memory_bytes",
        series: "service_memory_bytes{service=\"cron\"} 1159168\nservice_memory_bytes{service=\"ssh\"} 5873664\n",
        ..EXAMPLE
    },
    Example {
        name: "smartctl",
        scene: DISKS,
        families: "smartctl_exit_status smartctl_healthy smartctl_power_cycles_total \
                   smartctl_power_on_seconds_total smartctl_temperature_celsius",
        series: "smartctl_exit_status{device=\"/dev/sda\"} 0\nsmartctl_exit_status{device=\"/dev/nvme0\"} 8\n\
                 smartctl_healthy{device=\"/dev/sda\",model=\"EX4000NM0001-1AB107\"} 1\n\
                 smartctl_healthy{device=\"/dev/nvme0\",model=\"Example NVMe 1TB\"} 0\n\
                 smartctl_temperature_celsius{device=\"/dev/sda\"} 34\n\
                 smartctl_power_on_seconds_total{device=\"/dev/sda\"} 93553200\n\
                 smartctl_power_cycles_total{device=\"/dev/sdaa\"} 39\n",
        ..EXAMPLE
    },
    // A disk that sleeps says no more than that it was asked.
    Example {
        name: "smartctl",
        scene: SLEEPING_DISK,
        families: "smartctl_exit_status",
        series: "smartctl_exit_status{device=\"/dev/sda\"} 0\n",
        ..EXAMPLE
    },
    Example {
        name: "smartctl-attributes",
        scene: DISKS,
        families: "smartctl_attribute_raw",
        series: "smartctl_attribute_raw{device=\"/dev/sda\",id=\"5\",attribute=\"Reallocated_Sector_Ct\"} 8\n\
                 smartctl_attribute_raw{device=\"/dev/sda\",id=\"194\",attribute=\"Temperature_Celsius\"} 34\n",
        ..EXAMPLE
    },
    Example { name: "smartctl-attributes", scene: SLEEPING_DISK, ..EXAMPLE },
    Example {
        name: "systemd-failed",
        scene: Scene { stand_ins: &["/usr/bin/systemctl"], ..EMPTY },
        families: "systemd_failed_units systemd_unit_failed",
        series: "systemd_failed_units 2\nsystemd_unit_failed{unit=\"srv-data.mount\"} 1\n",
        ..EXAMPLE
    },
    Example {
        name: "systemd-restarts",
        scene: Scene { stand_ins: &["/usr/bin/systemctl"], ..EMPTY },
        families: "systemd_service_active systemd_service_restarts_total",
        series: "systemd_service_active{unit=\"ssh.service\"} 1\n\
                 systemd_service_restarts_total{unit=\"ssh.service\"} 0\n\
                 systemd_service_restarts_total{unit=\"postgresql.service\"} 3\n",
        ..EXAMPLE
    },
    Example {
        name: "zpool",
        scene: Scene { stand_ins: &["/usr/sbin/zpool"], ..EMPTY },
        families: "zpool_allocated_bytes zpool_dedup_ratio zpool_fragmentation_ratio zpool_free_bytes \
                   zpool_health zpool_size_bytes",
        series: "zpool_size_bytes{pool=\"rpool\"} 214748364800\nzpool_fragmentation_ratio{pool=\"rpool\"} 0.12\n\
                 zpool_dedup_ratio{pool=\"backup\"} 1.25\nzpool_health{pool=\"rpool\",state=\"ONLINE\"} 1\n\
                 zpool_health{pool=\"backup\",state=\"DEGRADED\"} 1\nzpool_health{pool=\"backup\",state=\"ONLINE\"} 0\n",
        ..EXAMPLE
    },
    // Of a pool that can't be opened there is only its health.
    Example {
        name: "zpool",
        scene: Scene { stand_ins: &["/usr/sbin/zpool"], outputs: "worse", ..EMPTY },
        families: "zpool_allocated_bytes zpool_dedup_ratio zpool_fragmentation_ratio zpool_free_bytes \
                   zpool_health zpool_size_bytes",
        series: "zpool_size_bytes{pool=\"rpool\"} 214748364800\nzpool_health{pool=\"rpool\",state=\"ONLINE\"} 1\n\
                 zpool_health{pool=\"backup\",state=\"FAULTED\"} 1\nzpool_health{pool=\"backup\",state=\"ONLINE\"} 0\n",
        ..EXAMPLE
    },
];

const DISKS: Scene = Scene {
    stand_ins: &["/usr/sbin/smartctl"],
    machine: |_| {
        devices(&["sda", "sda1", "sdaa", "nvme0", "nvme0n1"]);
        Box::new(())
    },
    ..EMPTY
};

const SLEEPING_DISK: Scene = Scene {
    stand_ins: &["/usr/sbin/smartctl"],
    outputs: "worse",
    machine: |_| {
        devices(&["sda"]);
        Box::new(())
    },
    ..EMPTY
};

/// More than one page, and less than two.
const TEXT: &str = match std::str::from_utf8(&[b'x'; 5000]) {
    Ok(text) => text,
    Err(_) => "",
};

#[test]
fn each_shipped_collector_succeeds_and_is_served() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d");
    // All of them, so that one run tells everything.
    let mut failed = Vec::new();
    for (directory, examples) in [(shipped.clone(), INSTALLED), (shipped.join("examples"), EXAMPLES)] {
        let there: BTreeSet<String> =
            names(&directory).into_iter().filter(|name| name.contains('.')).collect();
        let tested: BTreeSet<String> =
            examples.iter().map(|example| format!("{}.yaml", example.name)).collect();
        assert_eq!(there, tested, "what {} holds, and what is tested", directory.display());
        for example in examples {
            if catch_unwind(|| example.run(&directory)).is_err() {
                failed.push(example.name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

impl Example {
    fn run(&self, directory: &Path) {
        let yaml = fs::read_to_string(directory.join(format!("{}.yaml", self.name))).unwrap();
        let played = self.scene.play(self.name, &yaml);
        played.assert_serves(self.families, self.series);
        assert_eq!(played.said.is_empty(), self.quiet, "{}", played.said);
        (self.plausible)(&played.published);
    }
}
