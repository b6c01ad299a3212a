//! The names that methods about instances have had since June 2014, as far as they do something of
//! their own.

use std::sync::Arc;

use ddp_server::Error;
use launcher_core::Launcher;

use super::{arguments::Arguments, errors::from_core, launch_options, methods::done};

/// `ai/launch({appImage, hostnames, env, config})`
pub(super) async fn launch(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let rights = arguments.rights();
    let options = launch_options::parse_all_in_env(&arguments.options()?, rights)?;
    launcher.launch(options).await.map_err(|e| from_core(&e))
}

/// `ai/remove(instanceId)`
pub(super) async fn remove(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let id = arguments.instance_id()?;
    let removed = launcher.remove_instance(id).await;
    removed.map(|()| id.to_owned()).map_err(|e| from_core(&e))
}

/// `ai/rebuildAll()`
pub(super) async fn rebuild_all(launcher: Arc<Launcher>, _: Arguments) -> Result<bool, Error> {
    done(launcher.rebuild_all().await)
}
