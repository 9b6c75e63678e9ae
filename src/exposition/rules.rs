//! The rules, each with its name, what breaking it does to whom, and how bad that is. What finds them broken stands
//! beside the readings: [`inspect`](super::inspect), [`read`](super::read), [`prove`](super::prove) for one text,
//! [`clashes`](super::clashes) for several.
//!
//! What happens was measured on node_exporter 1.5.0 and 1.9.0 (Debian's builds), and read in the source of 1.12.1
//! (collector/textfile.go; prometheus/common v0.70.0, expfmt/text_parse.go), which "later" stands for.

/// The class of a problem, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// The file is rejected as a whole, with the error flag set; nothing else is harmed.
    Reject,
    /// Its own series are lost, altered or invented, and the error flag stays 0.
    Distort,
    /// Others are harmed: node_exporter dies or hangs, the whole scrape is refused, other files' series are lost.
    Poison,
}

impl Harm {
    /// Every class.
    pub const ALL: [Harm; 3] = [Harm::Reject, Harm::Distort, Harm::Poison];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Harm::Reject => "reject",
            Harm::Distort => "distort",
            Harm::Poison => "poison",
        }
    }
}

/// A set of node_exporter versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versions(u8);

impl Versions {
    /// No version.
    pub const NONE: Versions = Versions(0);
    /// 1.5.0, and those that read as it does.
    pub const V1_5: Versions = Versions(1);
    /// 1.9.0, likewise.
    pub const V1_9: Versions = Versions(2);
    /// 1.10.0 and newer.
    pub const LATER: Versions = Versions(4);
    /// Every supported version.
    pub const ALL: Versions = Versions(7);

    /// Those of either set.
    pub const fn or(self, other: Versions) -> Versions {
        Versions(self.0 | other.0)
    }

    /// Whether all of `other` are among them.
    pub fn contains(self, other: Versions) -> bool {
        self.0 & other.0 == other.0
    }

    /// What they are called.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        [(Versions::V1_5, "1.5.0"), (Versions::V1_9, "1.9.0"), (Versions::LATER, "later")]
            .into_iter()
            .filter(move |(version, _)| self.0 & version.0 != 0)
            .map(|(_, word)| word)
    }

    /// Whether it is every supported version.
    pub fn is_all(self) -> bool {
        self == Versions::ALL
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident $name:literal $harm:expr, $rejected_by:expr, $effect:literal;)*) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[$doc])* $rule),* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Rule] = &[$(Rule::$rule),*];

            fn row(self) -> (&'static str, Option<Harm>, Versions, &'static str) {
                match self { $(Rule::$rule => ($name, $harm, $rejected_by, $effect)),* }
            }
        }
    };
}

const REJECT: Option<Harm> = Some(Harm::Reject);
const DISTORT: Option<Harm> = Some(Harm::Distort);
const POISON: Option<Harm> = Some(Harm::Poison);
/// Not harmful: said as advice.
const ADVICE: Option<Harm> = None;

const NONE: Versions = Versions::NONE;
const ALL: Versions = Versions::ALL;
const V1_5: Versions = Versions::V1_5;
const UP_TO_1_9: Versions = Versions::V1_5.or(Versions::V1_9);
const NOT_1_5: Versions = Versions::V1_9.or(Versions::LATER);
const NOT_1_9: Versions = Versions::V1_5.or(Versions::LATER);

rules! {
    // Lines.
    /// Every line that is not blank ends with a line feed.
    UnendedLine "unended-line" REJECT, ALL, "every version rejects the file";
    /// No NUL byte stands outside of texts and comments.
    NulByte "nul-byte" REJECT, ALL, "every version rejects the file";
    /// The text begins without a byte order mark.
    ByteOrderMark "byte-order-mark" REJECT, ALL, "every version rejects the file";
    /// Lines end in LF, not CR LF.
    CarriageReturn "carriage-return" REJECT, ALL, "every version rejects the file";
    // Names.
    /// A sample, HELP or TYPE bears a name `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    MetricName "metric-name" REJECT, ALL, "every version rejects the file";
    /// No name stands in quotes.
    QuotedName "quoted-name" REJECT, V1_5, "1.5.0 rejects the file; 1.9.0 and later take a name that needs no quotes";
    /// What stands in quotes is at least a name without them.
    IllegalName "illegal-name" POISON, NOT_1_9,
        "1.9.0 dies at every scrape until the file is gone; 1.5.0 and later versions reject the file";
    /// No labels stand without a name before the first sample.
    NamelessBraces "nameless-braces" POISON, V1_5,
        "1.9.0 and some later versions die at every scrape until the file is gone; 1.5.0 rejects the file";
    /// No labels stand without a name after a sample.
    OverwritingBraces "overwriting-braces" POISON, V1_5,
        "1.9.0 and later give value and labels to the sample before, or die of it; 1.5.0 rejects the file";
    // Labels.
    /// Labels are written `{name="value",other="value"}`.
    LabelSyntax "label-syntax" REJECT, ALL, "every version rejects the file";
    /// The escapes of a label value are `\\`, `\"` and `\n`.
    LabelEscape "label-escape" REJECT, ALL, "every version rejects the file";
    /// A label value is UTF-8.
    LabelUtf8 "label-utf8" REJECT, ALL, "every version rejects the file";
    /// No label is called `__name__`.
    NameLabel "name-label" REJECT, ALL, "every version rejects the file";
    /// No label name begins with `__`.
    ReservedLabel "reserved-label" POISON, NONE, "every version dies at every scrape until the file is gone";
    /// No label stands twice in one sample.
    DuplicateLabel "duplicate-label" REJECT, ALL, "every version rejects the file";
    /// Neither `le` nor `quantile` stands twice in one sample.
    RepeatedBound "repeated-bound" DISTORT, NONE, "every version takes the last one and says nothing";
    /// `le` belongs to the buckets of a histogram, `quantile` to the quantiles of a summary.
    MisplacedLabel "misplaced-label" ADVICE, NONE, "every version serves it as a label like any other; on a sum or count it leaves it out";
    /// `le` and `quantile` are numbers.
    Bound "bound" REJECT, ALL, "every version rejects the file";
    // Values.
    /// A value is a decimal number, NaN, +Inf or -Inf.
    Value "value" REJECT, ALL, "every version rejects the file";
    /// A blank stands between name and value.
    GluedValue "glued-value" DISTORT, NONE, "every version takes the name to end here and serves the rest as its value";
    /// Nothing stands after a value.
    AfterValue "after-value" REJECT, ALL, "every version rejects the file";
    /// No sample has a timestamp.
    Timestamp "timestamp" REJECT, ALL, "every version drops the file as a whole";
    // HELP and TYPE.
    /// The escapes of HELP are `\\` and `\n`.
    HelpEscape "help-escape" REJECT, ALL, "every version rejects the file";
    /// A quote in HELP has no backslash.
    HelpQuote "help-quote" REJECT, V1_5, "1.5.0 rejects the file; 1.9.0 and later take it";
    /// HELP is UTF-8.
    HelpUtf8 "help-utf8" POISON, NONE, "every version serves it, and Prometheus refuses the whole scrape: `up` is 0";
    /// HELP has no blank at an end, no control character but tab and line feed.
    HelpText "help-text" ADVICE, NONE, "every version serves it as it is; in another file it must be the same to the byte";
    /// A kind is counter, gauge, histogram, summary or untyped.
    TypeWord "type-word" REJECT, ALL, "every version rejects the file";
    /// No kind is gaugehistogram.
    LaterKind "later-kind" REJECT, UP_TO_1_9, "1.5.0 and 1.9.0 reject the file; later versions take it for gauge_histogram";
    /// No kind is gauge_histogram.
    GaugeHistogram "gauge-histogram" POISON, NONE,
        "every version that knows the kind dies at every scrape until the file is gone";
    /// A family has one HELP.
    SecondHelp "second-help" REJECT, ALL, "every version rejects the file";
    /// A family has one TYPE.
    SecondType "second-type" REJECT, ALL, "every version rejects the file";
    /// TYPE stands before the samples.
    LateType "late-type" REJECT, ALL, "every version rejects the file";
    /// HELP is of a whole histogram or summary, not of a part.
    PartHelp "part-help" ADVICE, NONE, "every version takes it for the HELP of the whole";
    // Families.
    /// The name is not one that node_exporter or Prometheus uses itself.
    ReservedName "reserved-name" POISON, NONE,
        "this series, or one of node_exporter's or Prometheus's own, is lost or replaced, at some scrapes or at all, and the error flag may lie";
    /// The name is not that of a collector of node_exporter's that is off by default.
    OptionalName "optional-name" ADVICE, NONE,
        "every version serves it; once the collector is switched on, one of the two is lost";
    /// No family is called like a part (`x_count`, `x_sum`, `x_bucket`) of a histogram or summary `x`.
    SuffixClash "suffix-clash" DISTORT, NONE, "every version loses one of the two families, not always the same";
    /// No series stands twice: labels with empty values are no labels, `le` and `quantile` are numbers.
    DuplicateSeries "duplicate-series" DISTORT, NONE, "every version serves one of them, and logs an error at every scrape but for parts of a histogram or summary";
    /// No sample of a histogram or summary is one that node_exporter passes over.
    IgnoredSample "ignored-sample" DISTORT, NONE, "every version leaves it out and says nothing";
    /// Buckets, `_sum` and `_count` of a histogram are all there, are counts, and agree.
    Histogram "histogram" DISTORT, NONE, "every version serves other numbers, or numbers that contradict each other";
    /// `_sum` and `_count` of a summary are there, quantiles are between 0 and 1.
    Summary "summary" DISTORT, NONE, "every version serves other numbers, or a quantile that can't be";
    /// A histogram has its `+Inf` bucket.
    ImpliedBucket "implied-bucket" ADVICE, NONE, "every version makes it from the count";
    // Several files.
    /// HELP of a family is equal in all files to the byte, or in none.
    HelpConflict "help-conflict" POISON, NONE,
        "the family is lost from one of the files, from 1.9.0 on from all later ones, or node_exporter dies";
    /// TYPE of a family is the same in all files.
    TypeConflict "type-conflict" POISON, NONE, "the family is lost from the later file, and the error flag stays 0";
    /// No series stands in two files.
    SeriesConflict "series-conflict" POISON, NONE, "one of the two numbers is lost, and the error flag stays 0";
    /// No family is called like a part of a histogram or summary of another file.
    SuffixConflict "suffix-conflict" POISON, NONE, "the family is lost from the later file, and the error flag stays 0";
    // Entries of the directory.
    /// The name of a file is UTF-8.
    FileName "file-name" POISON, NONE, "every version dies at every scrape until the file is gone";
    /// No FIFO is called `*.prom`.
    Fifo "fifo" POISON, NONE,
        "every version hangs at every scrape: no metric at all from this host, and after 40 scrapes not until a restart";
    /// No socket is called `*.prom`.
    Socket "socket" REJECT, ALL, "every version sets the error flag; the other files are served";
    /// No device but /dev/null is called `*.prom`, by a link.
    Device "device" REJECT, ALL, "every version reads it at every scrape, and sets the error flag or hangs";
    /// No directory is called `*.prom`.
    DirectoryEntry "directory-entry" REJECT, NOT_1_5,
        "1.9.0 and later set the error flag; 1.5.0 takes it for an empty file";
    /// A link leads to something.
    BrokenLink "broken-link" REJECT, ALL, "every version sets the error flag; the other files are served";
    /// node_exporter's user can read the file.
    UnreadableFile "unreadable-file" REJECT, ALL,
        "every version that can't read the file leaves it out and sets the error flag";
    /// node_exporter's user can list and search the directory.
    UnreadableDirectory "unreadable-directory" POISON, NONE, "every version loses all files and sets the error flag";
    /// A file is replaced as a whole, not written to where it is read.
    ChangingFile "changing-file" REJECT, ALL, "every version rejects what it reads half of, at some scrapes";
    /// A file is small enough for a scrape.
    HugeFile "huge-file" POISON, NONE,
        "not looked into: every version needs a multiple of its size in memory, and longer than a scrape may take";
    // What promdrop writes.
    /// Only one spelling is published.
    NotCanonical "not-canonical" ADVICE, NONE, "every version takes it; promdrop would not have written it so";
    // Style.
    /// A family has a HELP.
    NoHelp "no-help" ADVICE, NONE, "every version invents one that names the file";
    /// A family has a TYPE.
    NoType "no-type" ADVICE, NONE, "every version serves it as untyped";
    /// Units are base units: seconds, bytes, ratios.
    BaseUnit "base-unit" ADVICE, NONE, "every version serves it; graphs and rules for other hosts won't fit";
    /// The name of a counter ends in `_total`, that of nothing else does.
    CounterName "counter-name" ADVICE, NONE, "every version serves it; OpenMetrics would rename it";
}

impl Rule {
    /// Its name for the user, which stays as it is.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// How bad it is to break it; `None` where it is a matter of style.
    pub fn harm(self) -> Option<Harm> {
        self.row().1
    }

    /// Which versions reject the whole file.
    pub fn rejected_by(self) -> Versions {
        self.row().2
    }

    /// What happens on which versions.
    pub fn effect(self) -> &'static str {
        self.row().3
    }

    /// Whether it can seem broken only because a line of the text could not be read.
    pub(super) fn needs_whole_text(self) -> bool {
        matches!(self, Rule::Histogram | Rule::Summary | Rule::MisplacedLabel | Rule::ImpliedBucket)
    }
}

/// A broken rule at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Where, in bytes from the start of the text.
    pub at: usize,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it.
    pub cure: String,
    /// How bad it is here: the rule's own class, but where it depends. `None`: advice.
    pub harm: Option<Harm>,
    /// Another place of the text that the message speaks of, whose line it names.
    pub other: Option<usize>,
}

impl Finding {
    /// A finding of the rule's own class.
    pub fn new(rule: Rule, at: usize, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { rule, at, message: message.into(), cure: cure.into(), harm: rule.harm(), other: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_name() {
        let names: std::collections::BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))));
    }

    #[test]
    fn what_every_version_rejects_is_a_rejection() {
        for rule in Rule::ALL {
            assert!(rule.harm() == REJECT || !rule.rejected_by().is_all(), "{rule:?}");
            assert!(rule.harm() != REJECT || rule.rejected_by() != NONE, "{rule:?}");
        }
    }
}
