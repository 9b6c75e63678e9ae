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

/// The labels of the sample that `line` begins with but those called `bound`, in an order and a spelling that each set
/// has but one of (values are still escaped, which each text is in one way); `None` where no sample can be read. Those
/// with empty values are left out, unless `with_empty`.
pub(super) fn label_set(line: &[u8], bound: Option<&str>, with_empty: bool) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut scanner = Scanner::default();
    let Ok(Line::Sample { .. }) = scanner.scan(line) else { return None };
    let mut labels: Vec<&Label<'_>> = scanner
        .labels
        .iter()
        .filter(|label| with_empty || !label.value.bytes.is_empty())
        .filter(|label| bound.is_none_or(|bound| bound.as_bytes() != label.name.bytes))
        .collect();
    labels.sort_unstable_by_key(|label| (label.name.bytes, label.value.bytes));
    let mut set = Vec::with_capacity(line.len());
    labels.into_iter().for_each(|label| spell(label, &mut set));
    Some(set)
}

/// Appends `label` as `name="value"`, in which no name and no value can be taken for another one.
pub(super) fn spell(label: &Label<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(label.name.bytes);
    out.extend_from_slice(b"=\"");
    out.extend_from_slice(label.value.bytes);
    out.push(b'"');
}

/// The line of `text` from `at` on, without its line feed.
pub(super) fn line_at(text: &[u8], at: usize) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Sorts `series` and returns each that stands in it again, with the one before it in the text. `labels` is asked for the
/// label set at a place where the hashes are equal, and once, since the line may be long.
pub(super) fn duplicates(
    series: &mut [SeriesRef],
    mut labels: impl FnMut(usize) -> Option<Vec<u8>>,
) -> Vec<(usize, usize)> {
    series.sort_unstable_by_key(|series| series.hash);
    let mut found = Vec::new();
    for run in series.chunk_by_mut(|one, two| one.hash == two.hash).filter(|run| run.len() > 1) {
        run.sort_unstable();
        // In a run all but always all are the same, and then this is one comparison each.
        let mut known: Vec<(usize, Option<Vec<u8>>)> = Vec::new();
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
