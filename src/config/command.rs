//! `waha-watchdog config ...`: arguments and answers. Printing and exit codes are the caller's.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{ConfigFaults, DEFAULTS, InitError, init, load};

/// Write the documented configuration file, or show what is in force
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a configuration file with every key, its meaning and its default
    ///
    /// Keep only the lines you change: what is missing has its default, also after an upgrade.
    #[command(after_help = "Examples:\n  \
        waha-watchdog config init                            write ./watchdog.toml, which `run` finds by itself\n  \
        waha-watchdog config init --path /etc/watchdog.toml  then: waha-watchdog --config /etc/watchdog.toml run\n  \
        waha-watchdog config init --path - | less            just read the documentation")]
    Init {
        /// Where to write; - prints instead
        #[arg(long, value_name = "PATH", default_value = super::DEFAULT_PATH)]
        path: PathBuf,
        /// Overwrite an existing file; what it held is lost
        #[arg(long)]
        force: bool,
    },
    /// Show every value in force, secrets as ***, and where it comes from if it is not the default
    ///
    /// Later layers win: defaults, then the file (--config PATH, else $WAHA_WATCHDOG_CONFIG, else ./watchdog.toml if
    /// it exists), then the environment: proxy.listen is WAHA_WATCHDOG__PROXY__LISTEN. All faults are told together.
    #[command(after_help = "Examples:\n  \
        waha-watchdog config show | grep '#'   only what differs from the defaults\n  \
        waha-watchdog config show --json | jq -r .config.proxy.listen")]
    Show {
        /// {"config": every value, "layers": the layer of each key that is not from the defaults}
        #[arg(long)]
        json: bool,
    },
}

/// Why a `config` command failed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigCommandError {
    /// The configuration has faults (exit code 2).
    #[error(transparent)]
    Faults(#[from] ConfigFaults),
    /// `init` could not write (exit code 1).
    #[error(transparent)]
    Init(#[from] InitError),
}

/// Runs the command and returns the text to print, complete with line ends. `file` is what [`super::locate`] found.
pub fn run(
    args: &ConfigArgs,
    file: Option<&Path>,
    env: &[(String, String)],
) -> Result<String, ConfigCommandError> {
    match &args.verb {
        Verb::Init { path, .. } if path == Path::new("-") => Ok(DEFAULTS.to_owned()),
        Verb::Init { path, force } => {
            init::write(path, *force)?;
            Ok(format!("wrote {}\n", path.display()))
        }
        Verb::Show { json } => {
            let loaded = load(file, env)?;
            Ok(if *json { loaded.to_json() } else { loaded.to_toml() })
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ConfigArgs,
    }

    fn config(line: &[&str]) -> Result<String, ConfigCommandError> {
        let line = Line::try_parse_from(["config"].iter().chain(line)).unwrap_or_else(|e| panic!("{e}"));
        run(&line.args, None, &[("WAHA_WATCHDOG__LOCALE".to_owned(), "pt".to_owned())])
    }

    #[test]
    fn init_writes_once_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watchdog.toml");
        let file = path.to_str().unwrap();
        assert_eq!(config(&["init", "--path", file]).unwrap(), format!("wrote {file}\n"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), DEFAULTS);

        std::fs::write(&path, "locale = \"en\"\n").unwrap();
        let refused = config(&["init", "--path", file]).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "{file} exists already; --force overwrites it, --path takes another place, --path - prints it"
            )
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "locale = \"en\"\n");
        config(&["init", "--path", file, "--force"]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), DEFAULTS);

        assert_eq!(config(&["init", "--path", "-"]).unwrap(), DEFAULTS);
        let nowhere = config(&["init", "--path", "/nonexistent/dir/w.toml"]).unwrap_err().to_string();
        assert!(nowhere.starts_with("/nonexistent/dir/w.toml cannot be written: No such file"), "{nowhere}");
    }

    #[test]
    fn show_in_both_forms() {
        assert!(
            config(&["show"]).unwrap().starts_with("locale = \"pt\" # environment WAHA_WATCHDOG__LOCALE\n")
        );
        let json: serde_json::Value = serde_json::from_str(&config(&["show", "--json"]).unwrap()).unwrap();
        assert_eq!(json["config"]["locale"], "pt");
    }
}
