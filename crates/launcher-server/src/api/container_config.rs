//! The option `config` of launches and deployments: Docker's own words. How it is published.

use ddp_server::{Error, ejson::Value};
use launcher_core::{
    ContainerConfig, Environment, Rights,
    container_config::{ConfigError, GivenConfig},
};

use super::{errors::bad_request, launch_options, wire};

/// Reads the option; the variables in it are the app's.
pub(super) fn parse(
    option: &Value,
    rights: Rights,
) -> Result<(ContainerConfig, Environment), Error> {
    let GivenConfig { config, env } =
        ContainerConfig::parse(wire::to_json(option), rights).map_err(|e| refused(&e))?;
    let entries = env.iter().filter_map(|entry| entry.split_once('='));
    let variables = entries.map(|(name, value)| launch_options::variable(name, &value.into()));
    Ok((config, variables.collect::<Result<_, _>>()?))
}

/// What may be published of it.
pub(super) fn to_value(config: &ContainerConfig) -> Value {
    wire::from_json(config.masked().into())
}

fn refused(error: &ConfigError) -> Error {
    bad_request(format!("In the config option, {error}."))
}
