//! Every script of Debian's package prometheus-node-exporter-collectors, unmodified: what `sponge` is used for there is
//! a collector of promdrop here.
//!
//! They run against the real tool where a test machine can have it, else against a stand-in that prints what the tool
//! does (tests/data/tools).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;

use nix::sys::inotify::{InitFlags, Inotify};

use super::scene::{EMPTY, Held, Scene, chronyd, devices, run};
use crate::support::host::Host;
use crate::support::mounts::{mount, mount_files};
use crate::support::names;
use crate::support::tools::unpacked;

/// Where the package has its scripts.
const SCRIPTS: &str = "/usr/share/prometheus-node-exporter-collectors";

/// One script on one machine.
struct Case {
    script: &'static str,
    /// What a shell runs, `SCRIPT` standing for the script; nothing for the script alone, without a shell.
    shell: &'static str,
    scene: Scene,
    outcome: Outcome,
}

enum Outcome {
    /// It publishes just these families, and these series among them.
    Serves { families: &'static str, series: &'static str },
    /// Nothing of it is published; result and reason.
    Refused { result: &'static str, reason: &'static str },
}
use Outcome::{Refused, Serves};

const CASE: Case = Case { script: "", shell: "", scene: EMPTY, outcome: Serves { families: "", series: "" } };

const CASES: &[Case] = &[
    Case {
        script: "apt_info.py",
        scene: Scene {
            // Images of containers lack what apt leaves when it fetches its lists.
            machine: |_| {
                if !Path::new("/var/lib/apt/lists/partial").exists() {
                    mount_files("/var/lib/apt/lists", &[("partial/.keep", "")]);
                }
                Box::new(())
            },
            ..EMPTY
        },
        outcome: Serves {
            families: "apt_autoremove_pending apt_package_cache_timestamp_seconds \
                apt_upgrades_held apt_upgrades_pending node_reboot_required",
            series: "node_reboot_required 0\n",
        },
        ..CASE
    },
    Case {
        script: "btrfs_stats.py",
        scene: Scene {
            machine: |host| {
                let (image, place) = (host.path("image"), host.path("btrfs"));
                fs::File::create(&image).unwrap().set_len(120 << 20).unwrap();
                fs::create_dir(&place).unwrap();
                run(Command::new("mkfs.btrfs").arg("--quiet").arg(&image));
                mount(&["-t", "btrfs", "-o", "loop", image.to_str().unwrap()], &place);
                Box::new(())
            },
            ..EMPTY
        },
        outcome: Serves {
            families: "node_btrfs_allocation_disk_size_bytes node_btrfs_allocation_disk_used_bytes \
                node_btrfs_allocation_pinned_bytes node_btrfs_allocation_reserved_bytes \
                node_btrfs_allocation_size_bytes node_btrfs_allocation_used_bytes \
                node_btrfs_errors_total",
            series: "",
        },
        ..CASE
    },
    Case {
        script: "chrony.py",
        scene: Scene { machine: chronyd, ..EMPTY },
        outcome: Serves {
            families: "chrony_tracking_last_offset_seconds chrony_tracking_reference_info \
                chrony_tracking_root_dispersion_seconds chrony_tracking_stratum \
                chrony_tracking_system_offset_seconds",
            series: "chrony_tracking_reference_info{ref_id=\"7F7F0101\",ref_host=\"\"} 1\n\
                     chrony_tracking_stratum 7\n",
        },
        ..CASE
    },
    Case {
        // In a view of few processes: the script fails if one ends while it looks at it.
        script: "deleted_libraries.py",
        shell: "exec unshare --mount --pid --fork --mount-proc sh -c '\
                mkdir /dev/shm/lib && head -c 4096 /dev/zero >/dev/shm/lib/old.so && \
                python3 -c \"import mmap, os; file = open(\\\"/dev/shm/lib/old.so\\\"); \
                memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); os.unlink(file.name); \
                os.system(\\\"SCRIPT\\\")\"'",
        scene: Scene {
            machine: |_| {
                mount_files("/dev/shm", &[]);
                Box::new(())
            },
            ..EMPTY
        },
        outcome: Serves {
            families: "node_processes_linking_deleted_libraries",
            series: "node_processes_linking_deleted_libraries{library_path=\"/dev/shm/lib\",library_name=\"old.so\"} 1\n",
        },
    },
    Case {
        script: "directory-size.sh",
        shell: "SCRIPT '/etc/a \"quoted\" name'",
        scene: Scene {
            files: |tools| {
                tools.file("/etc/a \"quoted\" name/file", 0o644, "some text");
            },
            ..EMPTY
        },
        outcome: Serves {
            families: "node_directory_size_bytes",
            series: "", // How many blocks that takes is the file system's affair.
        },
    },
    Case {
        script: "fstab-check.sh",
        scene: Scene {
            files: |tools| {
                tools.file(
                    "/etc/fstab",
                    0o644,
                    "# comment\nnone /proc proc defaults 0 0\n/dev/sdz1 /srv/none ext4 defaults 0 2\n",
                );
            },
            ..EMPTY
        },
        outcome: Serves {
            families: "node_fstab_mount_status",
            series: "node_fstab_mount_status{mountpoint=\"/proc\"} 1\n\
                     node_fstab_mount_status{mountpoint=\"/srv/none\"} 0\n",
        },
        ..CASE
    },
    Case {
        script: "inotify-instances",
        scene: Scene { machine: |_| Box::new(Inotify::init(InitFlags::IN_CLOEXEC).unwrap()), ..EMPTY },
        outcome: Serves { families: "inotify_instances", series: "" },
        ..CASE
    },
    Case {
        script: "ipmitool",
        shell: "ipmitool sensor | SCRIPT",
        scene: Scene { stand_ins: &["/usr/bin/ipmitool"], ..EMPTY },
        outcome: Serves {
            families: "node_ipmi_power_watts node_ipmi_speed_rpm node_ipmi_status \
                node_ipmi_temperature_celsius node_ipmi_volts",
            series: "node_ipmi_power_watts{sensor=\"PSU1 Power In\"} 168\n\
                     node_ipmi_speed_rpm{sensor=\"FAN2\"} 400\n\
                     node_ipmi_status{sensor=\"Chassis Intru\"} 1\n\
                     node_ipmi_temperature_celsius{sensor=\"CPU1 Temp\"} 46\n\
                     node_ipmi_volts{sensor=\"12V\"} 12.063\n",
        },
    },
    Case {
        script: "lvm-prom-collector",
        shell: "SCRIPT -g -p -s -t",
        scene: Scene { stand_ins: &["/usr/sbin/pvs", "/usr/sbin/lvs", "/usr/sbin/vgs"], ..EMPTY },
        outcome: Serves {
            families: "node_lvm_snapshots_allocated node_lvm_thin_pools_allocated \
                node_physical_volume_free node_physical_volume_size node_volume_group_free \
                node_volume_group_size",
            series: "node_volume_group_free{name=\"vg0\"} 16106127360\n\
                     node_volume_group_size{name=\"vg0\"} 53682896896\n\
                     node_lvm_thin_pools_allocated{uuid=\"Jx5dVh-8wCq-Ea2N-m7To-Zr4K-Bi0S-gYl9Pu\",vgroup=\"vg0\"} 37.02\n",
        },
    },
    Case {
        script: "md_info.sh",
        scene: Scene { machine: raid, ..EMPTY },
        outcome: Serves { families: "node_md_disk_info node_md_info", series: MD_DISKS },
        ..CASE
    },
    Case {
        script: "md_info_detail.sh",
        scene: Scene { stand_ins: &["/usr/sbin/mdadm"], machine: raid, ..EMPTY },
        outcome: Serves {
            families: "node_md_disk_info node_md_info node_md_info_ActiveDevices \
                node_md_info_ArraySize node_md_info_Events node_md_info_FailedDevices \
                node_md_info_RaidDevices node_md_info_SpareDevices \
                node_md_info_TotalDevices node_md_info_UsedDevSize \
                node_md_info_WorkingDevices",
            series: MD_DISKS,
        },
        ..CASE
    },
    Case {
        script: "mellanox_hca_temp",
        scene: Scene {
            stand_ins: &["/usr/bin/mget_temp_ext"],
            machine: |_| {
                mount_files("/sys/class", &[("infiniband/mlx5_0/node_guid", "0c42:a103:0065:8f7a\n")]);
                Box::new(())
            },
            ..EMPTY
        },
        outcome: Serves {
            families: "node_infiniband_hca_temp_celsius",
            series: "node_infiniband_hca_temp_celsius{device=\"mlx5_0\"} 57\n",
        },
        ..CASE
    },
    Case {
        script: "multipathd_info",
        scene: Scene { stand_ins: &["/usr/sbin/multipathd"], ..EMPTY },
        outcome: Serves {
            families: "node_dmpath_info",
            series: "node_dmpath_info{device=\"sda\",dm_path_state=\"active\",path_state=\"ready\"} 1\n\
                     node_dmpath_info{device=\"sdb\",dm_path_state=\"failed\",path_state=\"faulty\"} 1\n",
        },
        ..CASE
    },
    Case {
        // Where there is /etc/os-release, it leaves it all to node_exporter and prints nothing.
        script: "node_os_info.sh",
        outcome: Refused { result: "output", reason: "no sample" },
        ..CASE
    },
    Case {
        // On a system without, which it is for, it prints what is node_exporter's own.
        script: "node_os_info.sh",
        scene: Scene {
            files: |tools| {
                tools.hide("/etc/os-release").hide("/usr/lib/os-release");
                let ubuntu = "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=12.04\nDISTRIB_CODENAME=precise\n\
                              DISTRIB_DESCRIPTION=\"Ubuntu 12.04 LTS\"\n";
                tools.file("/etc/lsb-release", 0o644, ubuntu);
            },
            ..EMPTY
        },
        outcome: Refused { result: "output", reason: "`node_os_info` is node_exporter's own name" },
        ..CASE
    },
    Case {
        script: "ntpd_metrics.py",
        scene: Scene { stand_ins: &["/usr/bin/ntpq"], ..EMPTY },
        outcome: Serves {
            families: "ntpd_delay_milliseconds ntpd_jitter_milliseconds ntpd_offset \
                ntpd_offset_milliseconds ntpd_peer_status ntpd_rootdelay ntpd_rootdisp \
                ntpd_sys_jitter",
            series: "ntpd_offset -0.31\n\
                     ntpd_delay_milliseconds{remote=\"192.0.2.11\",reference=\"198.51.100.2\"} 5.733\n",
        },
        ..CASE
    },
    Case {
        // The real jq.
        script: "nvme_metrics.sh",
        scene: Scene { stand_ins: &["/usr/sbin/nvme"], ..EMPTY },
        outcome: Serves {
            families: "nvme_available_spare_ratio nvme_available_spare_threshold_ratio \
                nvme_controller_busy_time_seconds nvme_critical_warning_total \
                nvme_data_units_read_total nvme_data_units_written_total \
                nvme_host_read_commands_total nvme_host_write_commands_total \
                nvme_media_errors_total nvme_num_err_log_entries_total nvme_nvmecli \
                nvme_percentage_used_ratio nvme_power_cycles_total \
                nvme_power_on_hours_total nvme_temperature_celsius",
            series: "nvme_temperature_celsius{device=\"nvme0n1\"} 41\n\
                     nvme_percentage_used_ratio{device=\"nvme0n1\"} 0.03\n\
                     nvme_nvmecli{version=\"2.3\"} 1\n",
        },
        ..CASE
    },
    Case {
        script: "pacman.sh",
        scene: Scene { stand_ins: &["/usr/bin/checkupdates"], ..EMPTY },
        outcome: Serves {
            families: "pacman_updates_pending pacman_updates_pending_from_cache",
            series: "pacman_updates_pending 3\npacman_updates_pending_from_cache 0\n",
        },
        ..CASE
    },
    Case {
        script: "smartmon.py",
        scene: Scene { stand_ins: &["/usr/sbin/smartctl"], ..EMPTY },
        outcome: Serves {
            families: "smartmon_attr_raw_value smartmon_attr_threshold smartmon_attr_value \
                smartmon_attr_worst smartmon_device_active smartmon_device_errors \
                smartmon_device_info smartmon_device_smart_available \
                smartmon_device_smart_enabled smartmon_device_smart_healthy \
                smartmon_smartctl_run smartmon_smartctl_version",
            series: "smartmon_device_smart_healthy{device=\"/dev/sda\",disk=\"0\"} 1\n\
                     smartmon_attr_raw_value{name=\"power_on_hours\",device=\"/dev/sda\",disk=\"0\"} 25987\n",
        },
        ..CASE
    },
    Case {
        script: "smartmon.sh",
        scene: Scene { stand_ins: &["/usr/sbin/smartctl"], ..EMPTY },
        outcome: Serves {
            families: SMARTMON_SH,
            series: "smartmon_device_smart_healthy{disk=\"/dev/sda\",type=\"sat\"} 1\n\
                     smartmon_power_on_hours_raw_value{disk=\"/dev/sda\",type=\"sat\",smart_id=\"9\"} 25987\n\
                     smartmon_reallocated_sector_ct_threshold{disk=\"/dev/sda\",type=\"sat\",smart_id=\"5\"} 10\n",
        },
        ..CASE
    },
    Case {
        script: "storcli.py",
        shell: "SCRIPT --storcli_path /usr/sbin/storcli64",
        scene: Scene { stand_ins: &["/usr/sbin/storcli64"], ..EMPTY },
        outcome: Serves {
            families: "megaraid_battery_backup_healthy megaraid_controller_info \
                megaraid_cv_temperature megaraid_degraded megaraid_drive_groups \
                megaraid_failed megaraid_healthy megaraid_pd_commissioned_spare \
                megaraid_pd_device_speed_gbps megaraid_pd_emergency_spare megaraid_pd_info \
                megaraid_pd_link_speed_gbps megaraid_pd_media_errors \
                megaraid_pd_other_errors megaraid_pd_predictive_errors \
                megaraid_pd_shield_counter megaraid_pd_smart_alerted \
                megaraid_physical_drives megaraid_ports megaraid_scheduled_patrol_read \
                megaraid_temperature megaraid_time_difference megaraid_vd_info \
                megaraid_virtual_drives",
            series: "megaraid_pd_media_errors{controller=\"0\",enclosure=\"252\",slot=\"0\"} 3\n\
                     megaraid_time_difference{controller=\"0\"} 6\n",
        },
    },
    Case {
        // It writes text where Python 3 wants bytes, so that it fails before it has any answer from tw_cli.
        script: "tw_cli.py",
        scene: Scene { stand_ins: &["/usr/sbin/tw_cli"], ..EMPTY },
        outcome: Refused { result: "exit", reason: "a bytes-like object is required, not 'str'" },
        ..CASE
    },
    Case {
        script: "yum.sh",
        scene: Scene { stand_ins: &["/usr/bin/yum"], ..EMPTY },
        outcome: Serves {
            families: "yum_upgrades_pending",
            series: "yum_upgrades_pending{origin=\"baseos\"} 2\nyum_upgrades_pending{origin=\"appstream\"} 1\n",
        },
        ..CASE
    },
];

const SMARTMON_SH: &str = "\
    smartmon_airflow_temperature_cel_raw_value smartmon_airflow_temperature_cel_threshold \
    smartmon_airflow_temperature_cel_value smartmon_airflow_temperature_cel_worst \
    smartmon_current_pending_sector_raw_value smartmon_current_pending_sector_threshold \
    smartmon_current_pending_sector_value smartmon_current_pending_sector_worst smartmon_device_active \
    smartmon_device_info smartmon_device_smart_available smartmon_device_smart_enabled \
    smartmon_device_smart_healthy smartmon_power_cycle_count_raw_value \
    smartmon_power_cycle_count_threshold smartmon_power_cycle_count_value \
    smartmon_power_cycle_count_worst smartmon_power_on_hours_raw_value \
    smartmon_power_on_hours_threshold smartmon_power_on_hours_value smartmon_power_on_hours_worst \
    smartmon_raw_read_error_rate_raw_value smartmon_raw_read_error_rate_threshold \
    smartmon_raw_read_error_rate_value smartmon_raw_read_error_rate_worst \
    smartmon_reallocated_sector_ct_raw_value smartmon_reallocated_sector_ct_threshold \
    smartmon_reallocated_sector_ct_value smartmon_reallocated_sector_ct_worst smartmon_smartctl_run \
    smartmon_smartctl_version smartmon_spin_up_time_raw_value smartmon_spin_up_time_threshold \
    smartmon_spin_up_time_value smartmon_spin_up_time_worst smartmon_start_stop_count_raw_value \
    smartmon_start_stop_count_threshold smartmon_start_stop_count_value \
    smartmon_start_stop_count_worst smartmon_temperature_celsius_raw_value \
    smartmon_temperature_celsius_threshold smartmon_temperature_celsius_value \
    smartmon_temperature_celsius_worst smartmon_udma_crc_error_count_raw_value \
    smartmon_udma_crc_error_count_threshold smartmon_udma_crc_error_count_value \
    smartmon_udma_crc_error_count_worst";

const MD_DISKS: &str = "node_md_disk_info{disk_device=\"sdb1\",md_device=\"md127\"} 1\n\
                        node_md_disk_info{disk_device=\"sdc1\",md_device=\"md127\"} 1\n";

#[test]
fn every_script_of_debian_runs_unmodified() {
    let there: BTreeSet<String> = names(&unpacked().join(&SCRIPTS[1..])).into_iter().collect();
    let tested: BTreeSet<String> = CASES.iter().map(|case| case.script.to_owned()).collect();
    assert_eq!(there, tested, "the package's scripts, and those tested here");
    // All of them, so that one run tells everything.
    let failed: Vec<_> = CASES.iter().filter(|case| catch_unwind(|| case.run()).is_err()).collect();
    assert!(failed.is_empty(), "{:?}", failed.iter().map(|case| case.script).collect::<Vec<_>>());
}

impl Case {
    fn run(&self) {
        let script = format!("{SCRIPTS}/{}", self.script);
        let command = match self.shell {
            "" => format!("argv: [{script}]"),
            shell => format!("shell: |\n    {}", shell.replace("SCRIPT", &script)),
        };
        let played =
            self.scene.play("script", &format!("module: command\ntimeout: 1m\ncommand:\n  {command}\n"));
        match self.outcome {
            Serves { families, series } => {
                played.assert_serves(families, series);
                assert_eq!(played.said, "", "of a run that succeeds, nothing is to be said");
            }
            Refused { result, reason } => {
                assert_eq!((played.status, played.families()), (1, String::new()), "{}", played.said);
                let labels = [("collector", "script"), ("result", result)];
                assert_eq!(played.published.value("promdrop_collector_runs_total", &labels), 1.0);
                assert!(played.said.contains(reason), "{:?} lacks {reason:?}", played.said);
            }
        }
    }
}

/// A mirror of two disks, as /dev and /sys show it.
fn raid(_: &Host) -> Held {
    const MD: &str = "/sys/devices/virtual/block/md127/md";
    mount_files(
        "/sys/devices/virtual/block",
        &[
            ("md127/md/layout", "0\n"),
            ("md127/md/level", "raid1\n"),
            ("md127/md/metadata_version", "1.2\n"),
            ("md127/md/raid_disks", "2\n"),
            ("md127/md/rd0/state", "in_sync\n"),
            ("md127/md/rd1/state", "faulty\n"),
            ("sdb1/size", "0\n"),
            ("sdc1/size", "0\n"),
        ],
    );
    for (slot, disk) in [("rd0", "sdb1"), ("rd1", "sdc1")] {
        symlink(format!("../../../{disk}"), format!("{MD}/{slot}/block")).unwrap();
    }
    devices(&["md127", "md/data"]);
    fs::remove_file("/dev/md/data").unwrap();
    symlink("../md127", "/dev/md/data").unwrap();
    symlink("/proc/self/fd", "/dev/fd").unwrap();
    Box::new(())
}
