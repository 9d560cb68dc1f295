//! What the demo's sidecar is set to, and where its store lies.

use std::fs::DirBuilder;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::DemoArgs;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigFaults};

/// The default configuration but for addresses, store, language and pace; checked like anybody's.
pub(super) fn config(args: &DemoArgs, waha_url: &str, store: &Path) -> Result<Config, ConfigFaults> {
    let set = |key: &str, value: String| (format!("WAHA_WATCHDOG__{key}"), value);
    let env = [
        set("WAHA__URL", waha_url.to_owned()),
        set("PROXY__LISTEN", args.proxy.to_string()),
        set("ADMIN__LISTEN", args.admin.to_string()),
        set("LOCALE", args.lang.locale().to_string()),
        // Ten a minute would outlast the play.
        set("RECOVERY__PACE", "240".to_owned()),
        // A laptop's disk that stalls for a second is not what this is about.
        set("STORE__COMMIT_WAIT", "5s".to_owned()),
    ];
    let mut config = config::load(None, &env)?.config;
    // Not through a variable: a path need not be text.
    store.clone_into(&mut config.store.path);
    Ok(config)
}

/// Where the store lies: a folder of its own that goes with this value, or a file that stays.
#[derive(Debug)]
pub(super) struct StorePlace {
    path: PathBuf,
    passing: Option<PathBuf>,
}

impl StorePlace {
    /// A new place. A file that is there already would bring its own counts, so it is refused.
    pub(super) fn new(wanted: Option<&Path>, clock: &Clock) -> anyhow::Result<Self> {
        if let Some(path) = wanted {
            anyhow::ensure!(
                !path.exists(),
                "{} is there already: the demo wants a new file, so that all it counts is its own",
                path.display()
            );
            return Ok(Self { path: path.to_owned(), passing: None });
        }
        let folder = std::env::temp_dir().join(format!("waha-watchdog-demo-{}", clock.send_id()));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).with_context(|| {
            format!("failed to make {}; --store FILE takes another place", folder.display())
        })?;
        Ok(Self { path: folder.join("watchdog.redb"), passing: Some(folder) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Does it stay?
    pub(super) const fn is_kept(&self) -> bool {
        self.passing.is_none()
    }
}

impl Drop for StorePlace {
    fn drop(&mut self) {
        if let Some(folder) = &self.passing {
            // What cannot be removed lies where the system clears up by itself.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
