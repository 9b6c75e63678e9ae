//! Reading, rendering and proving together: the measured corpus, and texts and families made at random.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::series::line_at;
use super::*;
use crate::diagnostic::Problem;

#[path = "../../tests/support/corpus.rs"]
mod corpus;
#[path = "../../tests/support/families.rs"]
mod families;

/// Cases that both node_exporters take and promdrop does not, and why.
const STRICTER: &[(&str, &str)] = &[
    ("044-type-gauge_histogram-suffix-only", "later node_exporters die of the kind"),
    ("045-type-gauge_histogram-nosample", "one sample more, and node_exporter dies of the kind"),
    ("306-labels-quantile-on-gauge", "a summary without its TYPE, more likely than a gauge"),
    ("358-help-raw-cr", "a CR in HELP is half a CR LF"),
    ("359-help-raw-nul", "a NUL in HELP is a file that was not written whole"),
    ("369-help-esc", "an escape sequence in HELP is made for a terminal"),
    ("370-help-bad-unused", "one sample more, and Prometheus refuses the whole scrape"),
    ("384-sum-quantile-neg", "there is no such quantile"),
    ("385-sum-quantile-inf", "there is no such quantile"),
    ("402-sum-bucket-line", "a bucket without a histogram"),
    ("409-sum-help-count-nohelp", "meant for a part, it becomes the HELP of the whole"),
    ("412-his-no-inf", "node_exporter invents the bucket"),
    ("417-his-inf-mismatch", "the numbers contradict each other"),
    ("418-his-decreasing", "the numbers contradict each other"),
    ("447-his-type-late", "meant for a histogram, it becomes three untyped families"),
    ("452-his-gauge-bucket-label", "a histogram without its TYPE, more likely than a gauge"),
    ("472-own-scrape-error-labels", "the name is node_exporter's own"),
    ("474-own-mtime-samehelp", "the name is node_exporter's own"),
    ("480-own-go-goroutines-samehelp", "the name is node_exporter's own"),
    ("619-gauge-le-split", "a bucket without a histogram"),
    ("794-m-in-help-cr", "a CR in HELP is half a CR LF"),
];

fn rendered(families: &[Family]) -> String {
    let mut out = String::new();
    render(families, &mut out);
    out
}

fn proved(text: &str) -> Result<(), Vec<Problem>> {
    prove(text.as_bytes()).map(drop)
}

/// What [`read`] takes, checked for what must then hold: it renders to what [`prove`] passes, and that reads back
/// the same.
fn read_and_back(text: &[u8]) -> Result<Vec<Family>, Vec<Problem>> {
    let families = read(text)?;
    let published = rendered(&families);
    assert_eq!(proved(&published), Ok(()), "{published}");
    let again = read(published.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}\n{published}"));
    // By their text, since NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{families:?}"));
    Ok(families)
}

/// `LINE:COLUMN: MESSAGE` of each problem that reading `text` finds.
fn problems(text: &str) -> Vec<String> {
    let problems = read(text.as_bytes()).expect_err(text);
    problems
        .iter()
        .map(|Problem { line, column, message, .. }| format!("{line}:{column}: {message}"))
        .collect()
}

#[test]
fn what_node_exporter_takes_is_read_but_for_documented_strictness() {
    let mut refused = BTreeSet::new();
    for case in CASES.iter().filter(|case| case.class == "accept") {
        if read_and_back(&case.text).is_err() {
            refused.insert(case.name.clone());
        }
    }
    let documented: BTreeSet<String> = STRICTER.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(refused, documented);
}

#[test]
fn whatever_harms_any_node_exporter_is_refused_at_a_place_and_with_a_cure() {
    for case in CASES.iter().filter(|case| case.class != "accept") {
        let problems = read(&case.text).expect_err(&case.name);
        for problem in &problems {
            let lines = case.text.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&problem.line), "{}: {problem:?}", case.name);
            assert!(problem.column > 0 && !problem.cure.is_empty(), "{}: {problem:?}", case.name);
        }
        prove(&case.text).expect_err(&case.name);
    }
}

#[test]
fn problems_are_told_where_they_stand() {
    for (text, expected) in [
        ("c_a 1", "1:5: the last line has no end: was the output cut?"),
        ("c_a 1\n\0\0\0", "2:3: a NUL byte: was the file not written whole?"),
        ("\u{feff}c_a 1\n", "1:1: a byte order mark"),
        ("c_a 1\r\nc_b 2\r\n", "1:6: the line ends in CR LF"),
        ("{x=\"1\"} 1\n", "1:1: labels without a metric name"),
        ("{} 1\n", "1:1: labels without a metric name: node_exporter 1.9.0 dies of it"),
        ("{\"c.a\"} 1\n", "1:1: in quotes, a name that is none without them: node_exporter 1.9.0 dies of it"),
        ("\"c_a\" 1\n", "1:1: a name in quotes"),
        ("c_a-1\n", "1:4: no blank before `-1`: node_exporter takes it for the value"),
        ("1c 1\n", "1:1: no metric name at `1c`"),
        ("c_a{é=\"1\"} 1\n", "1:5: no label name at `é=\"1\"}`"),
        ("c_a{\"x\"=\"1\"} 1\n", "1:1: a name in quotes"),
        ("c_a{x-y=\"1\"} 1\n", "1:6: no `=` after the label name, but `-y=\"1\"}`"),
        ("c_a{x='1'} 1\n", "1:7: the label value is not in double quotes"),
        ("c_a{x=\"1} 1\n", "1:7: the label value has no closing quote"),
        ("c_a{x=\"é\\d\"} 1\n", "1:9: `\\d\"}` is no escape of a label value"),
        ("c_a{x=\"1\" y=\"2\"} 1\n", "1:11: no `,` or `}` after the label value, but `y=\"2\"}`"),
        ("c_a{x=\"1\",\n", "1:4: the labels have no closing `}`"),
        ("c_a\n", "1:4: the sample has no value"),
        ("c_a one\n", "1:5: `one` is no number"),
        ("c_a 0x1F\n", "1:5: `0x1F` is hexadecimal, which node_exporter rejects"),
        ("c_a -NaN\n", "1:5: NaN has no sign"),
        ("c_a 1e999\n", "1:5: `1e999` is larger than a 64-bit float can be"),
        ("c_a 1 \n", "1:6: blanks after the value"),
        ("c_a 1 1700000000000\n", "1:7: a timestamp: node_exporter drops a file that holds one"),
        ("c_a 1 # {x=\"1\"} 1\n", "1:7: an exemplar, which only OpenMetrics has"),
        ("c_a 1 c_b 2\n", "1:7: `c_b` after the value"),
        ("# TYPE of thing\n", "1:11: `thing` is no kind of metric"),
        ("# HELP c-a x\n", "1:8: no metric name after HELP or TYPE, but `c-a`"),
        ("# HELP c_a C:\\Users\n", "1:14: `\\Users` is no escape of a HELP text"),
        ("# HELP c_a say \\\"x\\\"\n", "1:16: a quote with a backslash before it in HELP"),
        ("# TYPE c_a gauge_histogram\n", "1:12: node_exporter dies of the kind `gauge_histogram`"),
        ("# TYPE c_a gauge \n", "1:17: something after the kind"),
        ("# HELP c_a x\n# HELP c_a x\n", "2:8: a second HELP of this family"),
        ("# TYPE c_a gauge\n# TYPE c_a gauge\n", "2:8: a second TYPE of this family"),
        ("c_a 1\n# TYPE c_a gauge\n", "2:8: TYPE after samples of this family"),
        ("# TYPE c_s summary\n# TYPE c_s_count counter\n", "2:8: a second TYPE of this family"),
        (
            "c_a{y=\"1\",__x=\"\"} 1\n",
            "1:11: the label name `__x` begins with `__`: node_exporter dies of it",
        ),
        ("c_a{x=\"1\",y=\"2\",x=\"\"} 1\n", "1:17: a second label `x`"),
        ("c_a 1\n\nc_a{x=\"\"} 2\n", "3:1: this series of `c_a` is there already, in line 1"),
        ("# HELP c_a x\u{7}\nc_a 1\n", "1:12: a control character in HELP"),
        ("up 1\n", "1:1: `up` is Prometheus's own name"),
        ("# TYPE c_s summary\nc_s_sum 1\nc_s_count 2.5\n", "3:11: 2.5 is no count"),
    ] {
        assert_eq!(problems(text), [expected], "{text:?}");
    }
    assert_eq!(
        read(b"c_a{x=\"\xff\"} 1\n").unwrap_err()[0].message,
        "the label value is not UTF-8",
        "not a text that `show` could be given"
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_text() {
    let text = "c_a{__x=\"1\"} 1\nc_b 1 5\n# TYPE c_h histogram\nc_h_bucket{le=\"1\"} x\nc_h_sum 1\nc_a{__x=\"1\"} 2\ncut";
    assert_eq!(
        problems(text),
        [
            "1:5: the label name `__x` begins with `__`: node_exporter dies of it",
            "2:7: a timestamp: node_exporter drops a file that holds one",
            "4:20: `x` is no number",
            // No word of the histogram's missing parts: an unread line may hold them.
            "6:1: this series of `c_a` is there already, in line 1",
            "6:5: the label name `__x` begins with `__`: node_exporter dies of it",
            "7:3: the last line has no end: was the output cut?",
        ]
    );
}

#[test]
fn a_family_of_that_very_name_goes_before_the_part_of_a_histogram() {
    let text =
        "# TYPE c_h_count gauge\n# TYPE c_h histogram\nc_h_bucket{le=\"+Inf\"} 3\nc_h_sum 1\nc_h_count 3\n";
    assert_eq!(
        problems(text),
        [
            "1:8: `c_h_count` is a part of the histogram `c_h`",
            "3:1: no `c_h_count` with the labels of this sample",
        ]
    );
}

#[test]
fn a_flood_of_problems_is_bounded() {
    for line in ["nonsense here\n", "c_a{__x=\"1\"} 1\n"] {
        let problems = read(line.repeat(100_000).as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 101);
        assert_eq!(problems[99].line, if line.starts_with('n') { 100 } else { 51 });
        assert_eq!((problems[100].line, &*problems[100].message), (0, "more problems follow these 100"));
    }
    // Each is looked up in its line, so this would take hours if all were.
    let labels: String = (0..100_000).map(|number| format!("__{number}=\"\",")).collect();
    assert_eq!(read(format!("c_a{{{labels}}} 1\n").as_bytes()).unwrap_err().len(), 101);
    let long = "x".repeat(100_000);
    let problems = read(format!("{long} {long}\n{long}{{__{long}=\"1\"}} 1\n").as_bytes()).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|problem| problem.message.len() < 200), "{problems:?}");
}

#[test]
fn what_means_the_same_becomes_the_same() {
    let plain = "# HELP c_a x\n# TYPE c_a gauge\nc_a{x=\"1\"} 1\nc_a{x=\"2\"} 2\nc_b 3\n";
    let spelt = "\n # A note\n#TYPE  c_a\tGAUGE\n\tc_a { x = \"1\" , } +1.0\nc_b{}  3e0\n#HELP c_b\n\n\
                 # HELP c_a   x\nc_a{empty=\"\",x=\"2\"}2\n  ";
    assert_eq!(rendered(&read(spelt.as_bytes()).unwrap()), plain);
    assert_eq!(proved(plain), Ok(()));
}

#[test]
fn only_the_one_spelling_is_proved() {
    let head = "# promdrop\n# whatever: \"\n";
    let body = "# HELP c_a x\n# TYPE c_a gauge\nc_a{x=\"1\"} 1\nc_a 2\n# TYPE c_b counter\nc_b 3\n";
    assert_eq!(proved(&format!("{head}{body}")), Ok(()));
    assert_eq!(proved(head), Ok(()));
    for (canonical, other) in [
        ("c_b 3\n", "c_b 3\n\n"),
        ("c_b 3\n", "c_b 3\n "),
        ("c_b 3\n", "c_b 3\n# a comment below the head\n"),
        ("c_b 3\n", "c_b 3\nc_a{x=\"3\"} 4\n"),
        ("c_b 3\n", "c_b  3\n"),
        ("c_b 3\n", "c_b{} 3\n"),
        ("c_b 3\n", ""),
        ("# HELP c_a x\n# TYPE c_a gauge\n", "# TYPE c_a gauge\n# HELP c_a x\n"),
        ("# HELP c_a x\n", "# HELP c_a x\n# HELP c_b x\n"),
        ("# HELP c_a x\n", "# HELP c_a\n"),
        ("gauge", "Gauge"),
        ("x=\"1\"", "x=\"1\","),
        ("x=\"1\"", "x=\"1\",y=\"\""),
        ("# promdrop\n", "# promdrop\r\n"),
        ("# promdrop\n", " # promdrop\n"),
        ("# whatever", "\n# whatever"),
    ] {
        let changed = format!("{head}{body}").replacen(canonical, other, 1);
        assert!(prove(changed.as_bytes()).is_err(), "{changed}");
    }
}

#[test]
fn every_case_of_the_corpus_is_judged_by_its_class() {
    let mut wrong = Vec::new();
    for case in CASES.iter() {
        let found = judge(&[("ours.prom", &case.text)]);
        let worst = found.iter().filter_map(|(_, finding)| finding.harm).max();
        let word = worst.map_or("accept", Harm::word);
        let stricter = corpus::STRICTER.iter().find(|(name, ..)| *name == case.name);
        let fine = match stricter {
            Some((_, rule, _)) => {
                case.class == "accept" && found.iter().any(|(_, finding)| finding.rule.name() == *rule)
            }
            None => word == corpus::called_otherwise(&case.name).unwrap_or(&case.class),
        };
        if !fine {
            wrong.push(format!("{} is {}, not {word}: {found:?}", case.name, case.class));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// A text in the smallest pieces there are: each a line.
struct ByLine<'a>(&'a [u8]);

impl Text for ByLine<'_> {
    fn each(&mut self, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let _ = self.0.split_inclusive(|byte| *byte == b'\n').try_for_each(take);
    }

    fn line(&mut self, at: usize) -> Option<Vec<u8>> {
        Some(line_at(self.0, at).to_vec())
    }
}

#[test]
fn a_text_is_judged_alike_in_pieces_and_as_a_whole() {
    for case in CASES.iter() {
        let (pieces, whole) = (inspect_text(&mut ByLine(&case.text)), inspect(&case.text));
        assert_eq!(format!("{pieces:?}"), format!("{whole:?}"), "{}", case.name);
        let every = || 0..case.text.len();
        let found = spots(&mut ByLine(&case.text), every());
        assert_eq!(found, spots(&mut case.text.as_slice(), every()), "{}", case.name);
        assert_eq!(found.len(), case.text.len());
    }
}

/// The rules that one file breaks for node_exporter, without advice, and those that `read` refuses it for.
#[track_caller]
fn broken(text: &str) -> Vec<(usize, &'static str)> {
    let reading = inspect(text.as_bytes());
    let harms = reading.findings.iter().filter(|finding| finding.harm.is_some());
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let found = harms.map(|finding| (line(finding.at), finding.rule.name())).collect::<Vec<_>>();
    assert!(found.is_empty() || read(text.as_bytes()).is_err(), "{text}");
    found
}

const HISTOGRAM: &str = "# TYPE c_h histogram\n\
    c_h_bucket{le=\"1\"} 2\n\
    c_h_bucket{le=\"+Inf\"} 3\n\
    c_h_sum NaN\n\
    c_h_count 3\n\
    c_h_count{x=\"1\"} 0\n\
    c_h_bucket{le=\"inf\",x=\"1\"} 0\n\
    c_h_bucket{x=\"1\",le=\"-5\"} 0\n\
    c_h_sum{x=\"1\"} -1\n";

const SUMMARY: &str = "# TYPE c_s summary\n\
    c_s{quantile=\"0\"} -2\n\
    c_s{quantile=\"1\"} NaN\n\
    c_s_sum 4.5\n\
    c_s_count 9007199254740993\n";

#[test]
fn a_histogram_is_whole_and_agrees_with_itself() {
    assert_eq!(broken(HISTOGRAM), []);
    for (good, bad, expected) in [
        ("c_h_sum NaN\n", "", vec![(2, "histogram")]),
        ("c_h_count 3\n", "", vec![(2, "histogram")]),
        ("le=\"1\"", "le=\"x\"", vec![(2, "bound")]),
        ("le=\"1\"", "le=\"\"", vec![(2, "bound")]),
        ("le=\"1\"", "le=\"NaN\"", vec![(2, "ignored-sample")]),
        ("{le=\"1\"}", "", vec![(2, "ignored-sample")]),
        ("c_h_bucket{le=\"1\"} 2", "c_h 2", vec![(2, "ignored-sample")]),
        ("le=\"1\"", "le=\"1\",le=\"2\"", vec![(2, "repeated-bound")]),
        ("le=\"1\"", "le=\"inf\"", vec![(3, "duplicate-series")]),
        ("c_h_sum NaN\n", "c_h_sum 1\nc_h_sum 1\n", vec![(5, "duplicate-series")]),
        ("c_h_sum NaN", "c_h_sum{le=\"1\"} 1", vec![(4, "misplaced-label")]),
        ("c_h_count 3", "c_h_count 4", vec![(5, "histogram")]),
        ("} 2\n", "} 4\n", vec![(3, "histogram")]),
        // Numbers that are no counts.
        ("} 2\n", "} 0.5\n", vec![(2, "histogram")]),
        ("} 2\n", "} -1\n", vec![(2, "histogram")]),
        ("} 2\n", "} NaN\n", vec![(2, "histogram")]),
        ("c_h_count 3", "c_h_count 18446744073709551616", vec![(5, "histogram"), (5, "histogram")]),
        // A _sum with other labels is another histogram's.
        ("c_h_sum{x=\"1\"} -1", "c_h_sum{x=\"2\"} -1", vec![(6, "histogram"), (9, "histogram")]),
        // An empty label is none for the registry, but another histogram for the parser.
        (
            "c_h_sum NaN",
            "c_h_sum{x=\"\"} NaN",
            vec![(2, "histogram"), (4, "histogram"), (4, "duplicate-series")],
        ),
    ] {
        let text = HISTOGRAM.replacen(good, bad, 1);
        let mut found = broken(&text);
        let mut expected = expected;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
    // The bucket +Inf may be left to node_exporter, as long as the count is there, but not by promdrop.
    let text = HISTOGRAM.replacen("c_h_bucket{le=\"+Inf\"} 3\n", "", 1);
    assert_eq!(broken(&text), []);
    assert_eq!(problems(&text), ["2:1: no bucket le=\"+Inf\" with the labels of this sample"]);
    // Samples of one histogram need not stand together.
    assert_eq!(
        broken(
            "# TYPE c_h histogram\n# TYPE c_g histogram\nc_h_sum{x=\"1\"} 1\nc_g_sum{x=\"2\"} 1\nc_h_sum{x=\"2\"} 1\n\
             c_h_count{x=\"1\"} 1\nc_g_count{x=\"2\"} 1\nc_h_count{x=\"2\"} 1\n"
        ),
        []
    );
}

#[test]
fn a_summary_is_whole() {
    assert_eq!(broken(SUMMARY), []);
    for (good, bad, expected) in [
        ("c_s_sum 4.5\n", "", vec![(2, "summary")]),
        ("c_s_count 9007199254740993\n", "", vec![(2, "summary")]),
        ("\"0\"", "\"p50\"", vec![(2, "bound")]),
        ("\"0\"", "\"NaN\"", vec![(2, "ignored-sample")]),
        ("{quantile=\"0\"}", "", vec![(2, "ignored-sample")]),
        ("\"0\"", "\"1.1\"", vec![(2, "summary")]),
        ("\"0\"", "\"-0.1\"", vec![(2, "summary")]),
        ("\"0\"", "\"1.0\"", vec![(3, "duplicate-series")]),
        ("9007199254740993", "0.5", vec![(5, "summary")]),
        ("quantile=\"0\"", "quantile=\"0\",quantile=\"0.5\"", vec![(2, "repeated-bound")]),
    ] {
        let text = SUMMARY.replacen(good, bad, 1);
        assert_eq!(broken(&text), expected, "{text}");
    }
    assert_eq!(
        broken("# TYPE c_s summary\nc_s{quantile=\"0\"} 1\nc_s{quantile=\"-0\"} 1\nc_s_sum 1\nc_s_count 1\n"),
        [(3, "duplicate-series")]
    );
}

#[test]
fn series_are_their_labels_without_the_empty_ones_in_any_order() {
    for (one, two, same) in [
        ("", "", true),
        ("{}", "{x=\"\"}", true),
        ("{x=\"1\"}", "{x=\"1\",y=\"\"}", true),
        ("{x=\"1\",y=\"2\"}", "{y=\"2\",x=\"1\"}", true),
        ("{x=\"1\",y=\"2\"}", "{x=\"2\",y=\"1\"}", false),
        ("{x=\"1\"}", "{X=\"1\"}", false),
        ("{x=\"a\\nb\"}", "{x=\"a\\\\nb\"}", false),
        ("{xy=\"z\"}", "{x=\"yz\"}", false),
        ("{le=\"1\"}", "{le=\"1.0\"}", false),
    ] {
        let found = broken(&format!("c_a{one} 1\nc_a{two} 2\n"));
        assert_eq!(found.contains(&(2, "duplicate-series")), same, "{one} {two}");
        let clash = judge(&[
            ("a.prom", format!("c_a{one} 1\n").as_bytes()),
            ("b.prom", format!("c_a{two} 2\n").as_bytes()),
        ]);
        assert_eq!(
            clash.iter().any(|(_, finding)| finding.rule == Rule::SeriesConflict),
            same,
            "{one} {two}"
        );
    }
}

#[test]
fn names_clash_with_parts_in_either_order() {
    for (whole, clashing, free) in [
        (HISTOGRAM, &["c_h_bucket", "c_h_sum", "c_h_count"][..], &["c_h_total", "c_h_"][..]),
        (SUMMARY, &["c_s_sum", "c_s_count"], &["c_s_bucket", "c_s_total"]),
    ] {
        for name in clashing.iter().chain(free) {
            let other = format!("# TYPE {name} gauge\n{name}{{z=\"1\"}} 1\n");
            let clashes = clashing.contains(name);
            // In one file: only declared before is it a family of its own.
            let text = format!("{other}{whole}");
            assert_eq!(broken(&text).contains(&(1, "suffix-clash")), clashes, "{text}");
            for files in [[("a", &*other), ("b", whole)], [("a", whole), ("b", &*other)]] {
                let found = judge(&files.map(|(name, text)| (name, text.as_bytes())));
                let found =
                    found.iter().any(|(file, finding)| *file == 1 && finding.rule == Rule::SuffixConflict);
                assert_eq!(found, clashes, "{files:?}");
            }
        }
    }
}

#[test]
fn several_files_must_agree() {
    let found = |files: &[&str]| -> Vec<String> {
        let names = ["a.prom", "b.prom", "c.prom", "d.prom"];
        let files: Vec<(&str, &[u8])> =
            names.into_iter().zip(files.iter().map(|text| text.as_bytes())).collect();
        judge(&files)
            .into_iter()
            .filter(|(_, finding)| finding.harm.is_some())
            .map(|(file, finding)| format!("{} {}: {}", names[file], finding.rule.name(), finding.message))
            .collect()
    };
    let x = "# HELP c_a x\nc_a{f=\"1\"} 1\n";
    let y = "# HELP c_a y\nc_a{f=\"2\"} 1\n";
    let none = "c_a{f=\"3\"} 1\n";
    assert_eq!(found(&[x, y]), ["b.prom help-conflict: `c_a` has another HELP in a.prom"]);
    assert_eq!(found(&[x, none]), ["b.prom help-conflict: `c_a` has no HELP here, but in a.prom"]);
    assert_eq!(found(&[none, x]), ["b.prom help-conflict: `c_a` has HELP here, and none in a.prom"]);
    assert_eq!(found(&[none, "# HELP c_a\nc_a{f=\"4\"} 1\n", "c_a 1\n"]), [""; 0]);
    // Three files: each that differs from the first is told.
    assert_eq!(found(&[x, y, none]).len(), 2);
    assert_eq!(
        found(&["# TYPE c_a gauge\nc_a 1\n", "c_a{f=\"1\"} 1\n"]),
        ["b.prom type-conflict: `c_a` is of TYPE untyped here, and gauge in a.prom"]
    );
    assert_eq!(
        found(&["c_b 1\n", "c_a{f=\"1\"} 1\n", "c_a{f=\"2\"} 1\nc_a{g=\"\",f=\"1\"} 1\n"]),
        ["c.prom series-conflict: this series of `c_a` is also in b.prom"]
    );
    // A histogram is one series, whatever its buckets.
    let part = |le: &str| {
        format!(
            "# TYPE c_h histogram\nc_h_bucket{{le=\"{le}\"}} 1\nc_h_bucket{{le=\"+Inf\"}} 1\nc_h_sum 1\nc_h_count 1\n"
        )
    };
    assert_eq!(
        found(&[&part("1"), &part("2")]),
        ["b.prom series-conflict: this series of `c_h` is also in a.prom"]
    );
    // What every version rejects holds nothing; what only some reject does.
    assert_eq!(found(&["c_a 1\n", "c_a 2 \n"]).len(), 1);
    assert_eq!(
        found(&["c_a 1\n", "{\"c_a\"} 1\n"]),
        [
            "b.prom quoted-name: a name in quotes",
            "b.prom series-conflict: `c_a` has series here that may be those in a.prom"
        ]
    );
    // Whatever the order they are given in.
    let files = [("b.prom", &b"c_a 1\n"[..]), ("a.prom", b"c_a 2\n")];
    let told: Vec<usize> =
        judge(&files).iter().filter(|(_, f)| f.harm.is_some()).map(|(file, _)| *file).collect();
    assert_eq!(told, [0]);
}

#[test]
fn what_one_file_meets_is_what_all_files_hold() {
    let new =
        inspect(b"# TYPE c_h histogram\nc_h_bucket{le=\"+Inf\"} 1\nc_h_sum 1\nc_h_count 1\nc_b_sum 1\n")
            .facts;
    let others: Vec<Facts> =
        ["c_h_count 1\n", "c_b_sum 1\n", "# TYPE c_b summary\nc_b_sum 1\nc_b_count 1\n", "c_c 1\n"]
            .map(|text| inspect(text.as_bytes()).facts)
            .into();
    let others: Vec<&Facts> = others.iter().collect();
    let found = clashes_between(&[&new], &others, &mut |_, _| None);
    let found: Vec<_> = found.iter().map(|clash| (clash.rule, &*clash.family, clash.other)).collect();
    assert_eq!(
        found,
        [
            (Rule::SuffixConflict, "c_h", 1),
            (Rule::SeriesConflict, "c_b_sum", 2),
            (Rule::SuffixConflict, "c_b_sum", 3)
        ]
    );
}

#[test]
fn what_is_told_of_several_files_is_the_first_and_told_once() {
    let series: String = (0..50).map(|number| format!("c_a{{x=\"{number}\"}} 1\n")).collect();
    let turned: String = series.split_inclusive('\n').rev().collect();
    let clashes_of = |texts: &[&str]| {
        let facts: Vec<Facts> = texts.iter().map(|text| inspect(text.as_bytes()).facts).collect();
        let facts: Vec<&Facts> = facts.iter().collect();
        clashes(&facts, &mut |file, at| texts.get(file).map(|text| line_at(text.as_bytes(), at).to_vec()))
    };
    let places = |texts: &[&str]| -> Vec<_> {
        clashes_of(texts).iter().map(|clash| (clash.file, clash.at, clash.other, clash.other_at)).collect()
    };
    // Of fifty series, whatever their hashes are.
    assert_eq!(places(&[&series, &turned]), [(1, 0, 0, series.rfind("c_a").unwrap())]);
    assert_eq!(
        places(&["c_a 1\n", "c_a{x=\"x\"} 1\n", &series, &turned]),
        [(3, 0, 2, series.rfind("c_a").unwrap())]
    );
    // Each part against the first whole only, and the other way round.
    let whole =
        "# TYPE c_h histogram\nc_h_bucket{le=\"+Inf\",f=\"F\"} 1\nc_h_sum{f=\"F\"} 1\nc_h_count{f=\"F\"} 1\n";
    let (one, two) = (whole.replace('F', "1"), whole.replace('F', "2"));
    let (part, twin) = ("c_h_sum{p=\"1\"} 1\n", "c_h_sum{p=\"2\"} 1\n");
    assert_eq!(places(&[&one, &two, part, twin]), [(2, 0, 0, 7), (3, 0, 0, 7)]);
    assert_eq!(places(&[part, twin, &one, &two]), [(2, 7, 0, 0), (3, 7, 0, 0)]);
    assert_eq!(places(&[part, &one, twin]), [(1, 7, 0, 0), (2, 0, 1, 7)]);
}

#[test]
fn names_that_are_not_utf8_are_no_common_name() {
    let found = judge(&[("a.prom", b"{\"\xff\"} 1\n"), ("b.prom", b"{\"\xfe\"} 1\n")]);
    let harmful = found.iter().filter(|(_, finding)| finding.harm.is_some());
    let rules: Vec<_> = harmful.map(|(file, finding)| (*file, finding.rule)).collect();
    assert_eq!(rules, [(0, Rule::IllegalName), (1, Rule::IllegalName)]);
}

#[test]
fn names_in_quotes_after_help_and_type_are_names_for_newer_versions() {
    let facts = |text: &str| inspect(text.as_bytes()).facts;
    for text in [
        "# HELP \"c_a\" x\nc_a{x=\"1\"} 1\n",
        "# HELP c_\"a\" x\nc_a{x=\"1\"} 1\n",
        "# HELP \"c_a\" x\r\nc_a{x=\"1\"} 1\n",
    ] {
        assert_eq!(broken(text), [(1, "quoted-name")], "{text}");
        assert_eq!(facts(text).rejected_by, Versions::V1_5, "{text}");
        let files = [("a.prom", &b"# HELP c_a y\nc_a{x=\"2\"} 1\n"[..]), ("b.prom", text.as_bytes())];
        assert!(judge(&files).iter().any(|(_, finding)| finding.rule == Rule::HelpConflict), "{text}");
    }
    let kind = |text: &str| facts(text).families.first().map(|family| family.kind);
    assert_eq!(kind("# TYPE \"c_a\" counter\nc_a 1\n"), Some(Kind::Counter));
    assert_eq!(broken("# HELP \"c_a\"\nc_a 1\n"), [(1, "quoted-name")]);
    assert_eq!(broken("# TYPE \"c.a\" gauge\nc_b 1\n"), [(1, "quoted-name")]);
    assert_eq!(facts("# HELP \"c_a\" x\nc_a{__x=\"1\"} 1\n").worst, Some(Harm::Poison));
    assert_eq!(broken("# HELP \"c_a\" x\n{x=\"1\"} 1\n"), [(1, "quoted-name"), (2, "nameless-braces")]);
    for rejected in ["# HELP \"c_a\"x y\n", "# HELP \"c_a x\n", "# HELP \"c\\q\" x\n", "# TYPE \"c_a\" x\n"] {
        assert_eq!(facts(rejected).worst, Some(Harm::Reject), "{rejected}");
        assert!(facts(rejected).rejected_by.is_all(), "{rejected}");
    }
}

#[test]
fn labels_without_a_name_are_deadly_whatever_stands_below() {
    let worst = |text: &str| inspect(text.as_bytes()).facts.worst;
    for deadly in ["{} 1\nc_b one\n", "{} 1", "{} 1\r\n", "# HELP c_a x\n{} 1\nc_b one\n"] {
        assert_eq!(worst(deadly), Some(Harm::Poison), "{deadly}");
    }
    assert_eq!(worst("c_b one\n{} 1\n"), Some(Harm::Reject));
}

#[test]
fn gauge_histograms_are_deadly_only_with_samples() {
    assert_eq!(broken("# TYPE c_a gauge_histogram\nc_a 1\n"), [(1, "gauge-histogram")]);
    assert_eq!(broken("# TYPE c_a gauge_histogram\nc_a_bucket 1\n"), [(1, "gauge-histogram")]);
    assert_eq!(broken("# TYPE c_a gauge_histogram\nc_b 1\n"), []);
    assert_eq!(broken("c_a_sum 1\n# TYPE c_a gauge_histogram\n"), []);
}

#[test]
fn later_versions_know_another_word_for_gauge_histograms() {
    let unserved = "# TYPE c_a GaugeHistogram\nc_b 1\n";
    assert_eq!(broken(unserved), [(1, "later-kind")]);
    let facts = inspect(unserved.as_bytes()).facts;
    assert_eq!((facts.worst, facts.rejected_by.is_all()), (Some(Harm::Reject), false));
    let deadly = "# TYPE c_a gaugehistogram\nc_a 1\n";
    assert_eq!(broken(deadly), [(1, "later-kind"), (1, "gauge-histogram")]);
    assert_eq!(inspect(deadly.as_bytes()).facts.worst, Some(Harm::Poison));
    // Later versions take what is declared below for its parts: a second TYPE or HELP of one family.
    for declared in [
        "# TYPE c_a_sum gauge\n",
        "# HELP c_a x\n# HELP c_a_sum x\n",
        "# HELP c_a_sum x\n# HELP c_a_count x\n",
    ] {
        let text = format!("# TYPE c_a gauge_histogram\n{declared}c_b 1\n");
        assert_eq!(broken(&text), [(1, "gauge-histogram")], "{text}");
        assert_eq!(inspect(text.as_bytes()).facts.worst, Some(Harm::Reject), "{text}");
        assert_eq!(broken(&format!("{declared}# TYPE c_a gauge_histogram\nc_b 1\n")), [], "{text}");
    }
    assert_eq!(broken("# TYPE c_a gauge_histogram\n# HELP c_a_sum x\nc_b 1\n"), []);
}

#[test]
fn what_every_version_rejects_does_nothing_else() {
    let class = |text: &str| inspect(text.as_bytes()).facts.worst;
    assert_eq!(class("c_a 1\n"), None);
    assert_eq!(class("c_a{__x=\"1\"} 1\n"), Some(Harm::Poison));
    assert_eq!(class("c_a{__x=\"1\"} 1\nc_b one\n"), Some(Harm::Reject));
    assert_eq!(class("# HELP c_a \\\"\nc_a 1\nc_a 1\n"), Some(Harm::Distort));
}

#[test]
fn an_optional_collectors_name_is_free_as_far_as_the_text_tells() {
    let rules = |name: &str| -> Vec<Rule> {
        let text = format!("# HELP {name} Some.\n# TYPE {name} gauge\n{name} 1\n");
        inspect(text.as_bytes()).findings.into_iter().map(|finding| finding.rule).collect()
    };
    assert_eq!(rules("node_tcp_connection_states"), [Rule::OptionalName]);
    assert!(read(b"node_tcp_connection_states 1\n").is_ok());
    assert_eq!(rules("node_sockstat_TCP_inuse"), [Rule::ReservedName]);
}

#[test]
fn labels_without_a_name_may_be_deadly_for_the_sample_before() {
    // Found by the differential test: 1.9.0 puts the labels on the sample before, and dies where it has them.
    for text in [
        "c_a{x=\"1\"} 1\n{x=\"2\"} 2\n",
        "c_a 1\n{__x=\"1\"} 2\n",
        "c_a 1\n# HELP c_b x\n{} 1\n# TYPE c_b histogram\n",
        "c_a 1\n# TYPE c_b gauge_histogram\n{} 1\n",
    ] {
        let worst = inspect(text.as_bytes()).findings.iter().filter_map(|finding| finding.harm).max();
        assert_eq!(worst, Some(Harm::Poison), "{text}");
    }
}

static CASES: LazyLock<Vec<corpus::Case>> = LazyLock::new(corpus::single_files);

/// Bytes made of what the format is made of, so that they get past the first byte.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let tokens = vec![
        "# HELP ",
        "# TYPE ",
        "c_a",
        "c_h",
        "c_h_bucket",
        "c_h_sum",
        "c_h_count",
        " gauge\n",
        " histogram\n",
        " summary\n",
        "{",
        "}",
        "le=",
        "quantile=",
        "x=",
        "\"1\"",
        "\"+Inf\"",
        "\"",
        ",",
        " ",
        "\t",
        "\n",
        " 1\n",
        " 2\n",
        "\r",
        "\\",
        "\0",
        "1",
        "-",
        "NaN",
        "#",
        "\u{feff}",
        "é",
        "__x",
    ];
    let token = prop_oneof![
        20 => prop::sample::select(tokens).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn families_survive_the_way_through_text(families in families::any_families()) {
        let text = rendered(&families);
        prop_assert_eq!(proved(&text), Ok(()));
        let back = read_and_back(text.as_bytes());
        prop_assert_eq!(format!("{back:?}"), format!("{:?}", Ok::<_, ()>(families)));
    }

    #[test]
    fn no_bytes_are_too_bad_to_judge(bytes in any_bytes()) {
        let _ = read_and_back(&bytes);
        // What is proved must be what the renderer writes: there is one spelling.
        if prove(&bytes).is_ok() {
            prop_assert!(read(&bytes).is_ok());
        }
    }

    #[test]
    fn a_repair_is_made_in_one_go_and_changes_no_meaning(bytes in any_bytes()) {
        let (repaired, repairs) = repair(&bytes);
        prop_assert_eq!(repairs.is_empty(), *repaired == *bytes);
        let (again, more) = repair(&repaired);
        prop_assert_eq!((&again, more), (&repaired, Vec::new()));
        match (read(&bytes), read(&repaired)) {
            (Ok(before), after) => prop_assert_eq!(format!("{:?}", Ok::<_, ()>(before)), format!("{after:?}")),
            (Err(problems), Ok(_)) => {
                for Problem { message, .. } in problems {
                    let known = [
                        "the line ends in CR LF",
                        "blanks after the value",
                        "something after the kind",
                        "blanks at an end of HELP",
                        "the last line has no end: was the output cut?",
                    ];
                    prop_assert!(known.contains(&message.as_str()), "{}", message);
                }
            }
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn what_spoils_the_ends_of_lines_is_put_right(
        families in families::any_families(),
        ends in prop::collection::vec(prop::sample::select(vec!["", "\r", " ", "\t \r"]), 1..9),
        is_cut: bool,
    ) {
        let plain = rendered(&families);
        let ends = ends.iter().cycle();
        let mut spoilt: String =
            plain.split_terminator('\n').zip(ends).map(|(line, end)| format!("{line}{end}\n")).collect();
        if is_cut {
            spoilt.truncate(spoilt.len() - 1);
        }
        let (repaired, repairs) = repair(spoilt.as_bytes());
        prop_assert_eq!(String::from_utf8_lossy(&repaired), plain.as_str());
        prop_assert_eq!(repairs.is_empty(), spoilt == plain);
        prop_assert_eq!(repairs.iter().any(|repair| repair.what == Repaired::FinalNewline), is_cut);
    }

    #[test]
    fn no_change_of_a_known_text_is_too_bad_to_judge(
        case in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..4),
    ) {
        let mut text = case.get(&CASES).text.clone();
        for (at, what, byte) in changes {
            let at = at.index(text.len() + 1);
            match what {
                0 => text.insert(at, byte),
                1 => text.truncate(at),
                _ => drop(text.splice(at..at.saturating_add(1).min(text.len()), [byte])),
            }
        }
        let _ = read_and_back(&text);
        let _ = prove(&text);
    }
}
