//! The path that names a group: `job/JOB{/LABEL/VALUE}`, as a Pushgateway's clients write it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use crate::config::yaml::Wrong;
use crate::diagnostic::printable;
use crate::exposition::Labels;
use crate::fnv;

const USAGE: &str = "write job/JOB, job/JOB/LABEL/VALUE, or the URL that was pushed to";

/// What marks a label whose value is base64, for the URL.
const BASE64_SUFFIX: &str = "@base64";

/// As Go's RawURLEncoding, which the Pushgateway uses: no padding, and loose bits at the end are nobody's concern.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The longest readable part of a file's name.
const LONGEST_SLUG: usize = 60;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `job` among them, none of them empty, in the order of their names.
    labels: BTreeMap<String, String>,
    /// Labels that a path names and the group has not, since they are empty or the scrape's. No sample has them.
    left_out: BTreeSet<String>,
}

impl Group {
    /// Reads a group's path: percent escapes and `@base64` as in a Pushgateway's URL, with or without what stands there
    /// before `job/`.
    ///
    /// # Errors
    /// What a Pushgateway refuses, and values that are not UTF-8.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        // As a server does: before it looks for slashes. The rest of a URL is not for its path.
        let decoded = decode(text.split(['?', '#']).next().unwrap_or_default());
        let decoded = decoded.map_err(|(message, cure)| wrong(text, &message, cure))?;
        let path = path(&decoded).ok_or_else(|| wrong(text, "there is no `job/` in it", USAGE))?;
        let mut parts: Vec<&str> = path.split('/').collect();
        // As `job/x`.
        if matches!(parts.as_slice(), [_, _, ""]) {
            parts.pop();
        }
        if let Some(part) = parts.iter().find(|part| matches!(**part, "." | "..")) {
            let message = format!("`{part}` means another path in a URL");
            return Err(wrong(text, &message, "write the value as base64: LABEL@base64/VALUE"));
        }
        if !parts.len().is_multiple_of(2) {
            let message = "it has a label without a value";
            let cure = "write a value with a slash in it as base64: LABEL@base64/VALUE; an empty one as LABEL@base64/=";
            return Err(wrong(text, message, cure));
        }
        let mut pairs = Vec::new();
        for pair in parts.chunks_exact(2) {
            let [name, value] = pair else { continue };
            pairs.push(label(name, value).map_err(|(message, cure)| wrong(text, &message, cure))?);
        }
        // The last of a name counts, but the job is the first.
        let job = pairs.first().map(|(_, job)| job.clone()).filter(|job| !job.is_empty());
        let job = job.ok_or_else(|| wrong(text, "the job is empty", USAGE))?;
        let mut labels: BTreeMap<String, String> = pairs.into_iter().collect();
        labels.insert("job".to_owned(), job);
        // For Prometheus, an empty label is none.
        let empty = labels.iter().filter(|(_, value)| value.is_empty());
        let left_out = empty.map(|(name, _)| name.clone()).collect();
        labels.retain(|_, value| !value.is_empty());
        Ok(Self { labels, left_out })
    }

    /// Leaves the label `instance` to the scrape where its value means this host.
    pub fn leave_instance(&mut self, is_this_host: impl Fn(&str) -> bool) {
        if self.labels.get("instance").is_some_and(|instance| is_this_host(instance)) {
            self.left_out.extend(self.labels.remove_entry("instance").map(|(name, _)| name));
        }
    }

    /// Whether it has the label `instance`.
    pub fn has_instance(&self) -> bool {
        self.labels.contains_key("instance")
    }

    /// Its labels.
    pub fn labels(&self) -> Labels {
        self.labels.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Puts the group's labels on a sample, in the place of those of the same names.
    pub fn override_labels(&self, labels: &mut Labels) {
        let is_ours = |name: &str| self.labels.contains_key(name) || self.left_out.contains(name);
        labels.retain(|(name, _)| !is_ours(name));
        labels.extend(self.labels());
    }

    /// The one path among all that name it, which [`parse`](Self::parse) reads: for its file's header, and to be shown.
    pub fn canonical(&self) -> String {
        let is_plain = |value: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@+,=".contains(&byte);
            !matches!(value, "." | "..") && value.bytes().all(plain)
        };
        let parts = self.job_first().map(|(name, value)| match is_plain(value) {
            true => format!("{name}/{value}"),
            false => format!("{name}{BASE64_SUFFIX}/{}", BASE64.encode(value)),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn job_first(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_job = |name: &str| name == "job";
        let (job, others) = (
            self.labels.iter().filter(move |(name, _)| is_job(name)),
            self.labels.iter().filter(move |(name, _)| !is_job(name)),
        );
        job.chain(others).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The name of its file: something to read, and a hash that tells it from all others.
    pub fn file(&self) -> String {
        let values: Vec<&str> = self.job_first().map(|(_, value)| value).collect();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let slug: String = values.join("-").chars().map(plain).take(LONGEST_SLUG).collect();
        format!("push.{slug}-{:016x}.prom", fnv::hash(self.canonical().bytes()))
    }
}

/// What of `text` is the group's path: it begins with `job`.
fn path(text: &str) -> Option<&str> {
    let starts = |text: &str| text.starts_with("job/") || text.starts_with("job@base64/");
    let bare = text.strip_prefix('/').unwrap_or(text);
    let bare = bare.strip_prefix("metrics/").unwrap_or(bare);
    if starts(bare) {
        return Some(bare);
    }
    let mut places = text.match_indices("/metrics/");
    places.find_map(|(at, prefix)| text.get(at + prefix.len()..).filter(|rest| starts(rest)))
}

/// What is wrong, and the cure.
type Fault = (String, &'static str);

fn decode(path: &str) -> Result<String, Fault> {
    let mut escapes = path.split('%').skip(1);
    let is_escape =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !escapes.all(is_escape) {
        return Err(("a `%` in it is no escape".into(), "write `%25`"));
    }
    let decoded = percent_decode_str(path).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| ("its escapes are not UTF-8".into(), "escape the bytes of UTF-8 text"))
}

fn label(name: &str, value: &str) -> Result<(String, String), Fault> {
    let (name, encoded) = match name.strip_suffix(BASE64_SUFFIX) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !begins || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || name.starts_with("__") {
        let cure = "a label's name has letters, digits and `_`, and begins with neither a digit nor `__`";
        return Err((format!("`{}` is no name for a label", printable(name)), cure));
    }
    if !encoded {
        return Ok((name.to_owned(), value.to_owned()));
    }
    // Go passes over line ends.
    let value = value.replace(['\r', '\n'], "");
    let decoded = BASE64.decode(value.trim_end_matches('=')).ok();
    let Some(decoded) = decoded else {
        let cure = "encode with the alphabet for URLs, `-` and `_` in place of `+` and `/`";
        return Err((format!("the value of `{name}` is not base64"), cure));
    };
    let Ok(value) = String::from_utf8(decoded) else {
        return Err((format!("the value of `{name}` is not UTF-8"), "encode UTF-8 text"));
    };
    Ok((name.to_owned(), value))
}

fn wrong(text: &str, message: &str, cure: &str) -> Wrong {
    Wrong::new(format!("{} names no group: {message}", printable(text)), cure)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(text: &str) -> String {
        let group = Group::parse(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message));
        group.labels.iter().map(|(name, value)| format!("{name}={value:?} ")).collect()
    }

    #[test]
    fn a_path_means_what_it_means_to_a_pushgateway() {
        for (text, expected) in [
            ("job/x", "job=\"x\" "),
            ("/job/x", "job=\"x\" "),
            ("job/x/", "job=\"x\" "),
            ("job/x/a/", "job=\"x\" "),
            ("metrics/job/x", "job=\"x\" "),
            ("/metrics/job/x/a/b", "a=\"b\" job=\"x\" "),
            ("http://gateway:9091/metrics/job/x/a/b", "a=\"b\" job=\"x\" "),
            ("https://user:word@gateway/prefix/metrics/job/x", "job=\"x\" "),
            ("gateway:9091/metrics/job/x", "job=\"x\" "),
            ("[::1]:9091/metrics/job/x?y=z#w", "job=\"x\" "),
            ("job/a%20b%2Bc+d", "job=\"a b+c+d\" "),
            ("job/x/a%2Fb", "a=\"b\" job=\"x\" "),
            ("job/%C3%A9/a/\u{e9}", "a=\"\u{e9}\" job=\"\u{e9}\" "),
            // The Pushgateway's own examples (README.md, 1.5.1).
            ("job/directory_cleaner/path@base64/L3Zhci90bXA", "job=\"directory_cleaner\" path=\"/var/tmp\" "),
            ("job@base64/YQ/path@base64/L3Zhci90bXA=", "job=\"a\" path=\"/var/tmp\" "),
            (
                "job/example/first_label@base64/=/second_label/foobar",
                "job=\"example\" second_label=\"foobar\" ",
            ),
            (
                "job/titan/name@base64/zqDPgc6_zrzOt864zrXPjc-C",
                "job=\"titan\" name=\"\u{3a0}\u{3c1}\u{3bf}\u{3bc}\u{3b7}\u{3b8}\u{3b5}\u{3cd}\u{3c2}\" ",
            ),
            ("job/x/a/1/a/2/job/y", "a=\"2\" job=\"x\" "),
            ("job/metrics/a/metrics", "a=\"metrics\" job=\"metrics\" "),
            ("job/x/a@base64/eA/b/y@base64", "a=\"x\" b=\"y@base64\" job=\"x\" "),
            ("job%2Fx", "job=\"x\" "),
            ("job/x/a@base64/Y%0AQ", "a=\"a\" job=\"x\" "),
            ("job/x/a@base64/LmE=", "a=\".a\" job=\"x\" "),
        ] {
            assert_eq!(labels(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_pushgateway_refuses_is_refused_with_the_reason() {
        for (text, message) in [
            ("", "there is no `job/` in it"),
            ("jobs/x", "there is no `job/` in it"),
            ("instance/x/job/y", "there is no `job/` in it"),
            ("http://gateway:9091/job/x", "there is no `job/` in it"),
            ("job/", "the job is empty"),
            ("job//a/b", "the job is empty"),
            ("job@base64/=", "the job is empty"),
            ("job/x/a", "it has a label without a value"),
            ("job/x/a/b/", "it has a label without a value"),
            ("job/x//a", "`` is no name for a label"),
            ("job/x/__a/b", "`__a` is no name for a label"),
            ("job/x/1a/b", "`1a` is no name for a label"),
            ("job/x/a-b/c", "`a-b` is no name for a label"),
            ("job/x/a@base64@base64/YQ", "`a@base64` is no name for a label"),
            ("job/x/a@base64/Y+==", "the value of `a` is not base64"),
            ("job/x/a@base64/Y", "the value of `a` is not base64"),
            ("job/x/a@base64/_w", "the value of `a` is not UTF-8"),
            ("job/%ff", "its escapes are not UTF-8"),
            ("job/100%", "a `%` in it is no escape"),
            ("job/%zz", "a `%` in it is no escape"),
            ("job/..", "`..` means another path in a URL"),
        ] {
            let Err(wrong) = Group::parse(text) else { panic!("{text}") };
            assert_eq!(wrong.message, format!("{text} names no group: {message}"));
        }
    }

    #[test]
    fn a_files_name_can_be_read_and_is_the_groups_alone() {
        let file = |text: &str| Group::parse(text).unwrap().file();
        assert_eq!(file("job/Nightly%20backup/zone/a%2Bb"), "push.nightly-backup-a-b-0e6a302e3b11d251.prom");
        assert_eq!(file("job/x/a/1/b/2"), file("/metrics/job/x/b@base64/Mg==/a/1"));
        assert_ne!(file("job/x/a/1/b/2"), file("job/x/a/2/b/1"));
        assert_ne!(file("job/x%20y"), file("job/x-y"));
        assert!(file(&format!("job/{}", "\u{e9}x".repeat(1000))).len() < 100);
    }

    #[test]
    fn the_instance_is_left_to_the_scrape_where_it_is_this_host() {
        let left = |text: &str| {
            let mut group = Group::parse(text).unwrap();
            group.leave_instance(|name| name == "here");
            group.canonical()
        };
        assert_eq!(left("job/x/instance/here/a/b"), "job/x/a/b");
        assert_eq!(left("job/x/instance/there"), "job/x/instance/there");
        assert_eq!(left("job/here"), "job/here");
    }

    proptest! {
        #[test]
        fn the_canonical_path_names_the_same_group(
            job in "\\PC{1,9}", labels in proptest::collection::btree_map("[a-z]{1,4}", any::<String>(), 0..4),
        ) {
            let mut labels = labels;
            labels.retain(|_, value| !value.is_empty());
            labels.insert("job".into(), job);
            let group = Group { labels, left_out: BTreeSet::new() };
            prop_assert_eq!(Group::parse(&group.canonical()).unwrap(), group);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(metrics/|job/|[a-z]|%[0-9a-f]|@base64|/|\\PC){0,20}") {
            if let Ok(group) = Group::parse(&text) {
                prop_assert_eq!(Group::parse(&group.canonical()).unwrap().labels, group.labels);
            }
        }
    }
}
