//! `promdrop doctor` and `run --verify` on real machines: healthy, then with each thing broken that they name.

mod host;
mod systemd;
mod verify;
mod without;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::machine::Machine;

/// What doctor found: each check with its verdict, and the document that it is of.
struct Found(Value);

/// `promdrop doctor` on `machine`, with what else is said on its command line.
#[track_caller]
fn doctor(machine: &Machine, options: &[&str]) -> Found {
    let output = machine.command("promdrop").args(options).args(["doctor", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failures = found["failures"].as_u64().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(failures > 0)), "{found:#}");
    Found(found)
}

impl Found {
    /// The checks that are neither ok nor skipped.
    fn amiss(&self) -> BTreeSet<&str> {
        let is_amiss = |check: &&Value| !["ok", "skipped"].contains(&check["verdict"].as_str().unwrap());
        self.checks().filter(is_amiss).map(|check| check["check"].as_str().unwrap()).collect()
    }

    fn checks(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().unwrap().iter()
    }

    /// Verdict, message and cure of a check.
    #[track_caller]
    fn check(&self, name: &str) -> [&str; 3] {
        let mut checks = self.checks().filter(|check| check["check"] == name);
        let check = checks.next().unwrap_or_else(|| panic!("no check {name} in {:#}", self.0));
        assert!(checks.next().is_none(), "{name} twice in {:#}", self.0);
        ["verdict", "message", "cure"].map(|key| check[key].as_str().unwrap())
    }
}
