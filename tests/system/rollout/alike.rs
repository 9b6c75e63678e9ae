//! The Ansible role and the Puppet module have the same parameters, with the same choices and defaults.

use std::collections::BTreeMap;

use regex::Regex;
use serde_yaml::Value;

const SPECS: &str = include_str!("../../../packaging/ansible/promdrop/meta/argument_specs.yml");
const DEFAULTS: &str = include_str!("../../../packaging/ansible/promdrop/defaults/main.yml");
const VARIABLES: &str = include_str!("../../../packaging/ansible/promdrop/vars/main.yml");
const CLASS: &str = include_str!("../../../packaging/puppet/promdrop/manifests/init.pp");
const KINDS: &str = include_str!("../../../packaging/puppet/promdrop/types/node_exporter.pp");
const DATA: &str = include_str!("../../../packaging/puppet/promdrop/data/common.yaml");

/// What one tool has alone: a choice of versions and tables of the module's own in one, groups of users and a last look in
/// the other.
const ONLY_PUPPET: [&str; 2] = ["package_ensure", "presets"];
const ONLY_ANSIBLE: [&str; 2] = ["users", "doctor"];
/// Words that Puppet keeps for itself.
const OTHERWISE: [(&str, &str); 2] = [("ensure", "state"), ("scheduler", "schedule")];

/// A parameter's choices, where it has some, and its default; empty where it has none.
type Parameters = BTreeMap<String, (Vec<String>, String)>;

fn quoted(text: &str) -> Vec<String> {
    Regex::new("'([^']*)'").unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn of_puppet() -> Parameters {
    let line = Regex::new(r"(?m)^  (\S.*?) +\$(\w+)(?: += (.*))?,$").unwrap();
    let parameters = line.captures_iter(CLASS).map(|found| {
        let (kind, name) = (&found[1], &found[2]);
        let choices = match kind {
            _ if kind.contains("Enum[") => quoted(kind),
            "Promdrop::Node_exporter" => quoted(KINDS),
            _ => Vec::new(),
        };
        let default = found.get(3).map_or("", |found| found.as_str()).trim_matches('\'');
        let name = OTHERWISE.iter().find(|(own, _)| *own == name).map_or(name, |(_, word)| word);
        (name.to_owned(), (choices, if default == "undef" { "" } else { default }.to_owned()))
    });
    parameters.filter(|(name, _)| !ONLY_PUPPET.contains(&&**name)).collect()
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_json::to_string(value).unwrap(),
    }
}

fn of_ansible() -> Parameters {
    let specs: Value = serde_yaml::from_str(SPECS).unwrap();
    let options = specs["argument_specs"]["main"]["options"].as_mapping().unwrap();
    let parameters = options.iter().map(|(name, option)| {
        let choices = option.get("choices").and_then(Value::as_sequence).into_iter().flatten();
        let choices = choices.map(|choice| choice.as_str().unwrap().to_owned()).collect();
        let name = name.as_str().unwrap().strip_prefix("promdrop_").unwrap().to_owned();
        (name, (choices, plain(option.get("default"))))
    });
    parameters.filter(|(name, _)| !ONLY_ANSIBLE.contains(&&**name)).collect()
}

#[test]
fn the_role_and_the_module_have_the_same_parameters_and_defaults() {
    let mut role = of_ansible();
    // The word for a parameter that isn't given.
    let (choices, default) = role.get_mut("schedule").unwrap();
    assert_eq!((choices.remove(0), std::mem::take(default)), ("auto".to_owned(), "auto".to_owned()));
    assert_eq!(of_puppet(), role);
}

#[test]
fn both_know_the_same_installations_of_node_exporter() {
    let role: Value = serde_yaml::from_str(VARIABLES).unwrap();
    let module: Value = serde_yaml::from_str(DATA).unwrap();
    assert_eq!(module["promdrop::presets"], role["__promdrop_presets"]);
}

#[test]
fn the_roles_defaults_are_those_that_its_specification_tells() {
    let defaults: Value = serde_yaml::from_str(DEFAULTS).unwrap();
    let specs = of_ansible();
    for (name, value) in defaults.as_mapping().unwrap() {
        let name = name.as_str().unwrap().strip_prefix("promdrop_").unwrap();
        let value = plain(Some(value));
        // Others come of the installation's kind.
        if let Some((_, default)) = specs.get(name).filter(|_| !value.contains("{{")) {
            assert_eq!(&value, default, "{name}");
        }
    }
}
