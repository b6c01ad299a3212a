//! The steps that a worker takes, each of which may be repeated.

use std::collections::BTreeMap;

use super::{Sight, Worker};
use crate::{
    Error, InstanceView, Status,
    engine::{ContainerSpec, LABEL_GENERATION, LABEL_INSTANCE, LABEL_OWNER, container_name},
    environment::Environment,
    reconciler::plan::Step,
};

/// The app's port inside its container, where neither caller nor image say otherwise.
const DEFAULT_APP_PORT: u16 = 8080;

impl Worker {
    /// Takes a step.
    pub(super) async fn take(
        &self,
        view: &InstanceView,
        sight: &Sight,
        step: &Step,
    ) -> Result<(), Error> {
        tracing::debug!(instance = %self.id, ?step, "step");
        let engine = &self.shared.engine;
        match step {
            Step::Pull => self.pull(view).await?,
            Step::Create => self.create(view).await?,
            Step::Start(container) => engine.start(container).await?,
            Step::Kill(container) => engine.signal(container, "SIGKILL").await?,
            Step::Remove(container) => engine.remove(container).await?,
            Step::AskToEnd(container) => {
                let (found, others): (Vec<_>, Vec<_>) =
                    sight.containers.iter().partition(|c| c.id == *container);
                if let [new] = others[..] {
                    // Before the old one ends, so that no request finds nothing.
                    let instances = &self.shared.instances;
                    instances.see(&self.id, std::slice::from_ref(new));
                }
                let found = found.first();
                let signal = found.map_or("SIGTERM", |c| c.stop_signal.as_str());
                engine.signal(container, signal).await?;
            }
        }
        Ok(())
    }

    /// Pulls the image; given up as soon as it is no longer wanted.
    async fn pull(&self, view: &InstanceView) -> Result<(), Error> {
        self.show(Status::Pulling);
        tokio::select! {
            pulled = self.shared.images.pull(&view.record.image) => pulled,
            () = self.until_superseded(view) => Ok(()),
        }
    }

    async fn until_superseded(&self, view: &InstanceView) {
        while self
            .shared
            .instances
            .view(&self.id)
            .is_ok_and(|v| v.record.wish == view.record.wish)
        {
            self.wake.notified().await;
        }
        // The wake-up was for the worker's loop as well.
        self.wake.notify_one();
    }

    async fn create(&self, view: &InstanceView) -> Result<(), Error> {
        self.show(Status::Creating);
        let image = view.record.image.with_tag();
        let found = self.shared.engine.image(&image).await?.unwrap_or_default();
        let spec = self.spec(view, image, &found.exposed_ports);
        self.shared.engine.create(&spec).await?;
        if !found.id.is_empty() {
            let ledger = self.shared.images.ledger();
            ledger.ran_image(&view.record.id, &found.id).await;
        }
        Ok(())
    }

    fn spec(&self, view: &InstanceView, image: String, exposed: &[u16]) -> ContainerSpec {
        let record = &view.record;
        let app_port = app_port(&record.env, exposed);
        let mut env = Environment::from([("PORT".to_owned(), app_port.to_string())]);
        env.extend(record.env.clone());
        ContainerSpec {
            name: container_name(&record.id, record.generation),
            image,
            env,
            labels: BTreeMap::from([
                (LABEL_INSTANCE.to_owned(), record.id.clone()),
                (LABEL_OWNER.to_owned(), self.shared.launcher_id.clone()),
                (LABEL_GENERATION.to_owned(), record.generation.to_string()),
            ]),
            app_port,
            bind_ip: self.shared.bind_ip,
        }
    }

    /// Shows what is being done, unless a container runs meanwhile.
    fn show(&self, status: Status) {
        self.shared.instances.observe(&self.id, |observed| {
            if observed.status != Status::Running {
                observed.status = status;
            }
        });
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
