//! What one list of sockets comes to: each socket is counted wherever it is asked for. Pure.

use super::counts::Counts;
use super::listeners::Backlog;
use super::settings::Settings;
use super::socket::{Socket, TcpState};

/// Counts of all that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally<'s> {
    /// What is asked for.
    pub settings: &'s Settings,
    /// Of all ports.
    pub totals: Counts,
    /// Of each interval of the local ports.
    pub local: Vec<Counts>,
    /// Of each interval of the remote ports.
    pub remote: Vec<Counts>,
    /// Of each listener.
    pub backlogs: Vec<Backlog>,
}

impl<'s> Tally<'s> {
    /// Nothing yet.
    pub fn new(settings: &'s Settings) -> Self {
        Self {
            settings,
            totals: Counts::default(),
            local: vec![Counts::default(); settings.local_ports.intervals()],
            remote: vec![Counts::default(); settings.remote_ports.intervals()],
            backlogs: vec![Backlog::default(); settings.listeners.len()],
        }
    }

    /// Counts `socket`. What isn't asked for has no place to be counted in.
    pub fn count(&mut self, socket: &Socket) {
        let Settings { states, local_ports, remote_ports, listeners, .. } = self.settings;
        if states.contains(socket.state) {
            self.totals.count(socket.family, socket.state, 1);
            if let Some(counts) = self.local.get_mut(local_ports.interval(socket.local_port)) {
                counts.count(socket.family, socket.state, 1);
            }
            if let Some(counts) = self.remote.get_mut(remote_ports.interval(socket.remote_port)) {
                counts.count(socket.family, socket.state, 1);
            }
        }
        if socket.state == TcpState::Listen {
            for (listener, backlog) in listeners.iter().zip(&mut self.backlogs) {
                if listener.contains(socket) {
                    backlog.add(socket);
                }
            }
        }
    }
}
