//! A fleet in miniature: twenty hosts that the Puppet module rolls promdrop out to, one Prometheus, and beside them the
//! same numbers by way of one Pushgateway. What a host's death and the gateway's take away, and what stays.

use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::{FACTER, with_packaging};
use crate::support::machine::{Machine, with_promdrop};
use crate::support::netns::{Namespace, in_fresh};
use crate::support::prometheus::Prometheus;
use crate::support::pushgateway::{Pushgateway, curl};
use crate::support::server::part;
use crate::support::tools::unpacked;
use crate::support::{need, the_machine};

const HOSTS: u8 = 20;
/// Scrapes of all of them, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// The address of what looks after the fleet.
const CENTRE: [u8; 4] = [10, 77, 0, 254];
const APPLIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/rollout/applies.rb");

/// What each host is to have; the number is its own.
const MANIFEST: &str = "\
class { 'promdrop':
  install    => 'none',
  collectors => {
    'netstat' => { 'module' => 'netstat', 'interval' => '15s' },
    'ping'    => {
      'module'   => 'ping',
      'interval' => '15s',
      'ping'     => { 'count' => 2, 'spacing' => '20ms', 'targets' => ['10.77.0.254'] },
    },
    'rack'    => {
      'module'   => 'command',
      'interval' => '15s',
      'command'  => { 'argv' => ['cat', '/etc/rack'], 'output' => { 'format' => 'value', 'name' => 'pd_rack' } },
    },
  },
}
";

/// A host: no systemd, so the module has cron start promdrop.
struct Host {
    machine: Machine,
    /// node_exporter and cron.
    daemons: Vec<Child>,
}

impl Host {
    /// Puts one on the network, with a number of its own and a node_exporter.
    fn start(number: u8, centre: &Namespace) -> Self {
        let exporter = part("bookworm", "prometheus-node-exporter");
        let machine = Machine::without_systemd(&[
            "--private-network",
            &with_promdrop(),
            &format!("--bind-ro={}:/usr/bin/prometheus-node-exporter", exporter.display()),
            &with_packaging(),
            &format!("--bind-ro={}:{0}", unpacked().display()),
        ]);
        machine.write("/etc/facter/facter.conf", FACTER).write("/etc/rack", &format!("{}\n", rack(number)));
        let port = format!("host{number}");
        centre.cable(&port, &machine.network(), "eth0");
        centre.ip(&[&format!("link set {port} master fleet")]);
        machine.network().ip(&[&format!("addr add 10.77.0.{number}/24 dev eth0")]);
        Self { machine, daemons: Vec::new() }
    }

    /// Starts `program` in there.
    fn daemon(&mut self, program: &str, arguments: &[&str]) {
        let mut command = self.machine.command(program);
        self.daemons
            .push(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Starts node_exporter, a few of its collectors, and cron; the first numbers don't wait for its minute.
    fn go(&mut self) {
        self.daemon(
            "prometheus-node-exporter",
            &[
                "--collector.disable-defaults",
                "--collector.textfile",
                "--collector.loadavg",
                "--collector.uname",
            ],
        );
        self.daemon("cron", &["-f"]);
        self.machine.sh("promdrop run");
    }

    /// As a cron job pushes them, the numbers that promdrop has published.
    fn push(&self, number: u8, gateway: &Pushgateway) {
        let url = format!("http://{}/metrics/job/pushed/instance/host{number}", gateway.address());
        let curl = curl();
        let library = curl.get_envs().find_map(|(_, value)| value).unwrap().to_str().unwrap().to_owned();
        self.machine.sh(&format!(
            "cd /var/lib/prometheus/node-exporter; grep --no-filename --extended-regexp '^(pd_|count_|ping_)' *.prom | \
             LD_LIBRARY_PATH={library} {} --silent --show-error --fail --data-binary @- {url}",
            curl.get_program().to_str().unwrap(),
        ));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// A host's own number.
fn rack(number: u8) -> f64 {
    f64::from(number) * 100.0 + 1.0
}

/// Does something for all hosts, two at a time, as this machine has processors.
fn for_all(hosts: &mut BTreeMap<u8, Host>, each: impl Fn(u8, &mut Host) + Sync) {
    let mut hosts: Vec<_> = hosts.iter_mut().collect();
    let half = hosts.len() / 2;
    let (first, second) = hosts.split_at_mut(half);
    let each =
        |some: &mut [(&u8, &mut Host)]| some.iter_mut().for_each(|(number, host)| each(**number, host));
    thread::scope(|scope| {
        scope.spawn(|| each(first));
        each(second);
    });
}

/// Applies the module to all, and sees that each got it.
fn roll_out(hosts: &BTreeMap<u8, Host>) {
    need("puppet");
    let leaders = hosts.values().map(|host| host.machine.leader().to_string());
    let mut puppet = Command::new("ruby");
    let Output { status, stdout, stderr } = puppet.args([APPLIES, MANIFEST]).args(leaders).output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{status}: {said}{}", String::from_utf8_lossy(&stderr));
    for host in hosts.values() {
        // 2: changes, and no failure.
        let done = format!("{} 2", host.machine.leader());
        assert!(said.lines().any(|line| line == done), "{done}: {said}");
    }
}

/// One Prometheus that scrapes all of them, and the gateway.
fn prometheus(gateway: &Pushgateway) -> Prometheus {
    let mut text = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    text += &format!(
        "- {{job_name: gateway, honor_labels: true, static_configs: [{{targets: ['{}']}}]}}\n\
         - job_name: fleet\n  static_configs:\n",
        gateway.address()
    );
    for number in 1..=HOSTS {
        text += &format!("  - {{targets: ['10.77.0.{number}:9100'], labels: {{instance: host{number}}}}}\n");
    }
    Prometheus::start_with(&text)
}

/// The racks that Prometheus knows of `job` now, by host.
fn racks(prometheus: &Prometheus, job: &str) -> BTreeMap<String, f64> {
    let points = prometheus.query(&format!("pd_rack{{job='{job}'}}"));
    points.iter().map(|point| (point.label("instance").to_owned(), point.value)).collect()
}

/// The one value of `expression`, 0 where there is none.
fn number(prometheus: &Prometheus, expression: &str) -> f64 {
    prometheus.query(expression).first().map_or(0.0, |point| point.value)
}

/// Waits until `expression` has a value.
fn holds(prometheus: &Prometheus, expression: &str) {
    prometheus.await_query(expression, PATIENCE, |points| !points.is_empty());
}

/// A line of the record: what there is now.
fn record(prometheus: &Prometheus, when: &str, record: &mut String) {
    let count = |selector: &str| number(prometheus, &format!("count({selector})"));
    let line = format!(
        "{when:32}{:>8}{:>16}{:>14}{:>16}\n",
        count("up{job='fleet'} == 1"),
        count("{job='fleet',__name__=~'pd_.*|count_.*|ping_.*'}"),
        number(prometheus, "up{job='gateway'}"),
        count("{job='pushed',__name__=~'pd_.*|count_.*|ping_.*'}"),
    );
    record.push_str(&line);
}

#[test]
fn a_hosts_series_die_with_it_and_a_pushgateways_live_on_until_it_dies_with_all_of_them() {
    let _alone = the_machine();
    in_fresh(|| {
        let centre = Namespace::current();
        centre.ip(&["link add fleet type bridge", "addr add 10.77.0.254/24 dev fleet", "link set fleet up"]);
        let mut hosts = BTreeMap::new();
        for number in 1..=HOSTS {
            hosts.insert(number, Host::start(number, &centre));
        }
        roll_out(&hosts);
        let gateway = Pushgateway::start_at(CENTRE.into());
        for_all(&mut hosts, |number, host| {
            host.go();
            host.push(number, &gateway);
        });
        let prometheus = prometheus(&gateway);
        let mut lines = format!(
            "{:32}{:>8}{:>16}{:>14}{:>16}\n",
            "", "hosts up", "their series", "gateway up", "pushed series"
        );

        // All there, by both ways, and each with its own number.
        let all: BTreeMap<String, f64> = (1..=HOSTS).map(|n| (format!("host{n}"), rack(n))).collect();
        holds(&prometheus, "count(up{job='fleet'} == 1) == 20 and count(pd_rack{job='fleet'}) == 20");
        holds(&prometheus, "count(pd_rack{job='pushed'}) == 20");
        assert_eq!(racks(&prometheus, "fleet"), all);
        assert_eq!(racks(&prometheus, "pushed"), all);
        for family in ["count_netstat_wait_connections{J}", "ping_loss_ratio{J} == 0", "node_load1{J}"] {
            let hosts = format!("count(count by (instance) ({}))", family.replace('J', "job='fleet'"));
            assert_eq!(number(&prometheus, &hosts), 20.0, "{hosts}");
        }
        let quiet = "count(promdrop_collector_success{job='fleet'} == 1)";
        assert_eq!(number(&prometheus, quiet), 60.0, "three collectors on each");
        record(&prometheus, "all are well", &mut lines);

        // One host dies.
        hosts.remove(&7);
        holds(&prometheus, "up{job='fleet',instance='host7'} == 0");
        let then = number(&prometheus, "vector(time())");
        holds(&prometheus, "absent({job='fleet',instance='host7',__name__!~'up|scrape_.*'})");
        // The others go on: each was scraped since.
        holds(&prometheus, &format!("count(timestamp(pd_rack{{job='fleet'}}) > {then}) == 19"));
        assert_eq!(number(&prometheus, "count(up{job='fleet'} == 1)"), 19.0);
        // What it pushed is told of it yet, scrape after scrape, as if it were well.
        holds(&prometheus, &format!("timestamp(pd_rack{{job='pushed',instance='host7'}}) > {then} + 2"));
        assert_eq!(racks(&prometheus, "pushed"), all);
        record(&prometheus, "host7 is dead", &mut lines);

        // The gateway dies, and with it what all hosts pushed.
        drop(gateway);
        holds(&prometheus, "up{job='gateway'} == 0 and on() absent({job='pushed'})");
        let then = number(&prometheus, "vector(time())");
        holds(&prometheus, &format!("count(timestamp(pd_rack{{job='fleet'}}) > {then}) == 19"));
        let mut left = all;
        left.remove("host7");
        assert_eq!(racks(&prometheus, "fleet"), left);
        record(&prometheus, "the gateway is dead", &mut lines);
        println!("{lines}");
    });
}
