//! How a container of an instance is made.

use std::{collections::BTreeMap, sync::Arc};

use super::{super::adoption, Shared};
use crate::{
    Environment, InstanceView,
    engine::{
        ContainerSpec, EngineImage, LABEL_INSTANCE, LABEL_OWNER, LABEL_RECORD, LABEL_RELEASE,
        LABEL_REPLICA, container_name,
    },
};

/// The app's port inside its container, where neither caller nor image say otherwise.
const DEFAULT_APP_PORT: u16 = 8080;
/// Tells a Meteor app how long it has after it was asked to end.
const GRACE_VARIABLE: &str = "METEOR_SIGTERM_GRACE_PERIOD_SECONDS";

pub(super) fn spec(
    shared: &Arc<Shared>,
    view: &InstanceView,
    replica: u32,
    image: String,
    found: &EngineImage,
) -> ContainerSpec {
    let record = &view.record;
    let app_port = app_port(&record.env, &found.exposed_ports);
    let grace = shared.patience.grace.as_secs().to_string();
    let mut env = Environment::from([
        ("PORT".to_owned(), app_port.to_string()),
        (GRACE_VARIABLE.to_owned(), grace),
    ]);
    env.extend(record.env.clone());
    ContainerSpec {
        name: container_name(&record.id, record.generation, replica),
        image,
        env,
        labels: BTreeMap::from([
            (LABEL_INSTANCE.to_owned(), record.id.clone()),
            (LABEL_OWNER.to_owned(), shared.launcher_id.clone()),
            (LABEL_RELEASE.to_owned(), record.generation.to_string()),
            (LABEL_REPLICA.to_owned(), replica.to_string()),
            (LABEL_RECORD.to_owned(), adoption::label(record)),
        ]),
        app_port,
        bind_ip: shared.bind_ip,
        limits: record.limits.clone(),
        config: record.config.clone(),
    }
}

/// `env.PORT` if the caller set it; else the port that the image exposes, if it exposes exactly one;
/// else 8080.
fn app_port(env: &Environment, exposed: &[u16]) -> u16 {
    match (env.get("PORT").and_then(|port| port.parse().ok()), exposed) {
        (Some(port), _) | (None, &[port]) => port,
        _ => DEFAULT_APP_PORT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_callers_then_the_images_then_8080() {
        let port = |p: &str| Environment::from([("PORT".to_owned(), p.to_owned())]);
        assert_eq!(app_port(&port("3000"), &[80]), 3000);
        assert_eq!(app_port(&Environment::new(), &[80]), 80);
        assert_eq!(app_port(&Environment::new(), &[80, 443]), 8080);
        assert_eq!(app_port(&Environment::new(), &[]), 8080);
    }
}
