//! How many sockets there are of what kind. Pure.

use super::socket::{IpFamily, TcpState};

/// How many TCP sockets there are, by family and state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([[u32; TcpState::ALL.len()]; IpFamily::ALL.len()]);

impl Counts {
    /// Sockets of one family in one state.
    pub fn of(&self, family: IpFamily, state: TcpState) -> u32 {
        self.0.get(family as usize).and_then(|states| states.get(state as usize)).copied().unwrap_or(0)
    }

    /// Counts `n` more sockets.
    pub fn count(&mut self, family: IpFamily, state: TcpState, n: u32) {
        if let Some(count) = self.0.get_mut(family as usize).and_then(|states| states.get_mut(state as usize))
        {
            *count = count.saturating_add(n);
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for family in IpFamily::ALL {
            for state in TcpState::ALL {
                self.count(family, state, other.of(family, state));
            }
        }
        self
    }
}
