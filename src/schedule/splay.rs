//! Where in its interval a collector runs on this host, so that a fleet doesn't all run it at the same moment.

use std::time::Duration;

use super::millis;
use crate::fnv;

/// How far `collector`'s slots are moved on the host `machine` (its machine id): less than `interval`, the same at every
/// start, and spread evenly over hosts and over the collectors of a host.
pub fn offset(machine: &str, collector: &str, interval: Duration) -> Duration {
    // A zero byte between the two: neither can hold one.
    let hash = fnv::hash(machine.bytes().chain([0]).chain(collector.bytes()));
    // FNV mixes its low bits least.
    let hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    Duration::from_millis(hash % millis(interval).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn is_always_the_same() {
        // To change these moves every host's runs at an upgrade.
        let machine = "5f1dd5b1d1c14c3f8f3e8d0c2f6b7a90";
        assert_eq!(offset(machine, "ping", MINUTE), Duration::from_millis(55_438));
        assert_eq!(offset(machine, "mail-queue", MINUTE), Duration::from_millis(52_647));
    }

    /// Of 6000 in 60 seconds, each second has about 100 of them: the standard deviation is 10.
    #[track_caller]
    fn assert_even(offsets: impl Iterator<Item = Duration>) {
        let mut seconds = [0_u32; 60];
        offsets.for_each(|offset| seconds[offset.as_secs() as usize] += 1);
        let (least, most) = (seconds.iter().min().unwrap(), seconds.iter().max().unwrap());
        assert!(*least > 60 && *most < 140, "{seconds:?}");
    }

    #[test]
    fn hosts_and_collectors_are_spread_evenly() {
        assert_even((0..6000).map(|host| offset(&format!("{host:032x}"), "ping", MINUTE)));
        assert_even((0..6000).map(|host| offset(&format!("web{host}.example.net"), "ping", MINUTE)));
        assert_even(
            (0..6000)
                .map(|number| offset("5f1dd5b1d1c14c3f8f3e8d0c2f6b7a90", &format!("check-{number}"), MINUTE)),
        );
    }

    #[test]
    fn is_less_than_the_interval() {
        for interval in [Duration::ZERO, Duration::from_millis(1), MINUTE] {
            let offset = offset("host", "collector", interval);
            assert!(offset < interval || interval.is_zero() && offset.is_zero(), "{interval:?}");
        }
    }
}
