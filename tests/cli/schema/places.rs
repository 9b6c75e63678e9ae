//! The maps of collector files whose keys are fixed, and where they stand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::schema;

/// A map of a collector file: its definition in the schema, "" for the file itself; a file that has no other keys than
/// it must; and the way to the map there.
pub struct Place {
    pub definition: &'static str,
    pub file: Value,
    pub way: &'static str,
}

impl Place {
    /// The file, with `key` set in the map.
    pub fn with(&self, key: &str, value: &Value) -> Value {
        let mut file = self.file.clone();
        if ["user", "group"].contains(&key) && self.definition.is_empty() {
            file = json!({"module": "command", "command": {"argv": ["a"]}});
        }
        let map = file.pointer_mut(self.way).unwrap();
        match key {
            // Means something only beside others.
            "shell" => drop(map.as_object_mut().unwrap().remove("argv")),
            "quotes" => map["delimiter"] = json!(","),
            "state_label" => map["states"] = json!(["a"]),
            "columns" if value.get(0).is_some() => map["value"] = value[0].clone(),
            "metrics" => drop(map.as_object_mut().unwrap().remove("name")),
            "processes" => file["user"] = json!("nobody"),
            _ => {}
        }
        file.pointer_mut(self.way).unwrap()[key] = value.clone();
        file
    }

    /// Its keys in the schema.
    pub fn keys(&self, schema: &Value) -> BTreeMap<String, Value> {
        let pointer = match self.definition {
            "" => "/properties".to_owned(),
            definition => format!("/definitions/{definition}/properties"),
        };
        let keys = schema.pointer(&pointer).unwrap().as_object().unwrap();
        keys.iter().map(|(key, says)| (key.clone(), resolved(schema, says).clone())).collect()
    }
}

/// What `says` refers to, where it is nothing but a reference.
pub fn resolved<'s>(schema: &'s Value, says: &'s Value) -> &'s Value {
    match says.get("$ref") {
        Some(way) => schema.pointer(way.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(),
        None => says,
    }
}

/// Every map whose keys are fixed.
pub fn places() -> Vec<Place> {
    let place = |definition, way, file| Place { definition, file, way };
    let command = |more: Value| {
        let mut file = json!({"module": "command", "command": {"argv": ["a"]}});
        file["command"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        file
    };
    let output = |says| command(json!({ "output": says }));
    let way = "/command/output";
    vec![
        place("", "", json!({"module": "netstat"})),
        place("netstat", "/netstat", json!({"module": "netstat", "netstat": {}})),
        place("ping", "/ping", json!({"module": "ping", "ping": {"targets": ["a"]}})),
        place("target", "/ping/targets/0", json!({"module": "ping", "ping": {"targets": [{"host": "a"}]}})),
        place("command", "/command", command(json!({}))),
        place("rlimits", "/command/rlimits", command(json!({"rlimits": {}}))),
        place("credential", "/command/secrets/A", command(json!({"secrets": {"A": {"credential": "a"}}}))),
        place("file", "/file", json!({"module": "file", "file": {"paths": ["/a"]}})),
        place("prometheus", way, output(json!({"format": "prometheus"}))),
        place("value", way, output(json!({"format": "value", "name": "a"}))),
        place(
            "regex",
            way,
            output(json!({"format": "regex", "name": "a", "pattern": "(?P<value>.)(?P<sensor>.)"})),
        ),
        place("json", way, output(json!({"format": "json", "name": "a"}))),
        place("keyvalue", way, output(json!({"format": "keyvalue", "name": "a"}))),
        place("table", way, output(json!({"format": "table", "name": "a"}))),
        place("nagios", way, output(json!({"format": "nagios", "name": "a"}))),
        place(
            "metric",
            "/command/output/metrics/0",
            output(json!({"format": "json", "metrics": [{"name": "a"}]})),
        ),
    ]
}

/// The keys that several formats share: what holds in one of them holds in all.
pub fn is_shared(place: &Place, key: &str) -> bool {
    let shares = ["value", "regex", "json", "keyvalue", "table", "nagios"];
    ["format", "allow_empty"].contains(&key) && place.definition != "prometheus"
        || shares.contains(&place.definition)
            && schema()["definitions"]["metric"]["properties"].get(key).is_some()
}
