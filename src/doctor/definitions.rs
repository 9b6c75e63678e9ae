//! The definitions: can each be loaded, and is there anything to run?

use std::path::Path;

use super::access::is_closed_to_user;
use super::check::{AS_ROOT, Check};
use super::{Loading, plural};
use crate::config::load::{Failed, LoadError};
use crate::diagnostic::Problem;

const CHECK: &str = "definitions";

/// What `loaded`, of the directory `dir`, comes to.
pub fn check(dir: &Path, loaded: &Result<Loading, LoadError>) -> Check {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(_) if is_closed_to_user(dir) => return closed(dir),
        Err(LoadError { path, problem }) => {
            let message = format!("{}: {}", path.display(), problem.message);
            return Check::failure(CHECK, message, &problem.cure);
        }
    };
    if let Some(first) = loaded.failed.first() {
        if is_closed_to_user(&first.path) {
            return closed(&first.path);
        }
        return broken(dir, first, loaded.failed.len());
    }
    let all = loaded.definitions.len();
    let disabled = loaded.definitions.iter().filter(|definition| !definition.header.enabled).count();
    let dir = dir.display();
    if all == 0 {
        let cure =
            "write one, or copy one from /usr/share/doc/promdrop/examples/collectors.d; see promdrop.yaml(5)";
        return Check::warning(CHECK, format!("there is no collector in {dir}"), cure);
    }
    if disabled == all {
        let message = format!("every collector in {dir} is disabled");
        return Check::warning(CHECK, message, "remove `enabled: false` from those that are to run");
    }
    let disabled = if disabled > 0 { format!(", {disabled} of them disabled") } else { String::new() };
    Check::ok(CHECK, format!("{} in {dir}{disabled}", plural(all, "collector")))
}

fn closed(path: &Path) -> Check {
    Check::skipped(CHECK, format!("{} can't be read by this user", path.display()), AS_ROOT)
}

fn broken(dir: &Path, first: &Failed, count: usize) -> Check {
    let path = first.path.display();
    let more = if count > 1 { format!(" (and {} more)", plural(count - 1, "file")) } else { String::new() };
    let all = format!("promdrop --collectors-dir {} check", dir.display());
    match first.problems.first() {
        Some(Problem { line: 0, message, cure, .. }) if !cure.is_empty() => {
            Check::failure(CHECK, format!("{path}: {message}{more}"), cure)
        }
        Some(Problem { line, column, message, cure }) => {
            let message = format!("{path}:{line}:{column}: {message}{more}");
            let cure = if cure.is_empty() { format!("see `{all}`") } else { format!("{cure}; see `{all}`") };
            Check::failure(CHECK, message, cure)
        }
        None => Check::failure(CHECK, format!("{path} can't be loaded{more}"), format!("see `{all}`")),
    }
}
