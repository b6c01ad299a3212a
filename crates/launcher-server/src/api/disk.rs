//! The engine's disk, and collecting what nobody needs.

use std::sync::Arc;

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::Collection,
};
use launcher_core::{
    DiskDocument, Launcher,
    disk::{DataFigures, EngineFigures, Filesystem, ImageFigures, RefusedImage, RemovedImage},
};

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::date,
};

/// `image/collectGarbage({dryRun})`
pub(super) async fn collect(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<Fields, Error> {
    let dry_run = match arguments.option(0, "dryRun")? {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| bad_request("The dryRun option must be true or false."))?,
    };
    let collection = launcher.collect_garbage(dry_run).await;
    let collection = collection.map_err(|e| from_core(&e))?;
    Ok(fields! {
        "removed": list(&collection.removed, removed),
        "refused": list(&collection.refused, refused),
        "freedBytes": collection.freed_bytes,
        "kept": collection.kept as u64,
    })
}

/// Adds the publication. Whoever subscribes sees what is known, and soon what is so now.
pub(super) fn register(builder: Builder, disk: Collection, launcher: &Arc<Launcher>) -> Builder {
    let launcher = Arc::clone(launcher);
    builder.publish("disk", move |_subscription, _params: Vec<Value>| {
        launcher.disk_is_watched();
        let all = disk.find();
        async move { Ok(Publication::from(all)) }
    })
}

pub(super) fn fields_of(document: &DiskDocument) -> Fields {
    match document {
        DiskDocument::Engine(figures) => engine(figures),
        DiskDocument::Data(figures) => data(figures),
        DiskDocument::Image(figures) => image(figures),
    }
}

fn engine(figures: &EngineFigures) -> Fields {
    let mut fields = space(figures.filesystem);
    fields.extend(fields! {
        "kind": "engine",
        "path": figures.path.as_deref(),
        "imagesBytes": figures.images_bytes,
        "containersBytes": figures.containers_bytes,
        "buildCacheBytes": figures.build_cache_bytes,
        "logsBytes": figures.logs_bytes,
        "reclaimableBytes": figures.reclaimable_bytes,
        "watermark": u64::from(figures.watermark),
        "aboveWatermark": figures.is_above_watermark,
        "checkedAt": figures.checked_at.map(date),
        "error": figures.error.as_deref(),
    });
    fields
}

fn data(figures: &DataFigures) -> Fields {
    let mut fields = space(figures.filesystem);
    fields.extend(fields! {
        "kind": "data",
        "checkedAt": date(figures.checked_at),
    });
    fields
}

fn space(filesystem: Option<Filesystem>) -> Fields {
    let figure = |figure: fn(Filesystem) -> u64| filesystem.map(figure);
    fields! {
        "totalBytes": figure(|disk| disk.total_bytes),
        "usedBytes": figure(|disk| disk.used_bytes),
        "freeBytes": figure(|disk| disk.free_bytes),
        "inodes": figure(|disk| disk.inodes),
        "inodesFree": figure(|disk| disk.inodes_free),
    }
}

fn image(figures: &ImageFigures) -> Fields {
    let shared = figures.shared_bytes;
    fields! {
        "kind": "image",
        "names": texts(&figures.names),
        "sizeBytes": figures.size_bytes,
        "sharedBytes": shared,
        "uniqueBytes": shared.map(|shared| figures.size_bytes.saturating_sub(shared)),
        "createdAt": figures.created_at.map(date),
        "madeByLauncher": figures.made_by_launcher,
        "kept": figures.kept_because.is_some(),
        "keptBecause": figures.kept_because.as_deref(),
    }
}

fn removed(image: &RemovedImage) -> Fields {
    fields! {
        "imageId": image.image_id.as_str(),
        "names": texts(&image.names),
        "sizeBytes": image.size_bytes,
        "why": image.why.as_str(),
    }
}

fn refused(image: &RefusedImage) -> Fields {
    fields! {
        "imageId": image.image_id.as_str(),
        "names": texts(&image.names),
        "error": image.error.as_str(),
    }
}

fn list<T>(items: &[T], fields: fn(&T) -> Fields) -> Value {
    Value::Array(
        items
            .iter()
            .map(|item| Value::Object(fields(item)))
            .collect(),
    )
}

fn texts(texts: &[String]) -> Value {
    Value::Array(
        texts
            .iter()
            .map(|text| Value::from(text.as_str()))
            .collect(),
    )
}
