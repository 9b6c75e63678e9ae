use proptest::prelude::*;

use super::*;

#[test]
fn kinds_are_those_of_gos_toupper() {
    let mut scanner = Scanner::default();
    let mut kind = |word: &str| match scanner.scan(format!("# TYPE c_a {word}").leak().as_bytes()) {
        Ok(Line::Type { kind: Some((word, _)), .. }) => Some(word),
        _ => None,
    };
    for word in ["histogram", "hIstogRAM", "hi\u{17f}togram", "h\u{131}stogram", "\\histo\\gram\\"] {
        assert_eq!(kind(word), Some(Word::Kind(Kind::Histogram)), "{word}");
    }
    for word in ["hi\u{fb05}ogram", "hi\u{fb06}ogram", "histogram\u{e9}", "stateset"] {
        assert_eq!(kind(word), None, "{word}");
    }
    assert_eq!(kind("GaugeHistogram"), Some(Word::GaugeHistogram));
}

#[test]
fn a_sample_is_taken_apart_where_it_stands() {
    let mut scanner = Scanner::default();
    let line = scanner.scan(b" c_a { x = \"a\\\"}\" , } -1e3").unwrap();
    let Line::Sample { name, value_at, value } = line else { panic!("{line:?}") };
    assert_eq!((name.at, name.str(), value_at, value), (1, "c_a", 22, -1000.0));
    let [label] = &scanner.labels[..] else { panic!("{:?}", scanner.labels) };
    assert_eq!((label.name.at, label.name.str()), (7, "x"));
    assert_eq!((label.value.at, label.value.text().as_ref()), (12, "a\"}"));
    assert_eq!(scanner.odd, Some(Fault { at: 0, flaw: Flaw::NotCanonical("a blank") }));
}

#[test]
fn what_promdrop_writes_is_not_odd() {
    let mut scanner = Scanner::default();
    for line in [
        "# HELP c_a a \\\\ \\n \"b\"",
        "# TYPE c_a gauge",
        "c_a 1",
        "c_a{x=\"1\",y=\"2\"} NaN",
        "# promdrop 1",
    ] {
        scanner.scan(line.as_bytes()).unwrap();
        assert_eq!(scanner.odd, None, "{line}");
    }
    for line in [
        "",
        " c_a 1",
        "c_a  1",
        "c_a\t1",
        "c_a {x=\"1\"} 1",
        "c_a{} 1",
        "c_a{x=\"1\",} 1",
        "c_a{ x=\"1\"} 1",
        "c_a{x =\"1\"} 1",
        "c_a{x= \"1\"} 1",
        "c_a{x=\"1\" } 1",
        "c_a{x=\"1\", y=\"2\"} 1",
        "c_a{x=\"1\"}1",
        "c_a{x=\"\"} 1",
        "#HELP c_a x",
        "# HELP  c_a x",
        "# HELP c_a  x",
        "# HELP c_a ",
        "# HELP c_a",
        "# HELP",
        "# TYPE c_a Gauge",
        "#  TYPE c_a gauge",
        "# TYPE\tc_a gauge",
        " # TYPE c_a gauge",
    ] {
        scanner.scan(line.as_bytes()).unwrap();
        assert!(scanner.odd.is_some(), "{line}");
    }
}

/// A usual sample, and what comes of it by an edit at any place of it.
fn edited() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let usual = [
        "c_a{a=\"x\",b=\"\u{e9}y\"} 1",
        "c_a{a=\"a long value, with all\"} 1.5",
        "c_a{b=\"1\"} 1e5",
        "c_a{le=\"+Inf\"} 0",
        "c_a 2",
    ];
    let pieces: [&[u8]; 16] = [
        b"",
        b"{",
        b"}",
        b",",
        b"=",
        b"\"",
        b"\\",
        b"\\n",
        b" ",
        b"a",
        b"1",
        b"\r",
        b"\xff",
        b"x\"",
        b",b=\"2\"",
        b"\0",
    ];
    let edit = (any::<prop::sample::Index>(), 0..2_usize, prop::sample::select(pieces.to_vec()));
    (prop::sample::select(usual.to_vec()), edit).prop_map(|(line, (place, gone, piece))| {
        let mut bytes = line.as_bytes().to_vec();
        let at = place.index(bytes.len());
        bytes.splice(at..at + gone, piece.iter().copied());
        (line, bytes)
    })
}

/// All that a scanner says of a line.
fn told<'a>(scanner: &mut Scanner<'a>, line: &'a [u8]) -> String {
    let scanned = scanner.scan(line);
    let is_sample = matches!(scanned, Ok(Line::Sample { .. }));
    let labels = if is_sample { format!("{:?}", scanner.labels) } else { String::new() };
    format!("{scanned:?} {labels} {:?} {:?}", scanner.odd, scanner.note)
}

proptest! {
    #[test]
    fn a_quote_is_found_wherever_it_stands(text in "[ab\u{80}\u{e9}#]{0,30}[\"\\\\]?[ab\"\\\\]{0,9}") {
        let end = text.find(['"', '\\']).unwrap_or(text.len());
        prop_assert_eq!(until_quote(text.as_bytes()), end);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_line_is_the_same_after_one_that_is_alike((before, line) in edited()) {
        let text = [before.as_bytes(), &line].concat();
        let mut scanner = Scanner::of(&text);
        scanner.scan(before.as_bytes()).unwrap();
        prop_assert_eq!(told(&mut scanner, &line), told(&mut Scanner::of(&line), &line));
    }
}
