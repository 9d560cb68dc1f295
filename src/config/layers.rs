//! The layers: embedded defaults, a file, the environment. Each is brought into the shape of the defaults before it
//! is merged, so whoever reads the merged tree finds every key there and no other.
//!
//! Not here: what a value may be ([`super::check`]).

use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::fault::Fault;
use super::nearest;

/// The documented defaults: what `config init` writes is what the program reads first.
pub const DEFAULTS: &str = include_str!("../../config/watchdog.toml");

/// How the layer of [`DEFAULTS`] is called.
pub(super) const DEFAULTS_NAME: &str = "defaults";

/// Variables that begin so are settings. Others that begin with WAHA_WATCHDOG_ are not ours to judge: Kubernetes, for
/// one, sets WAHA_WATCHDOG_PORT and more for a service of that name.
const PREFIX: &str = "WAHA_WATCHDOG__";

/// One layer; the name is what faults call it.
pub(super) struct Layer {
    name: String,
    dict: Dict,
}

impl Layer {
    /// The lowest layer, whose keys are all the keys there are.
    pub(super) fn defaults() -> Self {
        #[expect(clippy::expect_used, reason = "the text is part of the program and under test")]
        let dict = parse(DEFAULTS).expect("the embedded defaults are TOML");
        Self { name: DEFAULTS_NAME.to_owned(), dict }
    }

    /// A TOML file. A fault means that nothing of it is known.
    pub(super) fn file(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let fault = |problem| Fault { key: String::new(), value: None, layer: name.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| fault(format!("cannot be read: {e}")))?;
        let dict = parse(&text).map_err(|e| fault(format!("is not TOML: {e}")))?;
        Ok(Self { name, dict })
    }

    /// One environment variable, where it is a setting. Its text becomes what the key's default is: a number, a
    /// list, ...; where that fails it stays a text, which is then refused with the key's own words.
    pub(super) fn variable(name: &str, text: &str, defaults: &Self) -> Option<Self> {
        let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        // Variables are written in capitals, and so are a few keys.
        let (mut known, mut default) = (Some(&defaults.dict), None);
        let mut keys = Vec::new();
        for key in path.split("__") {
            let found = known.and_then(|dict| dict.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
            keys.push(found.map_or(key, |(name, _)| name.as_str()).to_owned());
            default = found.map(|(_, value)| value);
            known = default.and_then(Value::as_dict);
        }
        let value = value_like(default, text);
        let last = keys.pop()?;
        let within = |dict: Dict, key: String| Dict::from([(key, Value::from(dict))]);
        let dict = keys.into_iter().rev().fold(Dict::from([(last, value)]), within);
        Some(Self { name: format!("environment {name}"), dict })
    }

    /// Takes out what the defaults do not know, and tells of each.
    pub(super) fn conform(&mut self, defaults: &Self, faults: &mut Vec<Fault>) {
        let known = nearest::Known::of(&defaults.dict);
        conform("", &mut self.dict, &defaults.dict, &mut |key, problem: Problem| {
            let problem = match problem {
                Problem::Unknown => format!("is an unknown key; {}", known.hint(key)),
                Problem::Section => "is a section; its keys belong below it".to_owned(),
                Problem::Leaf => "takes one value or list as a whole, not keys below it".to_owned(),
            };
            faults.push(Fault { key: key.to_owned(), value: None, layer: self.name.clone(), problem });
        });
    }

    /// The values of this layer alone.
    pub(super) fn dict(&self) -> &Dict {
        &self.dict
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

enum Problem {
    Unknown,
    Section,
    Leaf,
}

fn conform(prefix: &str, dict: &mut Dict, known: &Dict, tell: &mut impl FnMut(&str, Problem)) {
    dict.retain(|name, value| {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let problem = match (value, known.get(name)) {
            (_, None) => Problem::Unknown,
            (Value::Dict(_, dict), Some(Value::Dict(_, known))) => {
                conform(&key, dict, known, tell);
                return true;
            }
            (_, Some(Value::Dict(..))) => Problem::Section,
            (Value::Dict(..), Some(_)) => Problem::Leaf,
            _ => return true,
        };
        tell(&key, problem);
        false
    });
}

/// Parses TOML. The error tells where and what, but quotes nothing: the line may hold a secret.
fn parse(text: &str) -> Result<Dict, String> {
    <Toml as Format>::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        format!("line {line}: {}", error.message().replace('\n', ", "))
    })
}

fn value_like(default: Option<&Value>, text: &str) -> Value {
    let text = text.trim();
    let parsed = match default {
        Some(Value::Bool(..)) => text.parse::<bool>().ok().map(Value::from),
        Some(Value::Num(..)) => {
            let whole = text.parse::<i64>().ok().map(Value::from);
            whole.or_else(|| text.parse::<f64>().ok().map(Value::from))
        }
        Some(Value::Array(..)) if text.starts_with('[') => {
            parse(&format!("list = {text}")).ok().and_then(|mut dict| dict.remove("list"))
        }
        Some(Value::Array(..)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::from(items.map(Value::from).collect::<Vec<_>>()))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}
