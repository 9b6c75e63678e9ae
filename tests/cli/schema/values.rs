//! Values to be tried at every key.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::places::resolved;

/// Values of every kind, good and bad somewhere.
pub fn values() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!(["a", "a"]),
        json!(["/a", "/b"]),
        json!([0.5, 0.9]),
        json!([80, "8000-8100"]),
        json!(["0x50", "80-"]),
        json!(["[::1]:53", "127.0.0.1:80", "1.2.3.4:0"]),
        json!([{"name": "a"}, {"name": "b", "states": ["x"], "scale": 2}]),
        json!([{"name": "a", "reduce": "count", "value": "b"}]),
        json!([{"host": "a", "labels": {"kind": "b"}}, "default-gateway", "::1", "fe80::1%eth0"]),
        json!(["1ms", "2 ms"]),
        json!(["127.0.0.1", "127.0.0.2"]),
        json!({"a": "b"}),
        json!({"a": 1.5}),
        json!({"__a": "b"}),
        json!({"le": "b"}),
        json!({"1a": "b"}),
        json!({"promdrop_a": "b"}),
        json!({"A": "/b"}),
        json!({"A": {"credential": "b"}}),
        json!({"A": {"credential": "b/c"}}),
        json!({"A": ["b", "c"]}),
        json!({"cpu": "5s", "memory": "1MiB", "open_files": 16}),
        json!({"memory": 5}),
    ];
    values.extend(
        [-21_i64, -1, 0, 1, 7, 16, 63, 64, 255, 256, 1000, 65_535, 1 << 20, 1_i64 << 40].map(|n| json!(n)),
    );
    values.extend([-0.5, 0.001, 1.5].map(|number| json!(number)));
    let texts = [
        "",
        " ",
        "a",
        "A",
        "a b",
        " a",
        "a\nb",
        "a\u{0}b",
        "ä",
        "a:b",
        "a-b",
        "a,b",
        ",",
        "-a",
        "0",
        "022",
        "0777",
        "1777",
        "8",
        "123",
        "1m",
        "1M",
        "1h 30m",
        "1.5s",
        "1 5s",
        "1.s",
        ".5s",
        "15",
        "1e3s",
        "5 fortnights",
        "µs",
        "10 µs",
        "1sec2min",
        "1smin",
        "10MiB",
        "10MB",
        "/",
        "/a/*",
        "/a/**/b",
        "a/b",
        "..",
        "~",
        "/~1",
        "/~2",
        "ef",
        "af11",
        "af54",
        "cs8",
        "127.0.0.1",
        "127.1",
        "256.0.0.1",
        "::1",
        "fe80::1%eth0",
        "[::1]",
        "a..b",
        "a.example.",
        "a_b.example",
        "(?P<a>b)",
        "(?<a>b)",
        "(",
        "$1",
        "promdrop_a",
        "__a",
        "le",
        "blanks",
        "eth0",
        "value",
    ];
    values.extend(texts.map(|text| json!(text)));
    values.push(json!("a".repeat(300)));
    values
}

pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The kinds of values that `says` can let pass.
pub fn kinds(schema: &Value, says: &Value) -> BTreeSet<String> {
    let says = resolved(schema, says);
    let mut found: BTreeSet<String> = match &says["type"] {
        Value::String(one) => BTreeSet::from([one.clone()]),
        Value::Array(all) => all.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect(),
        _ => BTreeSet::new(),
    };
    for part in ["anyOf", "allOf"].iter().filter_map(|word| says[word].as_array()).flatten() {
        found.extend(kinds(schema, part));
    }
    found
}
