//! `config show`: what is in force, secrets masked, and which layer said so where it was not the defaults.

use figment::value::Value;
use serde_json::{Map, json};

use super::literal;
use super::read::Entry;
use super::settings::ShownKey;

/// As TOML that can be read again; the layer stands in a comment.
pub(super) fn toml(entries: &[Entry]) -> String {
    let mut text = String::new();
    // TOML wants plain keys before the first section and a list of tables after it.
    for entry in entries.iter().filter(|entry| section(entry).is_empty() && tables(entry).is_none()) {
        text.push_str(&format!("{} = {}{}\n", entry.key, literal::toml(&entry.value), comment(entry)));
    }
    let mut open = "";
    for entry in entries.iter().filter(|entry| !section(entry).is_empty()) {
        if section(entry) != open {
            open = section(entry);
            text.push_str(&format!("\n[{open}]\n"));
        }
        let name = entry.key.rsplit('.').next().unwrap_or_default();
        text.push_str(&format!("{name} = {}{}\n", literal::toml(&entry.value), comment(entry)));
    }
    for (entry, table) in
        entries.iter().filter_map(|entry| Some((entry, tables(entry)?))).flat_map(each_table)
    {
        text.push_str(&format!("\n[[{}]]{}\n", entry.key, comment(entry)));
        for (name, value) in table {
            text.push_str(&format!("{name} = {}\n", literal::toml(value)));
        }
    }
    text
}

/// As `{"config": {"locale": .., "waha": {..}}, "layers": {"waha.url": "environment .."}}`; `layers` names only keys
/// that are not from the defaults.
pub(super) fn json(entries: &[Entry]) -> String {
    let mut config = Map::new();
    let mut layers = Map::new();
    for entry in entries {
        let value = json!(entry.value);
        put(&mut config, &entry.key, value);
        if !entry.is_default() {
            layers.insert(entry.key.clone(), json!(entry.layer));
        }
    }
    format!("{:#}\n", json!({ "config": config, "layers": layers }))
}

/// Key by key, for a page.
pub(super) fn keys(entries: &[Entry]) -> Vec<ShownKey> {
    let shown = entries.iter().map(|entry| ShownKey {
        key: entry.key.clone(),
        value: literal::toml(&entry.value),
        layer: (!entry.is_default()).then(|| entry.layer.clone()),
    });
    shown.collect()
}

/// Puts a value where its key says: one map within the other.
fn put(map: &mut Map<String, serde_json::Value>, key: &str, value: serde_json::Value) {
    match key.split_once('.') {
        None => _ = map.insert(key.to_owned(), value),
        Some((section, name)) => {
            if let Some(section) = map.entry(section).or_insert_with(|| json!({})).as_object_mut() {
                put(section, name, value);
            }
        }
    }
}

/// The tables of a list of tables at the top level; written below all else as `[[key]]`.
fn tables(entry: &Entry) -> Option<&[Value]> {
    let items = entry.value.as_array().filter(|items| section(entry).is_empty() && !items.is_empty())?;
    items.iter().all(|item| item.as_dict().is_some()).then_some(items)
}

fn each_table<'e>(
    (entry, items): (&'e Entry, &'e [Value]),
) -> impl Iterator<Item = (&'e Entry, &'e figment::value::Dict)> {
    items.iter().filter_map(move |item| Some((entry, item.as_dict()?)))
}

fn section(entry: &Entry) -> &str {
    entry.key.rsplit_once('.').map_or("", |(section, _)| section)
}

fn comment(entry: &Entry) -> String {
    if entry.is_default() { String::new() } else { format!(" # {}", entry.layer) }
}
