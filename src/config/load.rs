//! Collector files, from a directory or one by one, to definitions.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::fcntl::OFlag;

use super::fields::Stem;
use super::yaml::{self, Section, Wrong};
use super::{Definition, Header, header, trust};
use crate::diagnostic::{Problem, show, show_all};

/// Bytes of the largest file that is read.
const MAX_SIZE: u64 = 1 << 20;

/// What a collectors directory holds, each list in the order of the file names.
#[derive(Debug)]
pub struct Loaded<M> {
    /// The collectors, the disabled ones included.
    pub definitions: Vec<Definition<M>>,
    /// The files that hold no collector though they should.
    pub failed: Vec<Failed>,
}

/// A file that can't be loaded. It is shown with every problem, its source line and its cure.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    /// The name it claims all the same: nothing of that name is swept. `None` where its name can't be a collector's.
    pub stem: Option<Stem>,
    /// Where it is.
    pub path: PathBuf,
    /// What it holds, as far as it could be read.
    pub text: String,
    /// What is wrong with it, in the order of the text; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_all(out, &self.path.to_string_lossy(), &self.text, &self.problems)
    }
}

/// A collectors directory that can't be read or trusted. Nothing is known of its collectors then: nothing may be run
/// or swept.
#[derive(Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", show(&self.path.to_string_lossy(), "", &self.problem))
    }
}

impl std::error::Error for LoadError {}

/// Loads every collector of the directory `dir`: the regular files `*.yaml`, and links to such. Where promdrop is
/// root, files that others could have written fail.
///
/// `read_module` makes the module of its own section, as [`collect::read_module`](crate::collect::read_module) does.
///
/// # Errors
/// Where the directory can't be read, or, for root, where others could write to it.
pub fn load_directory<M>(
    dir: &Path,
    read_module: &dyn Fn(&mut Section<'_>, &Header) -> Option<M>,
) -> Result<Loaded<M>, LoadError> {
    let refuse =
        |wrong: Wrong| LoadError { path: dir.to_owned(), problem: Problem::whole(wrong.message, wrong.cure) };
    let unreadable = |error: io::Error| {
        let way_out = match error.kind() {
            io::ErrorKind::NotFound => "create it",
            io::ErrorKind::PermissionDenied => "run as a user who may read it",
            _ => "mend it",
        };
        refuse(Wrong::new(
            format!("can't read the collectors directory: {}", reason(&error)),
            format!("{way_out}, or name another with --collectors-dir or PROMDROP_COLLECTORS_DIR"),
        ))
    };
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    trust::directory(dir).map_err(refuse)?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = path.file_name().unwrap_or_default();
        // Most filesystems tell what an entry is, but not what a link leads to.
        let is_dir = || match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => path.is_dir(),
        };
        if !is_left_alone(name) && path.extension().is_some_and(is_yaml_in_any_spelling) && !is_dir() {
            paths.push(path);
        }
    }
    paths.sort();

    let mut loaded = Loaded { definitions: Vec::new(), failed: Vec::new() };
    for path in &paths {
        match load_entry(path, &paths, read_module) {
            Ok(definition) => loaded.definitions.push(definition),
            Err(failed) => loaded.failed.push(failed),
        }
    }
    Ok(loaded)
}

/// Checks one file, whatever its name, place and owner: it may be a draft, or the temporary file of a tool that asks
/// before it installs it. What is to be run comes from [`load_directory`], which asks who could have written it.
///
/// # Errors
/// The file with its problems, under the name `stem`.
pub fn load_file<M>(
    path: &Path,
    stem: Option<Stem>,
    read_module: &dyn Fn(&mut Section<'_>, &Header) -> Option<M>,
) -> Result<(Header, M), Failed> {
    let failed = |text: String, problems| Failed { stem, path: path.to_owned(), text, problems };
    let text = match read_text(path, |_| Ok(())) {
        Ok(text) => text,
        Err((text, problem)) => return Err(failed(text, vec![problem])),
    };
    decode(&text, read_module).map_err(|problems| failed(text, problems))
}

/// What the definition file at `path` says of itself by its name.
///
/// # Errors
/// Where that can't be a collector's name.
pub fn stem_of(path: &Path) -> Result<Stem, Wrong> {
    Stem::parse(&path.file_stem().unwrap_or_default().to_string_lossy())
}

/// Loads one file of a directory whose other candidates are `siblings`.
fn load_entry<M>(
    path: &Path,
    siblings: &[PathBuf],
    read_module: &dyn Fn(&mut Section<'_>, &Header) -> Option<M>,
) -> Result<Definition<M>, Failed> {
    let mut problems = Vec::new();
    let stem = stem_of(path).map_err(|wrong| problems.push(Problem::whole(wrong.message, wrong.cure))).ok();
    if path.extension() != Some(OsStr::new("yaml")) {
        let message = "this is not loaded: its name does not end in `.yaml`";
        problems.push(Problem::whole(message, "rename it"));
        // Its name is claimed already where the directory holds a file of the right one, too.
        let stem = stem.filter(|_| !siblings.contains(&path.with_extension("yaml")));
        return Err(Failed { stem, path: path.to_owned(), text: String::new(), problems });
    }
    let failed = |stem, text, problems| Failed { stem, path: path.to_owned(), text, problems };
    let mut modified = None;
    let judge = |metadata: &Metadata| {
        modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        trust::definition(path, metadata)
    };
    let text = match read_text(path, judge) {
        Ok(text) => text,
        Err((text, problem)) => {
            problems.push(problem);
            return Err(failed(stem, text, problems));
        }
    };
    match (decode(&text, read_module), stem) {
        (Ok((header, module)), Some(stem)) => {
            let modified = modified.and_then(|time| u64::try_from(time.as_millis()).ok());
            Ok(Definition { stem, header, module, modified })
        }
        (Ok(_), None) => Err(failed(None, text, problems)),
        (Err(more), stem) => {
            problems.extend(more);
            Err(failed(stem, text, problems))
        }
    }
}

/// Names that editors and dpkg leave beside the real file.
fn is_left_alone(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") || name.ends_with(b"~") || name.windows(6).any(|part| part == b".dpkg-")
}

/// `.yaml`, and what is meant to be it and would silently not run.
fn is_yaml_in_any_spelling(extension: &OsStr) -> bool {
    extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
}

fn decode<M>(
    text: &str,
    read_module: &dyn Fn(&mut Section<'_>, &Header) -> Option<M>,
) -> Result<(Header, M), Vec<Problem>> {
    yaml::decode(text, |root, problems| {
        let mut top = Section::open("file", root, problems)?;
        let read = header::read(&mut top).and_then(|header| {
            let module = read_module(&mut top, &header)?;
            Some((header, module))
        });
        top.finish();
        read
    })
}

/// The text of the file at `path`, if `judge` has nothing against it; else the problem, and as much of the text as
/// shows it.
pub(super) fn read_text(
    path: &Path,
    judge: impl FnOnce(&fs::Metadata) -> Result<(), Wrong>,
) -> Result<String, (String, Problem)> {
    let bytes = read_bytes(path, judge).map_err(|problem| (String::new(), problem))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(good).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let problem = at(&text, good, format!("the byte {byte:#04x} is not UTF-8"), "save the file as UTF-8");
        (text, problem)
    })?;
    // YAML allows a byte order mark; left in, it would shift the columns of the first line.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    // Most are not YAML. The rest are line ends for YAML but not for editors, nor for the source lines shown.
    let stray = text.char_indices().find(|(place, c)| match c {
        '\t' | '\n' => false,
        '\r' => text.as_bytes().get(place + 1) != Some(&b'\n'),
        '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        c => c.is_control(),
    });
    match stray {
        None => Ok(text),
        Some((place, c)) => {
            let message = format!("the control character U+{:04X} has no place here", u32::from(c));
            let cure = "remove it; in double quotes it can be written as an escape";
            let problem = at(&text, place, message, cure);
            Err((text, problem))
        }
    }
}

/// A problem at byte `offset` of `text`.
fn at(text: &str, offset: usize, message: String, cure: &str) -> Problem {
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    Problem { line, column, message, cure: cure.into() }
}

fn read_bytes(
    path: &Path,
    judge: impl FnOnce(&fs::Metadata) -> Result<(), Wrong>,
) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: io::Error| {
        let cure = match error.kind() {
            io::ErrorKind::PermissionDenied => "run as a user who may read it, or change its mode",
            io::ErrorKind::NotFound => "mend the link, or remove it",
            _ => "",
        };
        Problem::whole(format!("can't be read: {}", reason(&error)), cure)
    };
    let (file, metadata) = open_regular(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let message = format!("this is {}, not a regular file", trust::kind_word(&metadata));
        return Err(Problem::whole(message, "put a regular file in its place"));
    }
    judge(&metadata).map_err(|wrong| Problem::whole(wrong.message, wrong.cure))?;
    let too_large =
        || Problem::whole("the file is larger than 1 MiB", "it should be a few lines: is it the right one?");
    if metadata.len() > MAX_SIZE {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // It may grow, and files of /proc have no size.
    if let Some(file) = file {
        file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > MAX_SIZE { Err(too_large()) } else { Ok(bytes) }
}

/// Opens `path` if it is a regular file. Anything else is not touched: opening a FIFO waits, opening some devices
/// acts. It is looked at once more when open, since it could have been replaced.
fn open_regular(path: &Path) -> io::Result<(Option<File>, fs::Metadata)> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok((None, metadata));
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    Ok((Some(file), metadata))
}

/// The kernel's words for `error`, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}
