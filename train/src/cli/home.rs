//! Where the program keeps things when nobody says otherwise.

use crate::registry::Registry;
use std::path::PathBuf;

/// `$TICKFUSE_HOME`, or `tickfuse-home` in the working folder.
pub(super) fn folder() -> PathBuf {
    std::env::var_os("TICKFUSE_HOME").map_or_else(|| "tickfuse-home".into(), PathBuf::from)
}

/// Where the registry is and who writes to it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RegistryArg {
    /// Folder of the registry [default: $TICKFUSE_HOME/models, else ./tickfuse-home/models].
    #[arg(long, global = true, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Who is written to the log [default: the user's name].
    #[arg(long, global = true)]
    actor: Option<String>,
}

impl RegistryArg {
    /// The registry meant.
    pub(super) fn open(&self) -> Registry {
        let root = self.registry.clone().unwrap_or_else(|| folder().join("models"));
        let user = || {
            ["USER", "LOGNAME", "USERNAME"]
                .iter()
                .find_map(|key| std::env::var(key).ok())
        };
        let actor = self.actor.clone().or_else(user);
        Registry::open(root, actor.unwrap_or_else(|| "unknown".to_owned()))
    }
}
