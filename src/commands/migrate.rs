//! `promdrop migrate [FILE|-]`: what takes the place of a crontab.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{FAILED, GOOD, complain, exit_code, show};
use crate::cli::Migrate;
use crate::diagnostic;
use crate::migrate::crontab::Form;
use crate::migrate::program::Text;
use crate::migrate::{Migration, Origin, migrate};

/// The largest crontab or script that is read.
const MOST: u64 = 256 << 10;

/// Where users' crontabs lie, each under its owner's name.
const SPOOLS: [&str; 3] = ["/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron"];

/// Prints what takes the place of a crontab. Exit status: 0 all of it was read, 1 a line is none of a crontab, or a
/// file can't be written; 2 it can't be read, or a file is there already.
pub fn run(arguments: &Migrate) -> ExitCode {
    exit_code(carry_out(arguments))
}

fn carry_out(arguments: &Migrate) -> Result<u8, String> {
    let file = arguments.file.as_deref().filter(|file| *file != Path::new("-"));
    let name = file.map_or_else(|| "stdin".to_owned(), |file| file.display().to_string());
    if let Some(file) = file.filter(|file| arguments.user.is_some() && is_of_system(file)) {
        let cure = "   = leave out --user: its lines say as whom they run";
        return Err(format!("{}: this is a system crontab\n{cure}", file.display()));
    }
    let text = match file {
        Some(file) => File::open(file).and_then(|file| text_of(file, MOST)),
        None => text_of(io::stdin().lock(), MOST),
    };
    let text = text.map_err(|error| format!("{name}: can't be read: {error}"))?;
    let is_system = arguments.system || file.is_some_and(is_of_system);
    let owner = arguments.user.clone().or_else(|| file.and_then(owner));
    let form = if is_system && arguments.user.is_none() { Form::System } else { Form::User };
    let origin = Origin { name: &name, form, owner: owner.as_deref() };
    let migration = migrate(&text, &origin, &script);
    let directory = arguments.write.as_ref();
    let is_written = directory.map_or(Ok(true), |directory| write(&migration, directory))?;
    show(match directory.filter(|_| is_written) {
        Some(directory) => migration.without_collectors(&directory.display().to_string()),
        None => migration.whole(),
    });
    for problem in &migration.problems {
        complain(diagnostic::show(&name, &text, problem));
    }
    Ok(if is_written && migration.problems.is_empty() { GOOD } else { FAILED })
}

/// A file or stdin as text, if it is no larger than `most`.
fn text_of(input: impl Read, most: u64) -> io::Result<String> {
    String::from_utf8(bytes_of(input, most)?).map_err(|wrong| {
        let before = wrong.as_bytes().iter().take(wrong.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

fn bytes_of(input: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("there is more than the {most} bytes allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// A script that a crontab calls. No device or FIFO is opened.
fn script(path: &Path) -> Option<Text> {
    let found = path.metadata().ok().filter(|found| found.is_file() && found.len() <= MOST)?;
    let bytes = File::open(path).and_then(|file| bytes_of(file, MOST)).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (!text.contains('\0')).then_some(Text { text, is_private: found.mode() & 0o004 == 0 })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_of_system(path: &Path) -> bool {
    let path = absolute(path);
    path == Path::new("/etc/crontab") || path.starts_with("/etc/cron.d")
}

fn owner(path: &Path) -> Option<String> {
    let path = absolute(path);
    let is_spooled = SPOOLS.iter().any(|spool| path.parent() == Some(Path::new(spool)));
    is_spooled.then(|| path.file_name()?.to_str().map(str::to_owned))?
}

/// Writes the collectors into `directory`: all, or none where one is there already or can't be written.
fn write(migration: &Migration, directory: &Path) -> Result<bool, String> {
    if !directory.is_dir() {
        let cure = "   = create it, or name the collectors directory";
        return Err(format!("{}: there is no such directory\n{cure}", directory.display()));
    }
    let files =
        migration.collectors.iter().map(|(name, text)| (directory.join(format!("{name}.yaml")), text));
    let files: Vec<(PathBuf, &String)> = files.collect();
    if let Some((file, _)) = files.iter().find(|(file, _)| file.symlink_metadata().is_ok()) {
        let cure = "   = move it away, or write into another directory; nothing was written";
        return Err(format!("{}: this file is there already\n{cure}", file.display()));
    }
    for (i, (file, text)) in files.iter().enumerate() {
        if let Err((error, is_made)) = create(file, text) {
            let why = "nothing was written, all is printed";
            complain(format_args!("promdrop: {}: can't be written, so {why}: {error}", file.display()));
            files.iter().take(i + usize::from(is_made)).for_each(|(file, _)| remove(file));
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file) {
        complain(format_args!("promdrop: {}: can't be removed: {error}", file.display()));
    }
}

/// Makes a file; else why not, and whether it was made all the same.
fn create(path: &Path, text: &str) -> Result<(), (io::Error, bool)> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| (error, false))?;
    fill(file, text).map_err(|error| (error, true))
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    // Whatever the umask says: this is no secret.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}
