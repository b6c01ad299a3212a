//! What apps use, now and in the last day.

use std::{collections::BTreeMap, sync::Arc};

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Date, Fields, Value},
    fields,
    live::{Collection, Writer, collection},
};
use launcher_core::{AppStats, Launcher, MovedBytes, StatsHour, StatsMinute};

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::{date, put},
};

const HOUR_MILLIS: i64 = 60 * 60 * 1_000;

/// The writing ends.
pub(crate) struct StatsDocuments {
    now: Writer,
    hours: Writer,
}

/// Their reading ends.
pub(crate) struct StatsPublications {
    now: Collection,
    hours: Collection,
}

/// The two ends of all figures, of which there are none.
pub(super) fn collections() -> (StatsDocuments, StatsPublications) {
    let (now, now_view) = collection("AppStats");
    let (hours, hours_view) = collection("AppStatsHistory");
    let documents = StatsDocuments { now, hours };
    let publications = StatsPublications {
        now: now_view,
        hours: hours_view,
    };
    (documents, publications)
}

impl StatsDocuments {
    pub(super) fn changed(&self, container: &str, stats: Option<&AppStats>) {
        put(&self.now, container, stats.map(fields_of));
    }

    pub(super) fn hour_changed(&self, id: &str, hour: Option<&StatsHour>) {
        put(&self.hours, id, hour.map(hour_fields));
    }
}

/// Adds the publication to a server.
pub(super) fn register(
    builder: Builder,
    publications: StatsPublications,
    launcher: &Arc<Launcher>,
) -> Builder {
    let publications = Arc::new(publications);
    let launcher = Arc::clone(launcher);
    builder.publish("appStats", move |subscription, params: Vec<Value>| {
        let (publications, launcher) = (Arc::clone(&publications), Arc::clone(&launcher));
        async move {
            let arguments = Arguments::new(params);
            let instance = arguments.instance_id()?;
            let has_history = history(&arguments)?;
            let watch = launcher.watch_stats(instance).await;
            let watch = watch.map_err(|e| from_core(&e))?;
            subscription.on_stop(move || drop(watch));
            let of = |collection: &Collection| collection.find().equals("instanceId", instance);
            let mut queries = vec![of(&publications.now)];
            queries.extend(has_history.then(|| of(&publications.hours)));
            Ok(Publication::from(queries))
        }
    })
}

fn history(arguments: &Arguments) -> Result<bool, Error> {
    let Some(option) = arguments.option(1, "history")? else {
        return Ok(true);
    };
    let wrong = || bad_request("The history option must be true or false.");
    option.as_bool().ok_or_else(wrong)
}

fn fields_of(stats: &AppStats) -> Fields {
    let used = &stats.used;
    let open = stats.open.map(|open| open.requests + open.websockets);
    fields! {
        "instanceId": stats.instance.as_str(),
        "containerId": stats.container.as_str(),
        "replica": stats.replica,
        "restarts": stats.restarts,
        "at": date(used.at),
        "cpu": stats.cpu.map(to_tenths),
        "memoryBytes": used.memory_bytes,
        "memoryLimitBytes": used.memory_limit_bytes,
        "networkReceivedBytes": used.network_received_bytes,
        "networkSentBytes": used.network_sent_bytes,
        "blockReadBytes": used.block_read_bytes,
        "blockWrittenBytes": used.block_written_bytes,
        "pids": used.pids,
        "openConnections": open,
    }
}

fn hour_fields(hour: &StatsHour) -> Fields {
    let all = &hour.minutes;
    let moved = |count: fn(MovedBytes) -> u64| list(all, |minute| minute.moved.map(count));
    fields! {
        "instanceId": hour.instance.as_str(),
        "from": Date::from_millis(hour.hour * HOUR_MILLIS),
        "minutes": all.keys().copied().collect::<Value>(),
        "cpu": list(all, |minute| minute.cpu.map(to_tenths)),
        "memoryBytes": list(all, |minute| minute.memory_bytes),
        "memoryLimitBytes": list(all, |minute| minute.memory_limit_bytes),
        "networkReceivedBytes": moved(|moved| moved.network_received),
        "networkSentBytes": moved(|moved| moved.network_sent),
        "blockReadBytes": moved(|moved| moved.block_read),
        "blockWrittenBytes": moved(|moved| moved.block_written),
        "pids": list(all, |minute| minute.pids),
        "containers": list(all, |minute| minute.containers),
        "openConnections": list(all, |minute| minute.open_connections),
    }
}

fn list<T: Into<Value>>(
    minutes: &BTreeMap<i64, StatsMinute>,
    figure: impl Fn(&StatsMinute) -> T,
) -> Value {
    minutes.values().map(figure).collect()
}

fn to_tenths(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}
