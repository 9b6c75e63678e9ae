//! `promdrop check`: is every definition right? For a role's `validate:`, a package's tests, and eyes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::unistd::{AccessFlags, access};

use super::{FAILED, GOOD, USAGE, complain, misused};
use crate::collect::read_module;
use crate::config::fields::Stem;
use crate::config::load::{load_directory, load_file, stem_of};
use crate::config::yaml::Wrong;
use crate::diagnostic::{Problem, show};

/// What was found, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    Problems,
    Unreadable,
}

/// Checks `paths`, directories of definitions or files of any name; without any, the directory `collectors_dir`. A
/// file is taken to be called `name`, or what its own name says if that ends in `.yaml`.
///
/// Prints every problem of every file to stderr, and nothing where there is none. Exit status: 0 no problems, 1
/// problems, 2 where there was nothing to check: a path or directory that can't be read or trusted, a wrong `name`.
pub fn run(paths: &[PathBuf], name: Option<&str>, collectors_dir: &Path) -> ExitCode {
    let verdict = match (name, paths) {
        (None, []) => check_directory(collectors_dir),
        (None, paths) => paths.iter().map(|path| check(path)).max().unwrap_or(Verdict::Good),
        (Some(name), [path]) if !path.is_dir() => match Stem::parse(name) {
            Ok(stem) => check_file(path, Some(stem)),
            Err(wrong) => usage("--name", &wrong),
        },
        (Some(_), _) => {
            usage("--name", &Wrong::new("this is the name of one file", "give it with one file to check"))
        }
    };
    match verdict {
        Verdict::Good => ExitCode::from(GOOD),
        Verdict::Problems => ExitCode::from(FAILED),
        Verdict::Unreadable => ExitCode::from(USAGE),
    }
}

fn check(path: &Path) -> Verdict {
    if path.is_dir() {
        return check_directory(path);
    }
    if path.extension() != Some(OsStr::new("yaml")) {
        return check_file(path, None);
    }
    match stem_of(path) {
        Ok(stem) => check_file(path, Some(stem)),
        Err(wrong) => {
            let text = path.to_string_lossy();
            complain(show(&text, "", &Problem::whole(wrong.message, wrong.cure)));
            check_file(path, None).max(Verdict::Problems)
        }
    }
}

fn check_directory(dir: &Path) -> Verdict {
    match load_directory(dir, &read_module) {
        Ok(loaded) if loaded.failed.is_empty() => Verdict::Good,
        Ok(loaded) => {
            loaded.failed.iter().for_each(complain);
            Verdict::Problems
        }
        Err(error) => {
            complain(error);
            Verdict::Unreadable
        }
    }
}

fn check_file(path: &Path, stem: Option<Stem>) -> Verdict {
    if let Err(errno) = access(path, AccessFlags::R_OK) {
        let problem = Problem::whole(format!("can't be read: {}", errno.desc()), "");
        complain(show(&path.to_string_lossy(), "", &problem));
        return Verdict::Unreadable;
    }
    match load_file(path, stem, &read_module) {
        Ok(_) => Verdict::Good,
        Err(failed) => {
            complain(failed);
            Verdict::Problems
        }
    }
}

fn usage(what: &str, wrong: &Wrong) -> Verdict {
    misused(what, wrong);
    Verdict::Unreadable
}
