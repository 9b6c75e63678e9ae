//! A filter of ports that the kernel runs over each socket before it describes it, which costs a fraction of that. Pure.
//!
//! Bytecode of INET_DIAG_REQ_BYTECODE: struct inet_diag_bc_op of linux/inet_diag.h, checked by `inet_diag_bc_audit` and
//! run by `inet_diag_bc_run` in net/ipv4/inet_diag.c. Each operation says how many bytes further the next one is where
//! it holds and where it doesn't. Exactly at the end a socket is taken, beyond it it is not.

use super::ports::{PortRange, merged};

/// With more ranges than this there is no filter: the kernel runs through all of them for each socket that it leaves
/// out, and from some hundred on that costs as much as describing it.
const MOST_RANGES: usize = 32;

// Operations. Those that compare are followed by the port, where another operation would have its `no`.
const JUMP: u8 = 1;
const LOCAL_AT_LEAST: u8 = 2;
const LOCAL_AT_MOST: u8 = 3;
const REMOTE_AT_LEAST: u8 = 4;
const REMOTE_AT_MOST: u8 = 5;

/// Bytes of a struct inet_diag_bc_op.
const OPERATION: u16 = 4;
const COMPARISON: u16 = 2 * OPERATION;

/// The bytes of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<u8>);

impl Filter {
    /// One that lets through the sockets of these local ports, those of these remote ports, and those that listen on
    /// `listening`; `None` where that would be too many ranges, or none.
    pub fn new(local: &[PortRange], remote: &[PortRange], listening: &[PortRange]) -> Option<Self> {
        let mut terms: Vec<Vec<(u8, u16)>> = Vec::new();
        let local = merged(local);
        for PortRange { first, last } in local.iter().copied() {
            terms.push(vec![(LOCAL_AT_LEAST, first), (LOCAL_AT_MOST, last)]);
        }
        for PortRange { first, last } in merged(remote) {
            terms.push(vec![(REMOTE_AT_LEAST, first), (REMOTE_AT_MOST, last)]);
        }
        // What listens on local ports that are let through is let through with them.
        let mut listening = merged(listening);
        listening.retain(|range| !local.iter().any(|other| other.contains_all(*range)));
        for PortRange { first, last } in listening {
            // What listens has no remote port.
            terms.push(vec![(LOCAL_AT_LEAST, first), (LOCAL_AT_MOST, last), (REMOTE_AT_MOST, 0)]);
        }
        (1..=MOST_RANGES).contains(&terms.len()).then(|| Self(any_of(&terms)))
    }

    /// Its bytes, in whole words.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytecode that takes a socket where all comparisons of any term hold.
fn any_of(terms: &[Vec<(u8, u16)>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut operation = |code: u8, yes: u16, no: u16| {
        bytes.extend([code, u8::try_from(yes).unwrap_or_default()]);
        bytes.extend(no.to_ne_bytes());
    };
    let length = |term: &Vec<_>| term.iter().map(|_| COMPARISON).sum::<u16>() + OPERATION;
    let mut left: u16 = terms.iter().map(length).sum();
    for term in terms {
        let mut to_next = length(term);
        left -= to_next;
        for (code, port) in term {
            // After the last term there is none to go on with, so beyond the end.
            let no = if left == 0 { to_next + OPERATION } else { to_next };
            operation(*code, COMPARISON, no);
            operation(0, 0, *port);
            to_next -= COMPARISON;
        }
        // A jump is an operation that never holds.
        operation(JUMP, OPERATION, OPERATION + left);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `inet_diag_bc_run`, as it stands in the kernel.
    fn takes(bytes: &[u8], local: u16, remote: u16) -> bool {
        let mut at = 0;
        while at < bytes.len() {
            let number = |at: usize| u16::from_ne_bytes([bytes[at + 2], bytes[at + 3]]);
            let holds = match bytes[at] {
                JUMP => false,
                LOCAL_AT_LEAST => local >= number(at + 4),
                LOCAL_AT_MOST => local <= number(at + 4),
                REMOTE_AT_LEAST => remote >= number(at + 4),
                REMOTE_AT_MOST => remote <= number(at + 4),
                code => panic!("operation {code}"),
            };
            at += usize::from(if holds { bytes[at + 1].into() } else { number(at) });
        }
        at == bytes.len()
    }

    /// `inet_diag_bc_audit`, as far as these operations go: where it holds, the next operation follows; where not, one
    /// that is on that way, the end, or just beyond it.
    fn audit(bytes: &[u8]) {
        let mut starts = vec![0];
        while let Some(at) = starts.last().copied().filter(|at| *at < bytes.len()) {
            let size = if bytes[at] == JUMP { 4 } else { 8 };
            assert_eq!(usize::from(bytes[at + 1]), size);
            starts.push(at + size);
        }
        assert_eq!(starts.pop(), Some(bytes.len()));
        for at in &starts {
            let no = usize::from(u16::from_ne_bytes([bytes[at + 2], bytes[at + 3]]));
            let target = at + no;
            assert!(no >= usize::from(bytes[at + 1]), "back, or into itself");
            assert!(starts.contains(&target) || [0, 4].contains(&(target - bytes.len())), "{target}");
        }
    }

    fn ranges() -> impl Strategy<Value = Vec<PortRange>> {
        // Few ports, so that ranges meet.
        let port = || prop_oneof![1_u16..40, 65_500_u16..=65_535];
        let range = (port(), port()).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) });
        proptest::collection::vec(range, 0..6)
    }

    proptest! {
        #[test]
        fn what_is_named_passes_and_nothing_else(
            local in ranges(), remote in ranges(), listening in ranges(),
            port in 1_u16..45, other in prop_oneof![Just(0), 1_u16..45],
        ) {
            let Some(filter) = Filter::new(&local, &remote, &listening) else {
                prop_assert!(local.is_empty() && remote.is_empty() && listening.is_empty());
                return Ok(());
            };
            audit(filter.bytes());
            let has = |ranges: &[PortRange], port: u16| ranges.iter().any(|range| range.contains(port));
            let named = has(&local, port) || has(&remote, other) || other == 0 && has(&listening, port);
            prop_assert_eq!(takes(filter.bytes(), port, other), named);
        }

        #[test]
        fn what_listens_on_a_local_port_costs_no_term(
            local in ranges(), remote in ranges(), picked in proptest::collection::vec(any::<bool>(), 6),
            within in (0_u16..40, 0_u16..40), other in ranges(),
        ) {
            // Some of the ranges themselves, and a part of each.
            let both: Vec<PortRange> =
                local.iter().zip(picked).filter_map(|(range, is_picked)| is_picked.then_some(*range)).collect();
            let part = |range: &PortRange| {
                let first = range.first.saturating_add(within.0).min(range.last);
                PortRange { first, last: first.saturating_add(within.1).min(range.last) }
            };
            let parts: Vec<PortRange> = local.iter().map(part).collect();
            let without = Filter::new(&local, &remote, &[]);
            prop_assert_eq!(&Filter::new(&local, &remote, &both), &without);
            prop_assert_eq!(&Filter::new(&local, &remote, &parts), &without);
            // One that stands alone has a term still, and takes the same sockets.
            if let Some(filter) = Filter::new(&local, &remote, &[&parts[..], &other].concat()) {
                audit(filter.bytes());
                for port in (1..45).chain(65_500..=65_535) {
                    let has = |ranges: &[PortRange]| ranges.iter().any(|range| range.contains(port));
                    let named = has(&local) || has(&other);
                    prop_assert_eq!(takes(filter.bytes(), port, 0), named);
                }
            }
        }
    }

    #[test]
    fn too_many_ranges_are_no_filter() {
        let apart = |n: u16| (1..=n).map(|n| PortRange { first: 2 * n, last: 2 * n }).collect::<Vec<_>>();
        let most = Filter::new(&apart(16), &apart(16), &[]).unwrap();
        audit(most.bytes());
        assert!(takes(most.bytes(), 32, 1) && takes(most.bytes(), 1, 32) && !takes(most.bytes(), 1, 1));
        assert_eq!(Filter::new(&apart(16), &apart(16), &apart(17)[16..]), None);
        // Services that are counted and watched alike take one term each.
        assert!(Filter::new(&apart(32), &[], &apart(32)).is_some());
        assert_eq!(Filter::new(&apart(32), &[], &apart(33)), None);
        // Next to each other they are one.
        let row: Vec<_> = (1..=1000).map(|n| PortRange { first: n, last: n }).collect();
        assert_eq!(Filter::new(&row, &[], &[]).unwrap().bytes().len(), 20);
        assert_eq!(Filter::new(&[], &[], &[]), None);
    }
}
