//! The file that a program's name stands for.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::collect::account;
use crate::config::trust;
use crate::config::yaml::Wrong;
use crate::diagnostic::printable;

/// The PATH that the command will see.
pub fn search_path(environment: &[(String, String)]) -> &str {
    let own = environment.iter().find(|(name, _)| name == "PATH");
    own.map_or(account::PATH, |(_, path)| path)
}

/// The program that `name` stands for: itself where it is a path, else the first executable file of that name in
/// `path`. The message says where it was looked for.
pub fn find(name: &str, path: &str) -> Result<PathBuf, String> {
    let executable = |path: &Path| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.starts_with('/') {
        return match Path::new(name).try_exists() {
            Ok(false) => Err(format!("there is no program `{}`", printable(name))),
            _ => Ok(PathBuf::from(name)),
        };
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| Path::new(dir).join(name))
        .find(|path| executable(path))
        .ok_or_else(|| format!("there is no program `{}` in {}", printable(name), printable(path)))
}

/// What root runs, nobody else may have written.
pub fn trusted(program: &Path, user: Option<&str>) -> Result<(), Wrong> {
    if Uid::effective().is_root() { trust::program(program, user) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_found_in_the_path_that_the_command_sees() {
        assert_eq!(find("sh", account::PATH), Ok(PathBuf::from("/usr/bin/sh")));
        let own = [("PATH".to_owned(), "relative:/no/such:/bin".to_owned())];
        assert_eq!(find("sh", search_path(&own)), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(find("passwd", "/etc"), Err("there is no program `passwd` in /etc".into()));
    }
}
