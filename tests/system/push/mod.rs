//! `promdrop push` beside a real Pushgateway, with real clients, from a real cron, into a real Prometheus.

mod clients;
mod gateway;
mod many;
mod users;

use std::io::Write as _;
use std::process::Stdio;

use crate::support::host::Host;

/// Pushes `body`; whether it was accepted, and what was said.
fn push(host: &Host, arguments: &[&str], body: &[u8]) -> (bool, String) {
    let mut command = host.promdrop();
    command.arg("push").args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What is refused need not be read.
    let _ = child.stdin.take().unwrap().write_all(body);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(matches!(output.status.code(), Some(0..=2)), "{}: {said}", output.status);
    (output.status.success(), said)
}
