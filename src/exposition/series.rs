//! What makes a series: its labels without the empty ones, in any order. Compared by hash first, then to the byte.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::scan::{Label, Line, Scanner};

/// One for the process, so that the hashes of two texts can be compared; its seed is nobody's to know.
static HASHING: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// A series, or the label set of a whole histogram or summary: the hash of its labels, and where its first sample
/// stands in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesRef {
    pub(super) hash: u64,
    pub(super) at: usize,
}

/// The hash of one label. Those of a label set are added up, since their order means nothing.
pub(super) fn label_hash(label: &Label<'_>) -> u64 {
    let mut hasher = HASHING.build_hasher();
    hasher.write(label.name.bytes);
    hasher.write(label.value.bytes);
    hasher.finish()
}

/// Label names and values, sorted.
pub(super) type LabelSet<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The labels of the sample at `at` in `text` but those called `bound`, sorted, their values still escaped (each text
/// has but one spelling); `None` where no sample can be read there. Those with empty values are left out, unless
/// `with_empty`.
pub(super) fn labels_at<'a>(
    text: &'a [u8],
    at: usize,
    bound: Option<&str>,
    with_empty: bool,
) -> Option<LabelSet<'a>> {
    let mut scanner = Scanner::default();
    let Ok(Line::Sample { .. }) = scanner.scan(line_at(text, at)) else { return None };
    let mut labels: Vec<_> = scanner
        .labels
        .iter()
        .map(|label| (label.name.bytes, label.value.bytes))
        .filter(|(name, value)| {
            (with_empty || !value.is_empty()) && bound.is_none_or(|b| b.as_bytes() != *name)
        })
        .collect();
    labels.sort_unstable();
    Some(labels)
}

/// The line of `text` from `at` on, without its line end.
pub(super) fn line_at(text: &[u8], at: usize) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = rest.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Sorts `series` and returns each that stands in it again, with the one before it in the text. `labels` are those of
/// the series at a place; they are asked for where the hashes are equal, and once, since their line may be long.
pub(super) fn duplicates<'t>(
    series: &mut [SeriesRef],
    labels: impl Fn(usize) -> Option<LabelSet<'t>>,
) -> Vec<(usize, usize)> {
    series.sort_unstable_by_key(|series| series.hash);
    let mut found = Vec::new();
    for run in series.chunk_by_mut(|one, two| one.hash == two.hash).filter(|run| run.len() > 1) {
        run.sort_unstable();
        // In a run all but always all are the same, and then this is one comparison each.
        let mut known: Vec<(usize, Option<LabelSet<'t>>)> = Vec::new();
        for later in run {
            let labels = labels(later.at);
            match known.iter().find(|(_, before)| *before == labels) {
                Some((first, _)) => found.push((*first, later.at)),
                None => known.push((later.at, labels)),
            }
        }
    }
    found
}
