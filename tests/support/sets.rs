//! Sets of `.prom` files made at random: most keep the rules or nearly so, the rest break them in every way known.
//! Names and values are few, so that they collide often.

/// A generator of numbers (SplitMix64): the same seed gives the same numbers.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// True in `percent` of the cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, among: &[&'a T]) -> &'a T {
        among[self.below(among.len())]
    }
}

/// The files of a directory, in name order.
pub type Set = Vec<(String, Vec<u8>)>;

/// The set of this number; some are made from `known` ones.
pub fn set(seed: u64, number: u64, known: &[Set]) -> Set {
    let mut start = Random::new(seed);
    let mut random = Random::new(start.next() ^ number.wrapping_mul(0xd605_bbb5_8c8a_bbc9));
    if random.once_in(12) {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        while texts.len() < 4 && (texts.is_empty() || random.once_in(3)) {
            let known = &known[random.below(known.len())];
            texts.extend(known.iter().map(|(_, text)| text.clone()));
        }
        texts.truncate(4);
        for _ in 0..random.below(3) {
            let index = random.below(texts.len());
            wrong_text(&mut random, &mut texts[index]);
        }
        return named(texts);
    }
    let files = match random.below(20) {
        0..9 => 1,
        9..16 => 2,
        16..18 => 3,
        _ => 4,
    };
    let mut files = world(&mut random, files);
    let faults = match random.below(20) {
        0..8 => 0,
        8..16 => 1,
        16..19 => 2,
        _ => 3,
    };
    let mut later = 0;
    for _ in 0..faults {
        match random.percent(65) {
            true => wrong_family(&mut random, &mut files),
            false => later += 1,
        }
    }
    let mut texts: Vec<Vec<u8>> = files.iter().map(|file| text(&mut random, file)).collect();
    for _ in 0..later {
        let index = random.below(texts.len());
        wrong_text(&mut random, &mut texts[index]);
    }
    named(texts)
}

fn named(texts: Vec<Vec<u8>>) -> Set {
    texts.into_iter().zip("abcd".chars()).map(|(text, stem)| (format!("{stem}.prom"), text)).collect()
}

#[derive(Debug, Clone)]
struct Family {
    name: String,
    kind: Option<String>,
    help: Option<Vec<u8>>,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: String,
}

const NAMES: [&str; 7] = ["c_a", "c_b", "c_c_total", "c:d", "c_h", "c_h", "c_s"];
const PARTS: [&str; 9] = [
    "c_h_count",
    "c_h_sum",
    "c_h_bucket",
    "c_s_count",
    "c_s_sum",
    "c_s_bucket",
    "c_a_count",
    "c_h_count_sum",
    "c_h_total",
];
/// node_exporter's own, or Prometheus's.
const OWN: [&str; 12] = [
    "go_goroutines",
    "go_gc_duration_seconds",
    "go_gc_duration_seconds_count",
    "go_x",
    "process_open_fds",
    "promhttp_metric_handler_errors_total",
    "node_textfile_scrape_error",
    "node_textfile_mtime_seconds",
    "node_scrape_collector_success",
    "node_exporter_build_info",
    "node_reboot_required",
    "up",
];
const OWN_HELP: [(&str, &str, &str); 4] = [
    ("go_goroutines", "gauge", "Number of goroutines that currently exist."),
    ("process_open_fds", "gauge", "Number of open file descriptors."),
    ("node_textfile_scrape_error", "gauge", "1 if there was an error opening or reading a file, 0 otherwise"),
    ("node_textfile_mtime_seconds", "gauge", "Unixtime mtime of textfiles successfully read."),
];
const HELPS: [&str; 6] = ["help", "help", "help", "other help", "Help.", "help "];
/// Of which node_exporter takes every one.
const ODD_HELPS: [&str; 14] = [
    "Größe in °C",
    r"a \\ b",
    r"a\nb",
    "say \"it\"",
    "a\tb",
    "a\rb",
    "ends\r",
    "a\0b",
    "a\u{1b}[1mb",
    "\u{feff}",
    "\u{2028}x\u{ffff}",
    "\u{a0}",
    "日本",
    "# TYPE c_a gauge",
];
const BAD_HELPS: [&[u8]; 7] =
    [br"C:\temp", br"\d+", b"\\", br#"\"it\""#, b"K\xe4se", b"cut \xe2\x82", b"\xed\xa0\x80"];
const LABEL_NAMES: [&str; 5] = ["x", "x", "y", "X", "_z"];
const ODD_LABEL_NAMES: [&str; 9] = ["le", "quantile", "instance", "job", "a9", "x.y", "x:y", "9a", "é"];
const LABEL_VALUES: [&str; 13] = ["1", "1", "1", "1", "2", "2", "2", "a", "a", "a", "b c", "b c", ""];
const ODD_LABEL_VALUES: [&str; 20] = [
    "",
    "é",
    "日本",
    r"\\",
    r#"\""#,
    r"\n",
    r"C:\\x",
    "a\tb",
    "a\rb",
    "a\0b",
    "\u{7f}",
    "\u{1b}",
    "\u{85}",
    "\u{feff}",
    "\u{ffff}\u{10ffff}",
    "e\u{301}",
    "}",
    ",",
    "#",
    " ",
];
const BAD_LABEL_VALUES: [&str; 5] = [r"\t", r"\/", r"\u00e9", r"\", "\"\""];
const VALUES: [&str; 6] = ["1", "2", "3", "0", "5", "10"];
const ODD_VALUES: [&str; 36] = [
    "-1",
    "+1",
    "1.0",
    "01",
    "1.",
    ".5",
    "-.5",
    "1e3",
    "1E3",
    "1e+3",
    "1e-400",
    "1.7976931348623157e308",
    "4.9e-324",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "1e30",
    "-0",
    "-0.0",
    "NaN",
    "nan",
    "nAn",
    "Inf",
    "+Inf",
    "-Inf",
    "inf",
    "-infinity",
    "+InFiNiTy",
    "2.7",
    "0.1",
    "123456789.123456789123456789",
    "00000000000000000000000000000000000000001",
    "1e000000000000000001",
    "0e999",
    "1000000",
    "1234567",
];
const BAD_VALUES: [&str; 22] = [
    "",
    "-",
    "+",
    ".",
    "e5",
    "1e",
    "1e+",
    "0x10",
    "0x1p3",
    "1_000",
    "1e309",
    "-1e309",
    "+NaN",
    "-nan",
    "1,5",
    "1s",
    "\"1\"",
    "infin",
    "１",
    "1 2",
    "1 # {a=\"b\"} 1",
    "1 1700000000000",
];
const KINDS: [&str; 5] = ["gauge", "gauge", "counter", "untyped", "gauge"];
const BOUNDS: [&str; 6] = ["0.1", "0.5", "1", "2.5", "10", "100"];
const QUANTILES: [&str; 4] = ["0", "0.5", "0.99", "1"];

/// Files that keep the rules, most of them.
fn world(random: &mut Random, count: usize) -> Vec<Vec<Family>> {
    let mut heads: Vec<Family> = Vec::new();
    for _ in 0..=random.below(3) {
        let head = head(random);
        if heads.iter().all(|other| other.name != head.name) {
            heads.push(head);
        }
    }
    let tidy = random.percent(85);
    let mut files = Vec::new();
    for index in 0..count {
        let mut file = Vec::new();
        for head in &heads {
            if random.percent(if count == 1 { 95 } else { 65 }) {
                let mut family = head.clone();
                let own = (tidy && count > 1).then(|| ("f".to_owned(), index.to_string()));
                samples(random, &mut family, own.as_ref(), tidy);
                file.push(family);
            }
        }
        files.push(file);
    }
    files
}

fn head(random: &mut Random) -> Family {
    if random.once_in(60) {
        let name = random.pick(&OWN);
        let known = OWN_HELP.iter().find(|(known, ..)| *known == name).filter(|_| random.percent(70));
        let help = known.map_or_else(|| help(random), |(.., help)| Some(help.as_bytes().to_vec()));
        let kind = known.map(|(_, kind, _)| kind.to_string());
        return Family { name: name.to_owned(), kind, help, samples: Vec::new() };
    }
    let name = if random.once_in(40) { random.pick(&PARTS) } else { random.pick(&NAMES) };
    let kind = match (name, random.below(20)) {
        ("c_h", 0..=16) | (_, 19) => Some("histogram"),
        ("c_s", 0..=16) | (_, 18) => Some("summary"),
        (_, 0..6) => None,
        _ => Some(random.pick(&KINDS)),
    };
    Family { name: name.to_owned(), kind: kind.map(str::to_owned), help: help(random), samples: Vec::new() }
}

fn help(random: &mut Random) -> Option<Vec<u8>> {
    match random.below(20) {
        0..8 => None,
        8..19 => Some(random.pick(&HELPS).as_bytes().to_vec()),
        _ => Some(random.pick(&ODD_HELPS).as_bytes().to_vec()),
    }
}

fn samples(random: &mut Random, family: &mut Family, own: Option<&(String, String)>, tidy: bool) {
    let mut taken = Vec::new();
    for _ in 0..=random.below(3) {
        let mut labels = labels(random);
        labels.extend(own.cloned());
        let mut key: Vec<_> = labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        key.sort();
        if tidy && taken.contains(&key) {
            continue;
        }
        taken.push(key);
        set_of_samples(random, family, &labels);
    }
}

fn labels(random: &mut Random) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for _ in 0..random.below(3) {
        let name = match random.once_in(60) {
            true => random.pick(&ODD_LABEL_NAMES[..5]),
            false => random.pick(&LABEL_NAMES),
        };
        let value = match random.once_in(20) {
            true => random.pick(&ODD_LABEL_VALUES),
            false => random.pick(&LABEL_VALUES),
        };
        if labels.iter().all(|(other, _)| other != name) {
            labels.push((name.to_owned(), value.to_owned()));
        }
    }
    labels
}

fn value(random: &mut Random) -> String {
    match random.once_in(6) {
        true => random.pick(&ODD_VALUES).to_owned(),
        false => random.pick(&VALUES).to_owned(),
    }
}

fn set_of_samples(random: &mut Random, family: &mut Family, labels: &[(String, String)]) {
    let name = family.name.clone();
    let mut push = |suffix: &str, bound: Option<(&str, &str)>, value: String| {
        let mut labels = labels.to_vec();
        if let Some((bound, value)) = bound {
            labels.retain(|(name, _)| name != bound);
            labels.push((bound.to_owned(), value.to_owned()));
        }
        family.samples.push(Sample { name: format!("{name}{suffix}"), labels, value });
    };
    let kind = family.kind.as_deref();
    match kind {
        Some("histogram") => {
            let mut below = 0;
            for bound in BOUNDS {
                if random.percent(60) {
                    continue;
                }
                below += random.below(4);
                push("_bucket", Some(("le", bound)), below.to_string());
            }
            below += random.below(2);
            if random.percent(90) {
                let infinity = random.pick(&["+Inf", "+Inf", "+Inf", "+Inf", "Inf", "inf", "+infinity"]);
                push("_bucket", Some(("le", infinity)), below.to_string());
            }
            push("_sum", None, value(random));
            push("_count", None, below.to_string());
        }
        Some("summary") => {
            for quantile in QUANTILES {
                if random.percent(50) {
                    continue;
                }
                push("", Some(("quantile", quantile)), value(random));
            }
            push("_sum", None, value(random));
            push("_count", None, random.below(100).to_string());
        }
        _ => push("", None, value(random)),
    }
}

/// Anything that begins like a number.
fn any_value(random: &mut Random) -> String {
    match random.below(4) {
        0 => (0..=random.below(6))
            .map(|_| random.pick(&["0", "1", "9", ".", "e", "E", "+", "-", "_", "x", "p"]))
            .collect(),
        1 => (0..=random.below(9))
            .map(|_| random.pick(&["i", "I", "n", "N", "f", "F", "a", "t", "y", "-", "+"]))
            .collect(),
        // Around the largest and the smallest there is.
        2 => format!("{}.{}e{}", 1 + random.below(9), random.next(), [300, 307, 308, 309][random.below(4)]),
        _ => format!("{}e-{}", random.next(), 310 + random.below(40)),
    }
}

/// One thing wrong, or only odd, with the families.
fn wrong_family(random: &mut Random, files: &mut Vec<Vec<Family>>) {
    let file = random.below(files.len());
    if files[file].is_empty() {
        let mut family = head(random);
        samples(random, &mut family, None, true);
        files[file].push(family);
    }
    let index = random.below(files[file].len());
    let family = &mut files[file][index];
    let count = family.samples.len();
    let sample = random.below(count.max(1));
    let in_sample = family.samples.get_mut(sample);
    match (random.below(28), in_sample) {
        (0 | 1, Some(_)) => drop(family.samples.remove(sample)),
        (2 | 3, Some(sample)) => {
            let mut again = sample.clone();
            if random.percent(50) {
                again.value = value(random);
            }
            family.samples.push(again);
        }
        (4 | 5, Some(sample)) => sample.value = random.pick(&ODD_VALUES).to_owned(),
        (6, Some(sample)) => {
            sample.value = match random.percent(50) {
                true => random.pick(&BAD_VALUES).to_owned(),
                false => any_value(random),
            }
        }
        (7, _) => family.help = help(random),
        (8, _) => family.help = Some(random.pick(&BAD_HELPS).to_vec()),
        (9, _) => family.help = Some(random.pick(&ODD_HELPS).as_bytes().to_vec()),
        (10, _) => {
            let kinds = [
                "gauge",
                "counter",
                "untyped",
                "histogram",
                "summary",
                "unknown",
                "gaugehistogram",
                "gauge_histogram",
            ];
            family.kind = match random.below(4) {
                0 => None,
                // It dies of this one where there are samples.
                _ => Some(random.pick(&kinds).to_owned()).filter(|kind| {
                    kind != "gauge_histogram" || family.samples.is_empty() || random.once_in(4)
                }),
            };
        }
        (11, Some(sample)) => {
            let name = match random.below(30) {
                0 => random.pick(&["__x", "__name__", "__"]),
                _ => random.pick(&ODD_LABEL_NAMES),
            };
            sample.labels.push((name.to_owned(), random.pick(&LABEL_VALUES).to_owned()));
        }
        (12 | 13, Some(sample)) => {
            let value = match random.percent(25) {
                true => random.pick(&BAD_LABEL_VALUES),
                false => random.pick(&ODD_LABEL_VALUES),
            };
            match sample.labels.first_mut() {
                Some((_, old)) => *old = value.to_owned(),
                None => sample.labels.push(("x".to_owned(), value.to_owned())),
            }
        }
        (14, Some(sample)) => {
            let name = random.pick(&LABEL_NAMES);
            sample.labels.push((name.to_owned(), random.pick(&["", "", "1"]).to_owned()));
        }
        (15..18, Some(_)) => wrong_bound(random, family),
        (18 | 19, Some(_)) => wrong_count(random, family),
        (20, _) => {
            let name = match random.once_in(3) {
                true => random.pick(&OWN),
                false => random.pick(&PARTS),
            };
            let kind = random.pick(&["gauge", "untyped", "counter", "histogram", "summary"]).to_owned();
            let mut part =
                Family { name: name.to_owned(), kind: Some(kind), help: help(random), samples: Vec::new() };
            part.kind = part.kind.filter(|_| random.percent(50));
            samples(random, &mut part, None, true);
            let at = random.below(files[file].len() + 1);
            files[file].insert(at, part);
        }
        (21, _) => family.name = random.pick(&OWN).to_owned(),
        (22, _) if count == 0 || random.once_in(4) => family.kind = Some("gauge_histogram".to_owned()),
        (22, _) => {
            // Parts of one are no family of their own.
            family.kind = Some(random.pick(&["gauge_histogram", "Gauge_Histogram"]).to_owned());
            for sample in &mut family.samples {
                if sample.name == family.name {
                    sample.name =
                        format!("{}{}", family.name, random.pick(&["_bucket", "_sum", "_count", "_gsum"]));
                }
            }
        }
        (23 | 24, _) => {
            // Split, or copied, to another file, as it is or without its head.
            let mut part = family.clone();
            if random.percent(60) {
                part.samples = family.samples.split_off(count / 2);
            }
            match random.below(6) {
                0 => part.help = None,
                1 => part.kind = None,
                2 => part.help = Some(random.pick(&HELPS).as_bytes().to_vec()),
                _ => {}
            }
            if files.len() < 4 && random.percent(50) {
                files.push(Vec::new());
            }
            let other = random.below(files.len());
            files[other].push(part);
        }
        (25, _) => {
            // HELP texts of one family from file to file.
            let name = family.name.clone();
            let families = files.iter_mut().flatten().filter(|family| family.name == name);
            for family in families {
                family.help = match random.below(12) {
                    0..2 => None,
                    2..8 => Some(b"A".to_vec()),
                    _ => Some(b"B".to_vec()),
                };
            }
        }
        (26, _) => family.samples.clear(),
        _ => {
            let mut again = family.clone();
            again.help = again.help.filter(|_| random.percent(50));
            again.kind = again.kind.filter(|_| random.percent(50));
            files[file].push(again);
        }
    }
}

fn wrong_bound(random: &mut Random, family: &mut Family) {
    let name = if family.kind.as_deref() == Some("summary") { "quantile" } else { "le" };
    let bound = random.pick(&[
        "1.0", "1", "0.50", "1e0", "+1", "-0", "0", "NaN", "2", "-1", "1.5", "abc", "", "+Inf", "Inf", "0x1",
        "1e309", "1_0", " 1",
    ]);
    let bounded: Vec<usize> = (0..family.samples.len())
        .filter(|index| family.samples[*index].labels.iter().any(|(label, _)| label == name))
        .collect();
    if bounded.is_empty() {
        let index = random.below(family.samples.len());
        family.samples[index].labels.push((name.to_owned(), bound.to_owned()));
        return;
    }
    let mut sample = family.samples[bounded[random.below(bounded.len())]].clone();
    let index = family.samples.iter().position(|other| other.labels == sample.labels).unwrap();
    let old = sample.labels.iter_mut().find(|(label, _)| label == name).unwrap();
    match random.below(5) {
        // Spelled otherwise, the same number.
        0 | 1 => {
            old.1 = match old.1.as_str() {
                "1" => random.pick(&["1.0", "1e0", "+1", "01"]).to_owned(),
                "+Inf" => random.pick(&["inf", "Infinity"]).to_owned(),
                other => format!("{other}0"),
            };
            family.samples[index] = sample;
        }
        2 => {
            old.1 = bound.to_owned();
            family.samples[index] = sample;
        }
        3 => {
            old.1 = bound.to_owned();
            family.samples.push(sample);
        }
        _ => {
            sample.labels.push((name.to_owned(), random.pick(&["1", "2", "+Inf"]).to_owned()));
            family.samples[index] = sample;
        }
    }
}

fn wrong_count(random: &mut Random, family: &mut Family) {
    let counts: Vec<usize> = (0..family.samples.len())
        .filter(|index| {
            let name = &family.samples[*index].name;
            name.ends_with("_count") || name.ends_with("_bucket")
        })
        .collect();
    let index = match counts.is_empty() {
        true => random.below(family.samples.len()),
        false => counts[random.below(counts.len())],
    };
    family.samples[index].value = random
        .pick(&[
            "2.7",
            "-1",
            "NaN",
            "+Inf",
            "1e30",
            "3.0",
            "3e0",
            "0",
            "7",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775808",
            "-0",
            "1e-400",
        ])
        .to_owned();
}

/// The text of a file, most of it plainly spelled.
fn text(random: &mut Random, families: &[Family]) -> Vec<u8> {
    let odd = random.percent(30);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    if random.once_in(10) {
        lines.push(
            random
                .pick(&[
                    &b"# a comment"[..],
                    b"#",
                    b"# \xff\0",
                    b"",
                    b"  \t",
                    b"# HELP",
                    b"# TYPE",
                    b"# EOF",
                    b"# help c_a x",
                    b"#comment\r",
                    b"# HELP c_a",
                    b"# TYPE c_b ",
                    b"# UNIT c_a seconds",
                ])
                .to_vec(),
        );
    }
    for family in families {
        let mut head: Vec<Vec<u8>> = Vec::new();
        if let Some(help) = &family.help {
            head.push([meta(random, odd, "HELP", &family.name).as_bytes(), help].concat());
        }
        if let Some(kind) = &family.kind {
            let kind = match odd && random.percent(30) {
                true => kind.to_ascii_uppercase(),
                false => kind.clone(),
            };
            head.push(format!("{}{kind}", meta(random, odd, "TYPE", &family.name)).into_bytes());
        }
        if odd && random.percent(30) {
            head.reverse();
        }
        let late = odd && family.help.is_some() && random.percent(30);
        let late = late.then(|| head.remove(head.iter().position(|line| !is_type(line)).unwrap_or(0)));
        lines.extend(head);
        for sample in &family.samples {
            lines.push(line(random, odd, sample).into_bytes());
        }
        lines.extend(late);
    }
    if odd && random.percent(30) {
        // Families may be interleaved, if no TYPE comes late.
        lines.sort_by_cached_key(|line| (!is_type(line), random.below(2)));
    }
    let mut text = lines.join(&b'\n');
    if !text.is_empty() {
        text.push(b'\n');
    }
    if odd && random.once_in(8) {
        text.extend(random.pick(&[&b"\n"[..], b"  ", b"\t\n", b"# no end"]));
    }
    text
}

fn is_type(line: &[u8]) -> bool {
    line.windows(4).any(|window| window == b"TYPE")
}

fn meta(random: &mut Random, odd: bool, word: &str, name: &str) -> String {
    if !odd {
        return format!("# {word} {name} ");
    }
    let start = random.pick(&["# ", "# ", "#", "#\t", " # ", "#   "]);
    let one = random.pick(&[" ", " ", "\t", "  "]);
    let two = random.pick(&[" ", " ", "\t", "  "]);
    format!("{start}{word}{one}{name}{two}")
}

fn line(random: &mut Random, odd: bool, sample: &Sample) -> String {
    let Sample { name, labels, value } = sample;
    if !odd || random.percent(40) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        return match labels.is_empty() {
            true => format!("{name} {value}"),
            false => format!("{name}{{{}}} {value}", labels.join(",")),
        };
    }
    let mut blank = |often: usize| match random.percent(often) {
        true => random.pick(&[" ", " ", "\t", "  ", " \t "]),
        false => "",
    };
    let mut out = format!("{}{name}{}", blank(20), blank(20));
    if !labels.is_empty() || !blank(30).is_empty() {
        out += "{";
        for (index, (name, value)) in labels.iter().enumerate() {
            let comma = if index + 1 < labels.len() || blank(25) == " " { "," } else { "" };
            out += &format!("{}{name}{}={}\"{value}\"{}{comma}", blank(20), blank(20), blank(20), blank(20));
        }
        out += &format!("{}}}{}", blank(20), blank(80));
    } else {
        out += " ";
    }
    out += blank(20);
    out + value
}

/// One thing wrong, or only odd, with the text.
fn wrong_text(random: &mut Random, text: &mut Vec<u8>) {
    let ends: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'\n').map(|at| at + 1).collect();
    let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    let line = random.below(ends.len().max(1));
    let at = random.below(text.len() + 1);
    let bytes: [&[u8]; 26] = [
        b" ",
        b"\t",
        b"\n",
        b"\r",
        b"\0",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b",",
        b"=",
        b"#",
        b"1",
        b"-",
        b".",
        b"e",
        b"_",
        b":",
        b"\xff",
        b"\xc3",
        "é".as_bytes(),
        b"\xc2\xa0",
        b"x",
        b"\x0b",
        b"+",
        b"\xef\xbb\xbf",
    ];
    match random.below(24) {
        0..4 => drop(text.splice(at..at, random.pick(&bytes).iter().copied())),
        4..7 => drop(text.splice(at..(at + 1).min(text.len()), random.pick(&bytes).iter().copied())),
        7 | 8 => drop(text.splice(at..(at + 1 + random.below(3)).min(text.len()), [])),
        9 => text.truncate(at),
        10 => {
            *text = String::from_utf8_lossy(text).replace('\n', "\r\n").into_bytes();
        }
        11 => drop(text.splice(0..0, *b"\xef\xbb\xbf")),
        12 => text.extend([0; 3]),
        13 => drop(text.pop()),
        14 | 15 if !ends.is_empty() => {
            let twice = text[starts[line]..ends[line]].to_vec();
            drop(text.splice(at_line(random, &starts), twice));
        }
        16 | 17 if !ends.is_empty() => {
            let moved: Vec<u8> = text.splice(starts[line]..ends[line], []).collect();
            let starts: Vec<usize> = std::iter::once(0)
                .chain((0..text.len()).filter(|at| text[*at] == b'\n').map(|at| at + 1))
                .collect();
            drop(text.splice(at_line(random, &starts), moved));
        }
        18 if !ends.is_empty() => drop(text.splice(starts[line]..ends[line], [])),
        _ => {
            let lines: [&[u8]; 50] = [
                b"c_a{__name__=\"x\"} 1\n",
                b"c_z{x=\"1\",__name__=\"c_z\"} 1\n",
                b"c_a-1\n",
                b"c_a.5\n",
                b"c_a+Inf\n",
                b"c_a-1 5\n",
                b"c_a{x=\"9\"}-1\n",
                b"c_a {} 1\n",
                b"c_a{,} 1\n",
                b"c_a{x=\"1\",,} 1\n",
                b"c_a{x=\"1\"}{y=\"1\"} 1\n",
                b"c_a{x='1'} 1\n",
                b"c_a{x=1} 1\n",
                b"c_a{\"x\"=\"9\"} 1\n",
                b"{\"c_a\"} 1\n",
                b"{\"c_a\",x=\"9\"} 1\n",
                b"\"c_a\" 1\n",
                b"c_a{x=\"9\"} 1 1700000000000\n",
                b"c_a 1 \n",
                b"c_a 1 # {a=\"b\"} 1\n",
                b"c_a\n",
                b"c_a \n",
                b"c-a 1\n",
                b"c.a 1\n",
                b"c\xc3\xa9 1\n",
                b"# TYPE of thing\n",
                b"# HELP is on the way\n",
                b"# HELP\n",
                b"# HELP c_a\n",
                b"# HELP c_a \n",
                b"# HELP c-a x\n",
                b"# HELP \"c_a\" x\n",
                b"# TYPE \"c_a\" counter\n",
                b"# HELP \"c.a\" x\n",
                b"# TYPE c_a\n",
                b"# TYPE c_z gauge_histogram\n",
                b"# TYPE c_z gaugehistogram\n",
                b"# TYPE c_z gauge\n",
                b"# HELP c_z \xff\n",
                b"# HELP c_a \xff\n",
                b"# TYPE c_h histogram\n",
                b"# TYPE c_s summary\n",
                b"# TYPE c_a gauge \n",
                b"# HELP c_h_count x\n",
                b"# TYPE c_h_count gauge\n",
                b"c_h_count 1\n",
                b"c_s_sum 1\n",
                b"c_h 1\n",
                b"c_s 1\n",
                b"c_h_bucket{le=\"1\"} 1\n",
            ];
            // node_exporter dies of these, or takes one sample for another's.
            let deadly: [&[u8]; 12] = [
                b"{x=\"1\",} 1\n",
                b"{\"x.y\"=\"1\"} 1\n",
                b"{__x=\"1\"} 1\n",
                b"{x=\"8\"} 1\n{x=\"9\"} 1\n",
                b"{} 1\n",
                b"{ }\n",
                b"{x=\"1\"} 1\n",
                b"{\"c.a\"} 1\n",
                b"c_a{\"x.y\"=\"1\"} 1\n",
                b"c_a{__x=\"\"} 1\n",
                b"# TYPE c_z gauge_histogram\nc_z 1\n",
                b"\"c.a\" 1\n",
            ];
            let line = if random.once_in(14) { random.pick(&deadly) } else { random.pick(&lines) };
            drop(text.splice(at_line(random, &starts), line.iter().copied()));
        }
    }
}

/// A place where a line starts.
fn at_line(random: &mut Random, starts: &[usize]) -> std::ops::Range<usize> {
    let start = starts[random.below(starts.len())];
    start..start
}
