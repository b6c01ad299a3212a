//! The eleven methods.

use std::{future::Future, sync::Arc};

use ddp_server::{
    Builder, Error, IntoResult, MethodContext,
    ejson::{Fields, Value},
};
use launcher_core::Launcher;
use tokio_util::task::TaskTracker;

use super::{
    arguments::Arguments,
    errors::{failed, from_core},
    launch_options, wire,
};

/// Adds all methods to a server. `calls` counts those that run; once it is closed, new ones are
/// refused.
pub(super) fn register(builder: Builder, launcher: &Arc<Launcher>, calls: &TaskTracker) -> Builder {
    let methods = Methods {
        builder,
        launcher: Arc::clone(launcher),
        calls: calls.clone(),
    };
    methods
        .add("buildImageIfNotExist", build_image_if_not_exist)
        .add("launchAppInstance", launch_app_instance)
        .add("startAppInstance", start_app_instance)
        .add("restartAppInstance", restart_app_instance)
        .add("stopAppInstance", stop_app_instance)
        .add("killAppInstance", kill_app_instance)
        .add("removeAppInstance", remove_app_instance)
        .add("getContainerInfo", get_container_info)
        .add("getEnvironmentVariables", get_environment_variables)
        .add("addHostname", add_hostname)
        .add("removeHostname", remove_hostname)
        .builder
}

struct Methods {
    builder: Builder,
    launcher: Arc<Launcher>,
    calls: TaskTracker,
}

impl Methods {
    /// Every method is unblocked: it never holds up the caller's other methods. It goes on when the
    /// caller is gone.
    fn add<F, T, R>(mut self, name: &str, method: F) -> Self
    where
        F: Fn(Arc<Launcher>, Arguments) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: IntoResult + 'static,
    {
        let (launcher, calls) = (self.launcher.clone(), self.calls.clone());
        self.builder = self
            .builder
            .method(name, move |context: MethodContext, params| {
                context.unblock();
                let call = method(launcher.clone(), Arguments::new(params));
                let call = (!calls.is_closed()).then(|| calls.track_future(call));
                async move {
                    match call {
                        Some(call) => call.await,
                        None => Err(failed(launcher_core::Error::ShuttingDown.to_string())),
                    }
                }
            });
        self
    }
}

async fn build_image_if_not_exist(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    let (name, url) = (arguments.image_name(0)?, arguments.archive_url(1)?);
    done(launcher.build_image_if_not_exist(&name, &url).await)
}

async fn launch_app_instance(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<String, Error> {
    let options = launch_options::parse(&arguments.options()?)?;
    launcher.launch(options).await.map_err(|e| from_core(&e))
}

async fn start_app_instance(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.start_instance(arguments.instance_id()?).await)
}

async fn restart_app_instance(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    done(launcher.restart_instance(arguments.instance_id()?).await)
}

async fn stop_app_instance(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.stop_instance(arguments.instance_id()?).await)
}

async fn kill_app_instance(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.kill_instance(arguments.instance_id()?).await)
}

async fn remove_app_instance(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.remove_instance(arguments.instance_id()?).await)
}

async fn get_container_info(launcher: Arc<Launcher>, arguments: Arguments) -> Result<Value, Error> {
    let info = launcher.container_info(arguments.instance_id()?).await;
    info.map(wire::from_json).map_err(|e| from_core(&e))
}

async fn get_environment_variables(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<Fields, Error> {
    let env = launcher
        .environment(arguments.instance_id()?)
        .map_err(|e| from_core(&e))?;
    Ok(launch_options::to_fields(&env))
}

async fn add_hostname(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let (id, hostname) = (arguments.instance_id()?, arguments.hostname(1)?);
    done(launcher.add_hostname(id, hostname).await)
}

async fn remove_hostname(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let (id, hostname) = (arguments.instance_id()?, arguments.hostname(1)?);
    done(launcher.remove_hostname(id, &hostname).await)
}

fn done(outcome: Result<(), launcher_core::Error>) -> Result<bool, Error> {
    outcome.map(|()| true).map_err(|e| from_core(&e))
}
