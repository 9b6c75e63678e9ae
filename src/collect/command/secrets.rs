//! `secrets`: variables whose values stand in files, and are shown and published nowhere.

use std::cmp::Reverse;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::limits::dump_no_core;
use crate::collect::{Failure, Outcome};
use crate::config::trust;
use crate::config::yaml::{Field, Node, Problems, Section, Value, Wrong, read_map, read_text};
use crate::exposition::Family;

/// No secret is longer: a program's environment is short.
const LONGEST: u64 = 64 << 10;

/// What is shorter is no secret worth the name, and would be found everywhere.
const SHORTEST_HIDDEN: usize = 4;

/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where a definition says that its secrets stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<(String, Source)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Credential(String),
}

/// A value that no `{:?}` shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The value, for the command alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

/// The secrets of one run: variables and values.
#[derive(Debug, Default)]
pub struct Known(Vec<(String, Secret)>);

impl Secrets {
    /// Reads them all.
    ///
    /// # Errors
    /// Names the variable, what is wrong with its file, and the cure.
    pub fn read(&self) -> Result<Known, Failure> {
        if !self.0.is_empty() {
            // From here on this process holds them, as its supervisor will.
            dump_no_core();
        }
        let all = self.0.iter().map(|(name, source)| {
            let path = source.path();
            let value = path.and_then(|path| read_file(&path)).map_err(|wrong| {
                let message = format!("can't read the secret `{name}`: {}: {}", wrong.message, wrong.cure);
                Failure::new(Outcome::Spawn, message)
            });
            Ok((name.clone(), Secret(value?)))
        });
        all.collect::<Result<_, _>>().map(Known)
    }
}

impl Source {
    fn path(&self) -> Result<PathBuf, Wrong> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => match std::env::var_os(CREDENTIALS) {
                Some(directory) => Ok(Path::new(&directory).join(name)),
                None => Err(Wrong::new(
                    format!("{CREDENTIALS} is not set"),
                    format!(
                        "promdrop's unit needs `LoadCredential={name}:/PATH`; without systemd, name a file"
                    ),
                )),
            },
        }
    }
}

fn read_file(path: &Path) -> Result<String, Wrong> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Wrong::new(format!("{shown}: {error}"), "correct the path, or its permissions")
    };
    // A FIFO must not make it wait.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let opened = file.metadata().map_err(unreadable)?;
    if !opened.is_file() {
        let message = format!("{shown} is {}, not a file", trust::kind_word(&opened));
        return Err(Wrong::new(message, "name a regular file"));
    }
    trust::secret(path, &opened)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Wrong::new(format!("{shown} is longer than 64 KiB"), "is it the right file?"));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(Wrong::new(format!("{shown} is empty"), "write the secret to it"));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Wrong::new(
            format!("{shown} holds bytes that are not text in UTF-8, or a NUL"),
            "encode the secret, as base64 say",
        )),
    }
}

impl Known {
    /// The variables with their values.
    pub fn variables(&self) -> &[(String, Secret)] {
        &self.0
    }

    /// What is looked for: each value, each line of it, and those as a label or JSON would hold them.
    fn hidden(&self) -> Vec<(&str, Vec<u8>)> {
        let mut all: Vec<(&str, Vec<u8>)> = Vec::new();
        for (name, value) in &self.0 {
            let parts = std::iter::once(value.reveal()).chain(value.reveal().lines().map(str::trim));
            for part in parts.filter(|part| part.len() >= SHORTEST_HIDDEN) {
                let escaped = part.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                for form in [part.to_owned(), escaped] {
                    if !all.iter().any(|(_, known)| known == form.as_bytes()) {
                        all.push((name, form.into_bytes()));
                    }
                }
            }
        }
        all
    }

    /// `bytes` with `[secret NAME]` in the place of each value; what stands at an end that was `cut` off may be a part
    /// of one.
    pub fn hide(&self, bytes: &[u8], cut: Option<Cut>) -> Vec<u8> {
        let mut found: Vec<(Range<usize>, &str)> = Vec::new();
        for (name, value) in self.hidden() {
            let whole = memmem::find_iter(bytes, &value).map(|at| at..at + value.len());
            found.extend(whole.chain(part_at(cut, bytes, &value)).map(|range| (range, name)));
        }
        found.sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
        let mut shown = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for (range, name) in found {
            if range.start > done || done == 0 {
                shown.extend_from_slice(bytes.get(done..range.start).unwrap_or_default());
                shown.extend_from_slice(format!("[secret {name}]").as_bytes());
            }
            // One that overlaps another, or follows at once, has gone with it.
            done = done.max(range.end);
        }
        shown.extend_from_slice(bytes.get(done..).unwrap_or_default());
        shown
    }

    /// The variable whose value `families` would publish, if there is one.
    pub fn published_in(&self, families: &[Family]) -> Option<&str> {
        let hidden = self.hidden();
        let found = |text: &str| {
            let held = |(_, value): &&(&str, Vec<u8>)| memmem::find(text.as_bytes(), value).is_some();
            hidden.iter().find(held).map(|(name, _)| *name)
        };
        // A secret may be a number, and a number be printed otherwise than it is written.
        let numbers: Vec<(&str, f64)> = hidden
            .iter()
            .filter_map(|(name, value)| Some((*name, std::str::from_utf8(value).ok()?.parse().ok()?)))
            .collect();
        let number = |value: f64| numbers.iter().find(|(_, secret)| *secret == value).map(|(name, _)| *name);
        families.iter().find_map(|family| {
            let texts = [Some(family.name.as_ref()), family.help.as_deref()];
            let of_family = texts.into_iter().flatten().find_map(found);
            of_family.or_else(|| {
                family.samples.iter().find_map(|sample| {
                    let mut texts = sample.labels.iter().flat_map(|(name, value)| [name, value]);
                    texts.find_map(|text| found(text)).or_else(|| number(sample.value))
                })
            })
        })
    }
}

/// Which end of some bytes was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The beginning.
    Start,
    /// The end.
    End,
}

/// Where `bytes` begins or ends with a part of `value`, the rest of which was `cut` off.
fn part_at(cut: Option<Cut>, bytes: &[u8], value: &[u8]) -> Option<Range<usize>> {
    let mut parts = (SHORTEST_HIDDEN..value.len()).rev();
    match cut? {
        Cut::Start => parts
            .find(|length| value.get(value.len() - length..).is_some_and(|part| bytes.starts_with(part)))
            .map(|length| 0..length),
        Cut::End => parts
            .find(|length| value.get(..*length).is_some_and(|part| bytes.ends_with(part)))
            .map(|length| bytes.len() - length..bytes.len()),
    }
}

/// Reads the map `secrets:`; `environment` is what the definition sets by itself.
pub fn read(node: &Node, problems: &Problems, environment: &[(String, String)]) -> Option<Secrets> {
    let entries = read_map(node, problems, "write a line `NAME: /PATH/OF/FILE` for each")?;
    let mut all = Vec::new();
    for (key, value) in entries {
        let Some(name) = super::fields::read_variable(key, problems) else { continue };
        if environment.iter().any(|(other, _)| *other == name) {
            let message = format!("`{name}` stands in `environment`, too");
            problems.report(key, Wrong::new(message, "keep one of the two"));
        }
        all.extend(Source::read(value, problems).map(|source| (name, source)));
    }
    Some(Secrets(all))
}

impl Field for Source {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        if let Value::Map(_) = node.value {
            let mut section = Section::open("secret", node, problems)?;
            let cure = "write `{credential: NAME}`, or a file's path";
            let name = section.required_node("credential", cure);
            let name = name.and_then(|node| {
                read_text(node, problems, |text| match text {
                    "" | "." | ".." => Err(Wrong::new(format!("`{text}` is not a credential's name"), cure)),
                    _ if text.contains(['/', '\0']) => {
                        let message = format!("`{text}` is not a credential's name: there is no `/` in one");
                        Err(Wrong::new(message, cure))
                    }
                    _ => Ok(Self::Credential(text.to_owned())),
                })
            });
            section.finish();
            return name;
        }
        read_text(node, problems, |text| match text.starts_with('/') && !text.contains('\0') {
            true => Ok(Self::File(text.into())),
            // It may be the secret itself.
            false => Err(Wrong::new(
                "a secret's value has no place in a definition",
                "write the absolute path of the file that holds it, or `{credential: NAME}`",
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Sample;

    fn known(all: &[(&str, &str)]) -> Known {
        Known(all.iter().map(|(name, value)| ((*name).to_owned(), Secret((*value).to_owned()))).collect())
    }

    fn hidden(known: &Known, text: &str, cut: Option<Cut>) -> String {
        String::from_utf8(known.hide(text.as_bytes(), cut)).unwrap()
    }

    #[test]
    fn every_occurrence_is_hidden_and_the_longest_first() {
        let known = known(&[("A", "hunter"), ("B", "hunter-two"), ("C", "abc"), ("D", "[secret")]);
        let (text, shown) = ("hunter-two hunterhunter abc", "[secret B] [secret A] abc");
        assert_eq!(hidden(&known, text, None), shown);
        assert_eq!(hidden(&known, "a hunter-two[secret]", None), "a [secret B]]");
        assert_eq!(hidden(&known, "", None), "");
        assert_eq!(hidden(&known, "hunte", None), "hunte");
    }

    #[test]
    fn what_a_cut_has_left_of_one_is_hidden() {
        let known = known(&[("A", "hunter2!")]);
        assert_eq!(hidden(&known, "ter2! and so on", Some(Cut::Start)), "[secret A] and so on");
        assert_eq!(hidden(&known, "hunter2! r2!", Some(Cut::Start)), "[secret A] r2!");
        assert_eq!(hidden(&known, "it is hunter2", Some(Cut::End)), "it is [secret A]");
        assert_eq!(hidden(&known, "it is hun", Some(Cut::End)), "it is hun");
    }

    #[test]
    fn a_secret_in_a_family_is_found_wherever_it_is() {
        let known = known(&[("KEY", "hunter2"), ("SHORT", "a")]);
        let family = |name: &str, help: &str, label: (&str, &str)| Family {
            name: name.to_owned().into(),
            help: Some(help.to_owned().into()),
            kind: None,
            samples: vec![Sample {
                name: name.to_owned().into(),
                labels: vec![(label.0.to_owned().into(), label.1.to_owned().into())],
                value: 1.0,
            }],
        };
        let good = family("a", "aaa", ("a", "hunter"));
        assert_eq!(known.published_in(std::slice::from_ref(&good)), None);
        for bad in [
            family("a_hunter2", "a", ("b", "c")),
            family("a", "is hunter2.", ("b", "c")),
            family("a", "a", ("hunter2_", "c")),
            family("a", "a", ("b", "http://me:hunter2@host/")),
        ] {
            assert_eq!(known.published_in(&[good.clone(), bad]), Some("KEY"));
        }
    }

    #[test]
    fn no_debug_output_shows_one() {
        let shown = format!("{:?}", known(&[("KEY", "hunter2")]));
        assert!(shown.contains("KEY") && !shown.contains("hunter2"), "{shown}");
    }
}
