//! The JSON Schema that editors check collector files by says what the program says.

mod places;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use promdrop::collect::{MODULES, read_module};
use promdrop::config::load::load_file;
use regex::Regex;
use serde_json::{Value, json};

use crate::man;
use crate::support::need;
use places::{is_shared, places, resolved};
use values::{kind, kinds, values};

/// Judges documents by a schema, in one process for all of them: `{name: message}` of those that it refuses.
const VALIDATOR: &str = r#"
import json, sys
from jsonschema import Draft7Validator as Validator
schema, documents = json.load(sys.stdin)
Validator.check_schema(schema)
validator, refused = Validator(schema), {}
for name, document in documents.items():
    for error in validator.iter_errors(document):
        refused[name] = "/".join(map(str, error.absolute_path)) + ": " + error.message[:200]
        break
json.dump(refused, sys.stdout)
"#;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    let text = fs::read_to_string(repository().join("packaging/schema/collector.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Which documents the schema refuses, and why, by the real validator.
fn refused(documents: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    // The system's Python, which Debian's package is for; -I keeps a developer's own modules away.
    need("/usr/bin/python3");
    need("/usr/lib/python3/dist-packages/jsonschema/validators.py");
    let mut python = Command::new("/usr/bin/python3")
        .args(["-I", "-W", "ignore", "-c", VALIDATOR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!([schema(), documents]).to_string();
    python.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator failed: {:?}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the program makes of `text`: all that it read, or what it says.
fn read(text: &str) -> Result<String, String> {
    thread_local!(static FILE: tempfile::NamedTempFile = tempfile::NamedTempFile::new().unwrap());
    FILE.with(|file| {
        fs::write(file.path(), text).unwrap();
        match load_file(file.path(), None, &|top, header| read_module(top, header)) {
            Ok(loaded) => Ok(format!("{loaded:?}")),
            Err(failed) => Err(failed.to_string()),
        }
    })
}

#[test]
fn the_schema_has_the_keys_that_the_program_knows() {
    let schema = schema();
    let places = places();
    for place in &places {
        let mut known = man::known(&place.with("zzzzzzzzzz", &json!(1)).to_string());
        if place.definition.is_empty() {
            known.extend(MODULES.iter().map(|module| module.name.to_owned()));
        }
        let keys: BTreeSet<String> = place.keys(&schema).into_keys().collect();
        assert_eq!(keys, known, "{}", place.definition);
    }
    let told: BTreeSet<&str> = places.iter().map(|place| place.definition).collect();
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        let is_map = definition.get("additionalProperties") == Some(&json!(false));
        assert_eq!(is_map, told.contains(name.as_str()), "is {name} a map of fixed keys?");
    }
    let formats = schema["definitions"]["output"]["properties"]["format"]["enum"].clone();
    assert_eq!(formats, json!(man::known_formats()));
}

/// The Puppet module refuses what is no key, and what is none of a closed list of words, before a host is asked.
#[test]
fn the_type_of_the_puppet_module_has_the_keys_and_words_of_the_schema() {
    let way = repository().join("packaging/puppet/promdrop/types/definition.pp");
    let text = fs::read_to_string(way).unwrap();
    let schema = schema();
    let member = Regex::new(r"(?m)^ +(?:Optional\[(\w+)\]|(\w+)) +=> (?:Enum\[(.*)\])?").unwrap();
    let members: BTreeMap<&str, Option<&str>> = member
        .captures_iter(&text)
        .map(|found| (found.get(1).or(found.get(2)).unwrap().as_str(), found.get(3).map(|m| m.as_str())))
        .collect();
    let header = places().into_iter().find(|place| place.definition.is_empty()).unwrap();
    let keys = header.keys(&schema);
    assert_eq!(members.keys().copied().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>());
    for (key, says) in keys {
        let words = says["enum"].as_array().map(|words| words.iter().map(|word| word.as_str().unwrap()));
        let words = words.map(BTreeSet::from_iter);
        let listed = members[&*key].map(|words| words.split(", ").map(|word| word.trim_matches('\'')));
        assert_eq!(listed.map(BTreeSet::from_iter), words, "{key}");
    }
}

/// What the program lists where it meets a word that it doesn't know: `modules: a, b`, `write a, b or c`.
fn listed(message: &str) -> BTreeSet<String> {
    let cure = message.lines().last().unwrap().rsplit(['=', ':']).next().unwrap();
    let words = cure.trim().trim_start_matches("write ").replace(" or ", ", ").replace('`', "");
    words.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_schema_has_the_words_that_the_program_knows() {
    let schema = schema();
    let mut enums = 0;
    for place in places() {
        for (key, says) in place.keys(&schema) {
            let (words, wrong) = match (&says["enum"], &says["items"]["enum"]) {
                (Value::Array(words), _) => (words, json!("zzzzzzzzzz")),
                (_, Value::Array(words)) => (words, json!(["zzzzzzzzzz"])),
                _ => continue,
            };
            enums += 1;
            let words = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
            let message = read(&place.with(&key, &wrong).to_string()).unwrap_err();
            assert_eq!(listed(&message), words, "{}: {key}: {message}", place.definition);
        }
    }
    assert!(enums > 12, "{enums}");
}

/// A key that is written with its default changes nothing, and each of its examples is accepted.
#[test]
fn the_defaults_and_examples_of_the_schema_are_the_programs() {
    let schema = schema();
    for place in places() {
        for (key, says) in place.keys(&schema) {
            let at = format!("{}: {key}", place.definition);
            assert!(says.is_boolean() || says["description"].is_string(), "{at} has no description");
            for part in says["allOf"].as_array().into_iter().flatten() {
                let inner = resolved(&schema, part).get("description");
                assert_eq!(inner, None, "{at}: editors would show this in the place of the key's own");
            }
            if let Some(default) = says.get("default") {
                let with = place.with(&key, default);
                let mut without = with.clone();
                without.pointer_mut(place.way).unwrap().as_object_mut().unwrap().remove(&key).unwrap();
                assert_eq!(read(&with.to_string()), read(&without.to_string()), "{at}");
                assert!(read(&with.to_string()).is_ok(), "{at}");
            }
            for example in says["examples"].as_array().into_iter().flatten() {
                assert_eq!(read(&place.with(&key, example).to_string()).err(), None, "{at}: {example}");
            }
        }
    }
}

/// A default that the manual states as one word is in the schema, and each of the schema's is in the manual.
#[test]
fn the_defaults_of_the_schema_are_the_manuals() {
    let schema = schema();
    let told = man::defaults();
    for place in places() {
        for (key, says) in place.keys(&schema) {
            if is_shared(&place, &key) || says.is_boolean() {
                continue;
            }
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let default = says.get("default").map(shown);
            let at = (place.definition.to_owned(), key);
            assert_eq!(told.get(&at), default.as_ref(), "{at:?}");
        }
    }
}

/// The collector files of the manual.
fn of_the_manual() -> Vec<String> {
    let page = man::page();
    let blocks = page.split("\n.Bd -literal -offset indent\n").skip(1);
    let blocks = blocks.map(|block| block.split("\n.Ed\n").next().unwrap().to_owned());
    let files = blocks.filter_map(|block| match block {
        _ if block.contains("module:") => Some(block),
        _ if block.starts_with("output:") => {
            let inner = block.replace('\n', "\n  ");
            Some(format!("module: command\ncommand:\n  argv: [a]\n  {inner}\n"))
        }
        _ => None,
    });
    files.collect()
}

/// The collector files of `directory`, of the repository.
fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

#[test]
fn every_definition_that_is_shipped_or_in_the_manual_is_valid() {
    let mut documents = BTreeMap::new();
    for path in ["collectors.d", "collectors.d/examples"].iter().flat_map(|directory| files(directory)) {
        let text = fs::read_to_string(&path).unwrap();
        documents.insert(path.display().to_string(), serde_yaml::from_str(&text).unwrap());
    }
    assert!(documents.len() > 25, "{}", documents.len());
    let manual = of_the_manual();
    assert!(manual.len() >= 10, "{manual:#?}");
    for (at, text) in manual.iter().enumerate() {
        assert_eq!(read(text).err(), None, "{text}");
        documents.insert(format!("promdrop.yaml(5), {at}: {text}"), serde_yaml::from_str(text).unwrap());
    }
    assert_eq!(refused(&documents), BTreeMap::new());
}

/// What is wrong in a case of tests/data/bad-config that no schema can see.
const UNSEEN: &[(&str, &str)] = &[
    ("bom-in-the-middle", "characters, which are read as a part of a value"),
    ("command-processes-of-root", "who runs it"),
    ("duplicate-key", "a key that stands twice, which editors say by themselves"),
    ("duplicate-label", "a key that stands twice"),
    ("interval-month", "how long a duration is"),
    ("interval-overflow", "how long a duration is"),
    ("interval-short", "how long a duration is"),
    ("interval-years-overflow", "how long a duration is"),
    ("interval-zero", "how long a duration is"),
    ("max-age-long", "how long a duration is"),
    ("max-age-under-interval", "which of two durations is longer"),
    ("netstat-labels", "labels that other keys add"),
    ("netstat-listen-only", "that no socket is left of two keys"),
    ("netstat-states-of-nothing", "that no socket is left of two keys"),
    ("next-line", "characters, which are read as a part of a value"),
    ("output-json-star", "stars of a pointer, counted"),
    ("output-keyvalue-pair", "a field that another key's value has"),
    ("output-metrics-disagree", "what stands in another element of a list"),
    ("output-regex-group", "groups of a regular expression"),
    ("output-state-label", "a label that another key's value names"),
    ("output-table-column", "a field that another key's value has"),
    ("output-value-field", "a field that another key's value has"),
    ("ping-too-long", "sums of durations"),
    ("timeout-over-default-interval", "which of two durations is longer"),
    ("timeout-over-interval", "which of two durations is longer"),
    ("timeout-short", "how long a duration is"),
];

/// The schema refuses each bad definition too, unless it is no YAML, which an editor says by itself, or wrong in a way
/// that no schema can know.
#[test]
fn what_the_program_refuses_the_schema_refuses_as_far_as_it_can() {
    let mut documents = BTreeMap::new();
    for path in files("tests/data/bad-config") {
        let text = fs::read(&path).unwrap();
        if let Ok(document) = serde_yaml::from_slice::<Value>(&text) {
            documents.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), document);
        }
    }
    let refused = refused(&documents);
    let passed: Vec<&String> = documents.keys().filter(|name| !refused.contains_key(*name)).collect();
    let unseen: Vec<&str> = UNSEEN.iter().map(|(name, _)| *name).collect();
    assert_eq!(passed, unseen);
    assert!(refused.len() > 60, "{}", refused.len());
}

/// Where a schema can't know, and the program alone refuses some values.
const LOOSE: &[(&str, &str, &str)] = &[
    ("", "interval", "how long a duration is"),
    ("", "max_age", "how long a duration is"),
    ("", "timeout", "how long a duration is"),
    ("metric", "value", "what a field is called in each format"),
    ("ping", "count", "sums of durations"),
    ("ping", "source", "of which family an address is"),
    ("ping", "spacing", "sums of durations"),
    ("ping", "targets", "of which family an address is"),
    ("ping", "timeout", "sums of durations"),
    ("regex", "pattern", "groups of a regular expression"),
    ("rlimits", "cpu", "how long a duration is"),
];

/// Of every key, with values of every kind: an editor must never call wrong what promdrop takes, and what promdrop
/// refuses it calls wrong but for some keys.
#[test]
fn the_schema_and_the_program_agree_on_every_key() {
    let schema = schema();
    let (mut documents, mut verdicts) = (BTreeMap::new(), BTreeMap::new());
    for place in places() {
        for (key, says) in place.keys(&schema) {
            if is_shared(&place, &key) {
                continue;
            }
            let kinds = kinds(&schema, &says);
            let one_of_each = ["null", "true", "1", "1.5", r#""a""#, "[]", "{}"];
            let values = values().into_iter().filter(|value| {
                kinds.contains(kind(value)) || one_of_each.contains(&value.to_string().as_str())
            });
            for (number, value) in values.enumerate() {
                let document = place.with(&key, &value);
                let name = format!("{} {key} {number} {value}", place.definition);
                verdicts.insert(name.clone(), read(&document.to_string()));
                documents.insert(name, document);
            }
        }
    }
    let refused = refused(&documents);
    let too_strict: Vec<_> = refused.iter().filter(|(name, _)| verdicts[*name].is_ok()).collect();
    assert!(too_strict.is_empty(), "{too_strict:#?}");
    let loose: Vec<(&String, &String)> = verdicts
        .iter()
        .filter(|(name, _)| !refused.contains_key(*name))
        .filter_map(|(name, verdict)| Some((name, verdict.as_ref().err()?)))
        .collect();
    let place_of = |name: &str| name.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
    let keys: BTreeSet<String> = loose.iter().map(|(name, _)| place_of(name)).collect();
    let expected = LOOSE.iter().map(|(definition, key, _)| format!("{definition} {key}")).collect();
    assert_eq!(keys, expected, "{loose:#?}");
}
