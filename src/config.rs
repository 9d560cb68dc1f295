//! Configuration: defaults < file < environment, read once into plain checked values.
//!
//! [`load`] tells all faults of all layers together, each with key, value, layer and what is allowed. The keys are
//! documented in `config/watchdog.toml`, which is embedded as the lowest layer: what is not in there does not exist.
//!
//! Not here: acting on settings, watching the file, reading the process environment other than in [`environment`].
//! Everything else takes the environment as an argument.

mod alerts;
mod check;
pub mod command;
mod extract;
mod fault;
mod init;
mod layers;
mod literal;
mod nearest;
mod read;
mod secret;
mod settings;
mod show;
mod unit;
mod upstream;

use std::fmt;
use std::path::{Path, PathBuf};

use figment::Figment;

pub use alerts::*;
pub use fault::{ConfigFaults, Fault};
pub use init::InitError;
pub use layers::DEFAULTS;
pub use secret::Secret;
pub use settings::*;
pub use unit::{format_duration, parse_duration};
pub use upstream::Upstream;

use layers::Layer;
use read::{Entry, Reader};

/// The variable that names the file where `--config` does not.
pub const PATH_VARIABLE: &str = "WAHA_WATCHDOG_CONFIG";

/// The file that is read where nothing names one, if it exists.
pub const DEFAULT_PATH: &str = "watchdog.toml";

/// A configuration without faults, and where it came from.
pub struct Loaded {
    /// What the program works with.
    pub config: Config,
    entries: Vec<Entry>,
}

impl Loaded {
    /// All values as TOML that can be read again, secrets masked, with the layer of each that is not the default.
    pub fn to_toml(&self) -> String {
        show::toml(&self.entries)
    }

    /// The same as JSON: `config` holds the values, `layers` the layer of each key that is not from the defaults.
    pub fn to_json(&self) -> String {
        show::json(&self.entries)
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

/// Reads all layers. Variables that are no settings are ignored.
pub fn load(file: Option<&Path>, env: &[(String, String)]) -> Result<Loaded, ConfigFaults> {
    let mut faults = Vec::new();
    let defaults = Layer::defaults();
    let mut figment = Figment::from(&defaults);
    let file = file.map(Layer::file);
    let complete = !matches!(file, Some(Err(_)));
    let mut upper: Vec<Layer> = Vec::new();
    match file {
        Some(Ok(layer)) => upper.push(layer),
        Some(Err(fault)) => faults.push(fault),
        None => {}
    }
    upper.extend(env.iter().filter_map(|(name, text)| Layer::variable(name, text, &defaults)));
    for mut layer in upper {
        layer.conform(&defaults, &mut faults);
        figment = figment.merge(layer);
    }
    let mut reader = Reader::new(figment, defaults.dict().clone(), complete, faults);
    let mut config = check::config(&mut reader);
    let (entries, faults) = reader.finish();
    config.shown = show::keys(&entries);
    if faults.is_empty() { Ok(Loaded { config, entries }) } else { Err(ConfigFaults(faults)) }
}

/// Which file to read: the one of `--config`, else the one of [`PATH_VARIABLE`], else [`DEFAULT_PATH`] if it exists.
/// A file that is named must exist; that it does is found out by [`load`].
pub fn locate(
    flag: Option<PathBuf>,
    env: &[(String, String)],
    exists: impl FnOnce(&Path) -> bool,
) -> Option<PathBuf> {
    let variable = || env.iter().find(|(name, value)| name == PATH_VARIABLE && !value.is_empty());
    let usual = || Some(PathBuf::from(DEFAULT_PATH)).filter(|path| exists(path));
    flag.or_else(|| variable().map(|(_, value)| PathBuf::from(value))).or_else(usual)
}

/// The variables of this process that may concern us. What is not UTF-8 comes damaged and will be refused as a value.
pub fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| name.starts_with("WAHA_WATCHDOG_")).collect()
}

impl Default for Config {
    /// The embedded defaults alone.
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the defaults are part of the program and under test")]
        load(None, &[]).map(|loaded| loaded.config).expect("the embedded defaults have no fault")
    }
}

#[cfg(test)]
mod tests;
