//! The published collections, field by field.

use std::sync::Arc;

use ddp_server::{
    Builder, Publication,
    ejson::{Date, Fields, Value},
    fields,
    live::{Collection, Writer, collection},
};
use launcher_core::{
    Build, DiskDocument, HookView, Image, InstanceView, Launcher, LogLine, Registry, environment,
};

use super::{
    builds,
    builds::{BuildDocuments, BuildPublications},
    disk, hooks, images,
    launch_options::to_fields,
    registries,
    registries::RegistryDocuments,
};

/// The writing ends of the published collections.
pub(crate) struct Documents {
    app_instances: Writer,
    docker_images: Writer,
    hooks: Writer,
    disk: Writer,
    builds: BuildDocuments,
    registries: RegistryDocuments,
}

/// Their reading ends.
pub(crate) struct Publications {
    app_instances: Collection,
    docker_images: Collection,
    hooks: Collection,
    disk: Collection,
    builds: BuildPublications,
    registries: Collection,
}

/// The two ends of all published collections, which are empty.
pub(crate) fn collections() -> (Documents, Publications) {
    let (instances, instances_view) = collection("AppInstances");
    let (images, images_view) = collection("DockerImages");
    let (hooks, hooks_view) = collection("Hooks");
    let (disk, disk_view) = collection("Disk");
    let (builds, builds_view) = builds::collections();
    let (registries, registries_view) = registries::collections();
    let documents = Documents {
        app_instances: instances,
        docker_images: images,
        hooks,
        disk,
        builds,
        registries,
    };
    let publications = Publications {
        app_instances: instances_view,
        docker_images: images_view,
        hooks: hooks_view,
        disk: disk_view,
        builds: builds_view,
        registries: registries_view,
    };
    (documents, publications)
}

/// Adds the publications to a server.
pub(super) fn register(
    builder: Builder,
    publications: Publications,
    launcher: &Arc<Launcher>,
) -> Builder {
    let Publications {
        app_instances,
        docker_images,
        hooks,
        disk,
        builds,
        registries,
    } = publications;
    let builder = publish_all(builder, "appInstances", app_instances);
    let builder = publish_all(builder, "dockerImages", docker_images);
    let builder = disk::register(builder, disk, launcher);
    let builder = registries::register(builder, registries);
    let builder = publish_all(builder, "hooks", hooks);
    builds::register(builder, builds, launcher)
}

fn publish_all(builder: Builder, name: &str, collection: Collection) -> Builder {
    builder.publish(name, move |_subscription, _params: Vec<Value>| {
        let all = collection.find();
        async move { Ok(Publication::from(all)) }
    })
}

impl Documents {
    pub(crate) fn instance_changed(&self, id: &str, view: Option<&InstanceView>) {
        match view {
            Some(view) => self.app_instances.set(id, app_instance(view)),
            None => drop(self.app_instances.remove(id)),
        }
    }

    pub(crate) fn image_changed(&self, id: &str, image: Option<&Image>) {
        match image {
            Some(image) => self.docker_images.set(id, images::document(image)),
            None => drop(self.docker_images.remove(id)),
        }
    }

    pub(crate) fn hook_changed(&self, id: &str, hook: Option<&HookView>) {
        match hook {
            Some(hook) => self.hooks.set(id, hooks::fields_of(hook)),
            None => drop(self.hooks.remove(id)),
        }
    }

    pub(crate) fn build_changed(&self, id: &str, build: Option<&Build>) {
        self.builds.changed(id, build);
    }

    pub(crate) fn registry_changed(&self, id: &str, registry: Option<&Registry>) {
        self.registries.changed(id, registry);
    }

    pub(crate) fn disk_changed(&self, id: &str, document: Option<&DiskDocument>) {
        disk::changed(&self.disk, id, document);
    }

    pub(crate) fn build_logged(&self, build: &str, lines: &[LogLine]) {
        self.builds.logged(build, lines);
    }
}

fn app_instance(view: &InstanceView) -> Fields {
    let InstanceView {
        record,
        observed,
        host,
    } = view;
    let hostnames = record
        .hostnames
        .iter()
        .map(|h| Value::from(h.as_str()))
        .collect();
    fields! {
        "host": host,
        "port": observed.port,
        "image": record.image.as_str(),
        "containerId": observed.container_id.as_deref(),
        "createdAt": date(record.created_at),
        "status": observed.status.as_str(),
        "hostnames": Value::Array(hostnames),
        "env": to_fields(&environment::masked(&record.env)),
        "autoDeploy": record.auto_deploy,
        "deployError": observed.deploy_error.as_deref(),
    }
}

pub(super) fn date(time: jiff::Timestamp) -> Date {
    Date::from_millis(time.as_millisecond())
}
