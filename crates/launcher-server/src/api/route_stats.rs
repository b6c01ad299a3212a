//! What visitors ask for and how quickly they are answered, for as long as somebody watches.

use std::{collections::HashMap, collections::HashSet, sync::Arc, time::Duration};

use ddp_server::{
    Builder, Publication,
    ejson::{Fields, Value},
    fields,
    live::{Collection, Writer, collection},
    object,
};
use launcher_core::routing::RouteBoard;
use launcher_proxy::{Figures, Proxy, TrafficFigures};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;

use super::arguments::Arguments;

/// How often figures are told, and over what time they are.
const PACE: Duration = Duration::from_secs(2);
/// Hostnames, and likewise upstreams, that are told of: those that had a request first.
const MOST: usize = 1_000;

/// Tells of all routes while somebody watches.
struct RouteStats {
    proxy: Proxy,
    board: Arc<RouteBoard>,
    documents: Writer,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    watchers: usize,
    shown: HashSet<String>,
    telling: Option<AbortOnDropHandle<()>>,
}

/// Somebody who watches, until this is dropped.
struct Watch(Arc<RouteStats>);

/// Figures of one address, and what it is.
struct Line {
    id: String,
    what: Fields,
    figures: Figures,
}

/// Adds the publication.
pub(super) fn register(builder: Builder, proxy: Proxy, board: &Arc<RouteBoard>) -> Builder {
    let (documents, view) = collection("RouteStats");
    let stats = Arc::new(RouteStats {
        proxy,
        board: Arc::clone(board),
        documents,
        watched: Mutex::default(),
    });
    builder.publish("routeStats", move |subscription, params: Vec<Value>| {
        let (stats, view): (_, Collection) = (Arc::clone(&stats), view.clone());
        async move {
            let arguments = Arguments::new(params);
            let all = match arguments.value(0).is_none() {
                true => view.find(),
                false => view.find().equals("instanceId", arguments.instance_id()?),
            };
            let watch = stats.watch();
            subscription.on_stop(move || drop(watch));
            Ok(Publication::from(all))
        }
    })
}

impl RouteStats {
    fn watch(self: &Arc<Self>) -> Watch {
        let mut watched = self.watched.lock();
        watched.watchers += 1;
        if watched.telling.is_none() {
            let telling = tokio::spawn(Arc::clone(self).tell());
            watched.telling = Some(AbortOnDropHandle::new(telling));
        }
        Watch(Arc::clone(self))
    }

    /// Never ends.
    async fn tell(self: Arc<Self>) {
        let (mut at, mut before) = (Instant::now(), HashMap::new());
        let mut due = interval_at(at, PACE);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let lines = self.lines(&self.proxy.traffic());
            let seconds = at.elapsed().as_secs_f64();
            self.show(&lines, &before, seconds);
            at = Instant::now();
            before = lines
                .into_iter()
                .map(|line| (line.id, line.figures))
                .collect();
        }
    }

    fn lines(&self, traffic: &TrafficFigures) -> Vec<Line> {
        let routes = self.board.all();
        let of_host: HashMap<_, _> = routes
            .iter()
            .map(|route| (route.hostname.as_str(), route.instance_id.as_str()))
            .collect();
        let upstreams = routes.iter().flat_map(|route| {
            let id = route.instance_id.as_str();
            let upstreams = route.upstreams.iter();
            upstreams.map(move |upstream| ((upstream.host.as_str(), upstream.port), id))
        });
        let of_upstream: HashMap<_, _> = upstreams.collect();
        let site = |(address, figures): &(Arc<str>, Figures)| Line {
            id: format!("hostname {address}"),
            what: fields! {
                "kind": "hostname",
                "hostname": &**address,
                "instanceId": of_host.get(&**address).copied(),
            },
            figures: figures.clone(),
        };
        let replica = |known: &launcher_proxy::UpstreamFigures| Line {
            id: format!("replica {}", known.upstream),
            what: fields! {
                "kind": "replica",
                "host": known.upstream.host(),
                "port": f64::from(known.upstream.port()),
                "instanceId": of_upstream.get(&(known.upstream.host(), known.upstream.port())).copied(),
            },
            figures: known.figures.clone(),
        };
        let sites = traffic.sites.iter().take(MOST).map(site);
        sites
            .chain(traffic.upstreams.iter().take(MOST).map(replica))
            .collect()
    }

    fn show(&self, lines: &[Line], before: &HashMap<String, Figures>, seconds: f64) {
        let mut watched = self.watched.lock();
        if watched.watchers == 0 {
            return;
        }
        let mut gone = std::mem::take(&mut watched.shown);
        for line in lines {
            gone.remove(&line.id);
            watched.shown.insert(line.id.clone());
            let since = before
                .get(&line.id)
                .map(|earlier| line.figures.since(earlier));
            // What had its first request meanwhile had none before.
            let since = since.unwrap_or_else(|| match before.is_empty() {
                true => line.figures.since(&line.figures),
                false => line.figures.clone(),
            });
            let mut fields = line.what.clone();
            fields.extend(fields_of(&line.figures, &since, seconds));
            self.documents.set(line.id.as_str(), fields);
        }
        for id in gone {
            self.documents.remove(id);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Under the lock, so that whoever begins to watch meanwhile is told afterwards.
        let mut watched = self.0.watched.lock();
        watched.watchers -= 1;
        if watched.watchers == 0 {
            watched.telling = None;
            for id in std::mem::take(&mut watched.shown) {
                self.0.documents.remove(id);
            }
        }
    }
}

/// `all` since the start, and those `since` so many seconds ago.
fn fields_of(all: &Figures, since: &Figures, seconds: f64) -> Fields {
    let rate = |number: u64| match number {
        0 => 0.0,
        _ => tenths(number as f64 / seconds),
    };
    let quantile = |share| {
        since
            .to_head
            .quantile(share)
            .map(|took| tenths(took.as_secs_f64() * 1e3))
    };
    let [one, two, three, four, five] = since.statuses.map(rate);
    fields! {
        "requests": all.requests() as f64,
        "requestsPerSecond": rate(since.requests()),
        "answersPerSecond": object! { "1xx": one, "2xx": two, "3xx": three, "4xx": four, "5xx": five },
        "refusedPerSecond": rate(since.refused),
        "p50Ms": quantile(0.5),
        "p90Ms": quantile(0.9),
        "p99Ms": quantile(0.99),
        "bytesInPerSecond": rate(since.bytes_in),
        "bytesOutPerSecond": rate(since.bytes_out),
        "messagesInPerSecond": rate(since.messages_in),
        "messagesOutPerSecond": rate(since.messages_out),
        "openWebSockets": all.open_upgraded as f64,
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
