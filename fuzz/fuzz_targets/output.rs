//! An output, read as one of the formats that stand in a table: whatever the bytes, what comes out can be published, or
//! the message holds none of them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use promdrop_whole::collect::output::{Bounds, Format, Output};
use promdrop_whole::config::yaml::{Field, decode};
use promdrop_whole::exposition::{prove, render};

/// The first byte chooses among these; `seeds` counts on their order.
const FORMATS: &[&str] = &[
    "{format: prometheus, scale: {a: 0.001, b: 1024}, rename: {a: c, b: a}}",
    "{format: value, name: a, scale: 0.001}",
    r"{format: regex, pattern: '(?P<k>\w+)[ =](?P<value>\S+)', name: a, reduce: max}",
    r"{format: regex, over: text, pattern: '(?s)(?P<k>\w+).(?P<value>[^ ]+)', name: a, optional: true}",
    "{format: json, at: '/*', name: a, value: /v, labels_from: {k: $1, r: $/r}, optional: true}",
    "{format: json, lines: true, metrics: [{name: a, value: v}, {name: b, reduce: count, labels_from: {k: k}}]}",
    "{format: json, at: '/*/*', name: a, value: '', labels_from: {i: $1, k: $2}, allow_empty: true}",
    "{format: keyvalue, metrics: [{name: a, value: k, optional: true}, {name: b, value: v, labels_from: {k: k}}]}",
    "{format: keyvalue, records: block, separator: '=', name: a, value: v, states: [x, y], labels_from: {k: k}}",
    "{format: keyvalue, records: pair, separator: ' ', strict: true, name: a, labels_from: {k: key}}",
    "{format: table, metrics: [{name: a, value: v, labels_from: {k: k}}, {name: b, value: '2', reduce: mean}]}",
    "{format: table, header: false, columns: [k, v, rest], skip: 1, name: a, value: v, labels_from: {k: k, r: rest}}",
    "{format: table, delimiter: ',', name: a, value: v, labels_from: {k: k}, where: {k: '.+'}}",
    "{format: table, delimiter: \"\\t\", header: false, name: a, value: '2', labels_from: {k: '1'}, optional: true}",
    "{format: nagios, name: a}",
];

static READ: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let read = |yaml: &&str| decode(yaml, Format::read).unwrap_or_else(|found| panic!("{yaml}: {found:?}"));
    FORMATS.iter().map(read).collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, stdout)) = input.split_first() else { return };
    let format = &READ[usize::from(*choice) % READ.len()];
    let status = i32::from(*choice) / i32::try_from(READ.len()).expect("there are few") % 4;
    match format.families(&Output { stdout, status }, &Bounds::none()) {
        Ok(families) => {
            let mut text = String::new();
            render(&families, &mut text);
            prove(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        }
        Err(unreadable) => {
            let message = unreadable.message;
            assert!(message.len() < 400 && message.is_ascii(), "{message}");
            assert!(!message.contains("SECRET") && !message.contains(char::is_control), "{message:?}");
            assert!(unreadable.detail.len() < 4000, "{}", unreadable.detail);
        }
    }
});
