//! The published collections, field by field.

use std::sync::Arc;

use ddp_server::{
    Builder, Publication,
    ejson::{Date, Fields, Value},
    live::{Collection, Writer, collection},
};
use launcher_core::{
    Change, Launcher,
    routing::{RouteBoard, RouteChanges},
};

use super::{
    app_logs, app_stats,
    app_stats::{StatsDocuments, StatsPublications},
    audit, builds,
    builds::{BuildDocuments, BuildPublications},
    disk, hooks, hosts, images, instances, registries, releases, routes, settings,
};
use crate::config::Config;

/// The writing ends of the published collections.
pub(crate) struct Documents {
    app_instances: Writer,
    releases: Writer,
    deployments: Writer,
    docker_images: Writer,
    hooks: Writer,
    hosts: Writer,
    disk: Writer,
    builds: BuildDocuments,
    registries: Writer,
    audit: Writer,
    stats: StatsDocuments,
    routes: Writer,
}

/// Their reading ends.
pub(crate) struct Publications {
    app_instances: Collection,
    releases: Collection,
    deployments: Collection,
    docker_images: Collection,
    hooks: Collection,
    hosts: Collection,
    disk: Collection,
    builds: BuildPublications,
    registries: Collection,
    audit: Collection,
    stats: StatsPublications,
    settings: Collection,
    routes: Collection,
}

/// The two ends of all published collections, which are empty but for the settings.
pub(crate) fn collections(config: &Config) -> (Documents, Publications) {
    let (instances, instances_view) = collection("AppInstances");
    let (releases, releases_view) = collection("Releases");
    let (deployments, deployments_view) = collection("Deployments");
    let (images, images_view) = collection("DockerImages");
    let (hooks, hooks_view) = collection("Hooks");
    let (hosts, hosts_view) = collection("Hosts");
    let (disk, disk_view) = collection("Disk");
    let (builds, builds_view) = builds::collections();
    let (registries, registries_view) = collection("Registries");
    let (audit, audit_view) = collection("AuditLog");
    let (stats, stats_view) = app_stats::collections();
    let (settings, settings_view) = collection("Settings");
    settings.set(settings::ID, settings::fields_of(config));
    let (routes, routes_view) = collection("Routes");
    let documents = Documents {
        app_instances: instances,
        releases,
        deployments,
        docker_images: images,
        hooks,
        hosts,
        disk,
        builds,
        registries,
        audit,
        stats,
        routes,
    };
    let publications = Publications {
        app_instances: instances_view,
        releases: releases_view,
        deployments: deployments_view,
        docker_images: images_view,
        hooks: hooks_view,
        hosts: hosts_view,
        disk: disk_view,
        builds: builds_view,
        registries: registries_view,
        audit: audit_view,
        stats: stats_view,
        settings: settings_view,
        routes: routes_view,
    };
    (documents, publications)
}

/// Adds the publications to a server.
pub(super) fn register(
    builder: Builder,
    publications: Publications,
    launcher: &Arc<Launcher>,
    board: &Arc<RouteBoard>,
) -> Builder {
    let Publications {
        app_instances,
        releases,
        deployments,
        docker_images,
        hooks,
        hosts,
        disk,
        builds,
        registries,
        audit,
        stats,
        settings,
        routes,
    } = publications;
    let builder = instances::register(builder, app_instances);
    let builder = releases::register(builder, releases, deployments);
    let builder = publish_all(builder, "dockerImages", docker_images);
    let builder = disk::register(builder, disk, launcher);
    let builder = publish_all(builder, "registries", registries);
    let builder = publish_all(builder, "settings", settings);
    let builder = hosts::register(builder, hosts, launcher);
    let builder = publish_all(builder, "hooks", hooks);
    let builder = routes::register(builder, routes, board);
    let builder = audit::register(builder, audit);
    let builder = app_logs::register(builder, launcher);
    let builder = app_stats::register(builder, stats, launcher);
    builds::register(builder, builds, launcher)
}

pub(super) fn publish_all(builder: Builder, name: &str, collection: Collection) -> Builder {
    builder.publish(name, move |_subscription, _params: Vec<Value>| {
        let all = collection.find();
        async move { Ok(Publication::from(all)) }
    })
}

impl Documents {
    pub(crate) fn changed(&self, change: Change<'_>) {
        match change {
            Change::Instance(id, view) => {
                put(&self.app_instances, id, view.map(instances::fields_of));
            }
            Change::Release(id, release) => put(&self.releases, id, release.map(releases::release)),
            Change::Deployment(id, deployment) => {
                put(&self.deployments, id, deployment.map(releases::deployment));
            }
            Change::Image(id, image) => put(&self.docker_images, id, image.map(images::document)),
            Change::Hook(id, hook) => put(&self.hooks, id, hook.map(hooks::fields_of)),
            Change::Build(id, build) => self.builds.changed(id, build),
            Change::Log(build, lines) => self.builds.logged(build, lines),
            Change::Registry(id, registry) => {
                put(&self.registries, id, registry.map(registries::fields_of));
            }
            Change::Audit(id, entry) => put(&self.audit, id, entry.map(audit::fields_of)),
            Change::Stats(container, stats) => self.stats.changed(container, stats),
            Change::StatsHour(id, hour) => self.stats.hour_changed(id, hour),
            Change::Host(id, host) => put(&self.hosts, id, host.map(hosts::fields_of)),
            Change::Disk(id, document) => put(&self.disk, id, document.map(disk::fields_of)),
        }
    }

    pub(crate) fn routes_changed(&self, changes: &RouteChanges) {
        for (address, route) in changes {
            let fields = route.as_deref().map(routes::fields_of);
            put(&self.routes, address, fields);
        }
    }
}

/// Sets a document; `None`: it is gone.
pub(super) fn put(collection: &Writer, id: &str, document: Option<Fields>) {
    match document {
        Some(document) => collection.set(id, document),
        None => drop(collection.remove(id)),
    }
}

pub(super) fn date(time: jiff::Timestamp) -> Date {
    Date::from_millis(time.as_millisecond())
}
