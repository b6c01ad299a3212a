//! The methods.

use std::{future::Future, net::SocketAddr, sync::Arc};

use ddp_server::{
    Builder, Error, IntoResult, MethodContext,
    ejson::{Fields, Value},
};
use launcher_core::{BuildOrder, BuildSource, Launcher};

use super::{
    Stopping, ai,
    arguments::{Archive, Arguments},
    disk,
    errors::{failed, from_core},
    hooks, hosts, images, launch_options,
    reached::address,
    registries, releases, sites, terminals, uploads, wire,
};

/// What is told to callers that are not waited for when the launcher ends.
const CUT_OFF: &str =
    "the launcher is shutting down; wishes that it has recorded are carried out when it runs again";

/// Adds all methods to a server. `proxied`: proxies stand in front.
pub(super) fn register(
    builder: Builder,
    launcher: &Arc<Launcher>,
    stopping: &Stopping,
    proxied: bool,
) -> Builder {
    let (launcher, stopping) = (Arc::clone(launcher), stopping.clone());
    let methods = Methods {
        builder,
        launcher,
        stopping,
        proxied,
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
        .add("addHostname", sites::add)
        .add("removeHostname", sites::remove)
        .add("setHostnameOptions", sites::set_options)
        .add("setMaintenance", sites::set_maintenance)
        .add("image/add", images::add)
        .add("image/addFromArchive", build_image_if_not_exist)
        .add("image/exists", images::exists)
        .add("image/status", images::status)
        .add("image/remove", images::remove)
        .add("image/createOnAllHosts", images::create_on_all_hosts)
        .add("image/build", build_image)
        .add("image/cancelBuild", cancel_build)
        .add("image/createUpload", uploads::create)
        .add("image/collectGarbage", disk::collect)
        .add("image/pull", registries::pull)
        .add("image/push", registries::push)
        .add("registry/add", registries::add)
        .add("registry/remove", registries::remove)
        .add("hook/create", hooks::create)
        .add("hook/remove", hooks::remove)
        .add("rebuildAppInstance", hooks::rebuild)
        .add("ai/rebuild", hooks::rebuild)
        .add("ai/rebuildAll", ai::rebuild_all)
        .add("ai/launch", ai::launch)
        .add("ai/start", start_app_instance)
        .add("ai/restart", restart_app_instance)
        .add("ai/stop", stop_app_instance)
        .add("ai/kill", kill_app_instance)
        .add("ai/remove", ai::remove)
        .add("ai/activate", start_app_instance)
        .add("ai/deactivate", stop_app_instance)
        .add("ai/getContainerInfo", get_container_info)
        .add("ai/getEnvironmentVariables", get_environment_variables)
        .add("ai/addHostname", sites::add)
        .add("ai/removeHostname", sites::remove)
        .add("host/add", hosts::add)
        .add("addHost", hosts::add)
        .add("host/set", hosts::set)
        .add("host/remove", hosts::remove)
        .add("host/refreshDetails", hosts::refresh)
        .add("setAutoDeploy", hooks::set_auto_deploy)
        .add("deploy", releases::deploy)
        .add("rollback", releases::rollback)
        .add("diffReleases", releases::diff)
        .add("setEnvironment", releases::set_environment)
        .add("setRootUrl", releases::set_root_url)
        .add("scale", releases::scale)
        .add("awaitReady", releases::await_ready)
        .add("execOpen", terminals::open)
        .builder
}

struct Methods {
    builder: Builder,
    launcher: Arc<Launcher>,
    stopping: Stopping,
    proxied: bool,
}

impl Methods {
    /// Every method is unblocked: it never holds up the caller's other methods. It goes on when the
    /// caller is gone.
    fn add<F, T, R>(mut self, name: &'static str, method: F) -> Self
    where
        F: Fn(Arc<Launcher>, Arguments) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: IntoResult + 'static,
    {
        let (launcher, stopping) = (self.launcher.clone(), self.stopping.clone());
        let proxied = self.proxied;
        self.builder = self
            .builder
            .method(name, move |context: MethodContext, params| {
                context.unblock();
                let address = address(context.connection(), proxied);
                let caller = context.connection().client_address();
                let arguments = Arguments::new(params)
                    .reached_at(address)
                    .called_from(caller.map(str::to_owned));
                let said = Said {
                    name,
                    // Whatever is handed to it may be a password.
                    about: match name {
                        "registry/add" => String::new(),
                        _ => arguments.about(),
                    },
                    peer: context.connection().peer(),
                };
                let call = method(launcher.clone(), arguments);
                let call = (!stopping.begun.is_cancelled()).then_some(call);
                let cut_off = stopping.cut_off.clone();
                async move {
                    let outcome = match call {
                        Some(call) => cut_off
                            .run_until_cancelled(call)
                            .await
                            .unwrap_or_else(|| Err(failed(CUT_OFF))),
                        None => Err(failed(launcher_core::Error::ShuttingDown.to_string())),
                    };
                    said.log(outcome.as_ref().err());
                    outcome
                }
            });
        self
    }
}

/// What the log tells of a call.
struct Said {
    name: &'static str,
    about: String,
    peer: SocketAddr,
}

impl Said {
    fn log(&self, error: Option<&Error>) {
        let Self { name, about, peer } = self;
        match error {
            None => tracing::info!(%about, %peer, "{name} done"),
            Some(error) => {
                let details = error
                    .details_value()
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                tracing::warn!(%about, %peer, error = details.escape_debug().to_string(), "{name} failed");
            }
        }
    }
}

async fn build_image_if_not_exist(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    let (name, url) = (arguments.image_name(0)?, arguments.archive_url(1)?);
    done(launcher.build_image_if_not_exist(&name, &url).await)
}

async fn build_image(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let (name, archive) = arguments.build()?;
    let source_map_support = arguments.source_map_support()?;
    let source = match archive {
        Archive::Url(url) => BuildSource::Url(url),
        Archive::Upload(id) => uploads::take(&launcher, &id).await?,
    };
    let order = BuildOrder {
        source,
        source_map_support,
    };
    launcher
        .build_image(&name, order)
        .map_err(|e| from_core(&e))
}

async fn cancel_build(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.cancel_build(arguments.build_id()?).await)
}

async fn launch_app_instance(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<String, Error> {
    let rights = arguments.rights();
    let options = launch_options::parse(&arguments.options()?, rights)?;
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
    let (id, replica) = (arguments.instance_id()?, arguments.replica(1)?);
    let info = launcher.container_info(id, replica).await;
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

pub(super) fn done(outcome: Result<(), launcher_core::Error>) -> Result<bool, Error> {
    outcome.map(|()| true).map_err(|e| from_core(&e))
}
