//! ICMP: only where something is pinged.

use std::fs;

use nix::unistd::geteuid;

use super::check::{AS_ROOT, Check};
use super::drop_in::drop_in;
use super::units::{SERVICE, Unit};
use super::{Loading, plural};
use crate::collect::ping::packet::Version;
use crate::collect::ping::settings::Settings;
use crate::collect::ping::socket::Socket;

const CHECK: &str = "icmp";

/// Which groups may ping without a privilege.
const RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Whether this process, and promdrop's service, may ping; `None` where nothing is pinged.
pub fn check(loaded: &Loading, service: Option<&Unit>) -> Option<Check> {
    let pings = |header: &crate::config::Header| header.enabled && header.module == "ping";
    let count = loaded.definitions.iter().filter(|definition| pings(&definition.header)).count();
    if count == 0 {
        return None;
    }
    // As a collector would, with an identifier that no reply is asked for.
    let opened = Version::ALL.map(|version| Socket::open(version, 1, 1, &Settings::default()).map(drop));
    let service = service.filter(|service| service.is_loaded());
    if let ([Err(error), Err(_)], None) = (&opened, service) {
        if !geteuid().is_root() {
            let why = "this user may not open ICMP sockets, which says nothing of promdrop's own";
            return Some(Check::skipped(CHECK, why, AS_ROOT));
        }
        let message = error.to_string();
        let (message, cure) = message.split_once("; ").unwrap_or((&message, ""));
        return Some(Check::failure(CHECK, message, cure));
    }
    let range = fs::read_to_string(RANGE).unwrap_or_default();
    if let Some(service) = service.filter(|service| !service.is_capable("cap_net_raw")) {
        let groups = service.identity().map(|identity| identity.groups);
        if groups.is_some_and(|groups| !groups.iter().any(|group| holds(&range, *group))) {
            return Some(incapable(service));
        }
    }
    Some(Check::ok(CHECK, format!("may be used by {} of module ping", plural(count, "collector"))))
}

/// The service has not what it takes.
fn incapable(service: &Unit) -> Check {
    let mut lines = vec!["CapabilityBoundingSet=CAP_NET_RAW".to_owned()];
    if !service.is_of_root() {
        lines.push("AmbientCapabilities=CAP_NET_RAW".to_owned());
    }
    let message = format!("{SERVICE} may not open ICMP sockets: it has no CAP_NET_RAW");
    Check::failure(CHECK, message, drop_in(SERVICE, &lines))
}

/// Whether `group` is in the range.
fn holds(range: &str, group: u32) -> bool {
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u32>().ok());
    matches!((ends.next(), ends.next()), (Some(low), Some(high)) if (low..=high).contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_in_an_empty_range() {
        assert!(holds("0\t2147483647\n", 0) && holds("0 0", 0));
        assert!(!holds("1\t0\n", 0) && !holds("100 200", 0) && !holds("", 0) && !holds("x", 0));
    }
}
