//! What is wrong with a configuration, told to the person who wrote it.

use std::fmt;

/// One fault: which key, what it holds, which layer says so, and what is allowed instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted key (`proxy.listen`, `admin.tokens[0].role`); empty where a layer as a whole is at fault.
    pub key: String,
    /// The value as TOML, `***` for secrets; none where the value does not matter or cannot be trusted to be harmless.
    pub value: Option<String>,
    /// "defaults", the path of a file, or "environment" and the name of the variable.
    pub layer: String,
    /// Continues the sentence: what is wrong, what is allowed.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, layer, problem } = self;
        match value {
            Some(value) => write!(f, "{key} = {value} ({layer}): {problem}"),
            None if key.is_empty() => write!(f, "{layer}: {problem}"),
            None => write!(f, "{key} ({layer}): {problem}"),
        }
    }
}

/// All faults of a configuration, never none. Displays one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}
