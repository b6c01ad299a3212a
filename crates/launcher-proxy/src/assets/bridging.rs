use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::time::timeout;

use super::Copy;
use super::asset::Asset;
use crate::body::ResponseBody;
use crate::forward::{self, Answered, Outgoing};
use crate::load::OpenRequest;
use crate::meter::Record;
use crate::route::Route;
use crate::service::{Client, Turn, Wanted, set_hsts};

/// What a client gets who asked for an asset.
pub(crate) enum Looked {
    /// An upstream's answer, and what keeps it as it passes.
    Forward(Box<(Answered, Turn)>, Option<Box<Copy>>),
    /// What was kept of an earlier one.
    Kept(Box<Response<ResponseBody>>),
}

impl Client {
    /// Looks elsewhere if `answered` has no such asset: in the cache, then at one replica of another release. Where
    /// that has none either, the first answer counts. `spare` is the request once more.
    pub(crate) async fn look(
        &self,
        asset: &Asset,
        spare: Outgoing,
        mut answered: (Answered, Turn),
        wanted: &Wanted<'_>,
        record: &mut Record,
    ) -> Looked {
        let assets = &self.shared.assets;
        let headers = spare.headers().clone();
        if asset.is_missed_by(&answered.0.0) {
            let app = answered.1.origin.as_ref().map(|origin| &*origin.app);
            let now = Instant::now();
            let kept = app.and_then(|app| assets.find(asset, app, &headers, now));
            if let Some(kept) = kept {
                assets.counts.served();
                let mut answer = kept.answer(&headers, asset.is_head, now);
                let bytes = answer.body().size_hint().exact().unwrap_or(0);
                record.kept(answer.status(), bytes);
                set_hsts(answer.headers_mut(), answered.1.hsts.take());
                self.pass_over(answered, record);
                return Looked::Kept(Box::new(answer));
            }
            if let Some(better) = self.ask_another(asset, spare, wanted, &answered.1).await {
                assets.counts.bridged();
                record.turned_to(better.1.open.upstream());
                self.pass_over(std::mem::replace(&mut answered, better), record);
            }
        }
        let ((response, _), turn) = &answered;
        let origin = turn.origin.as_ref();
        let now = Instant::now();
        let copy = origin.and_then(|origin| assets.copy(asset, &headers, response, origin, now));
        Looked::Forward(Box::new(answered), copy)
    }

    /// The answer of a replica of another release, if that has the asset.
    async fn ask_another(
        &self,
        asset: &Asset,
        spare: Outgoing,
        wanted: &Wanted<'_>,
        turn: &Turn,
    ) -> Option<(Answered, Turn)> {
        let another = self.another(wanted, turn)?;
        let (upstream, config) = (another.open.upstream(), &self.shared.config);
        let asked = forward::exchange(spare, upstream, config, &another.settings);
        match timeout(MOST_WAIT, asked).await {
            Ok(Ok(answered)) if asset.is_hit_by(&answered.0) => Some((answered, another)),
            Ok(Ok(_)) => None,
            // It may be ending: then there is the first answer.
            Ok(Err(failed)) => {
                tracing::debug!(%upstream, failure = %failed.failure, "no asset from another release");
                None
            }
            Err(_) => {
                tracing::debug!(%upstream, "another release took too long to answer for an asset");
                None
            }
        }
    }

    /// A turn for a replica of another release of the same app, by the table in force.
    fn another(&self, wanted: &Wanted<'_>, turn: &Turn) -> Option<Turn> {
        let own = turn.origin.as_ref()?;
        let table = self.shared.table.load();
        let site = table.find(wanted.asked.host, wanted.asked.uri.path())?.site;
        let upstreams = match &site.route {
            Route::To(upstreams) if site.app == own.app => upstreams,
            _ => return None,
        };
        let other = upstreams.of_another_release(&own.release)?;
        Some(Turn {
            open: OpenRequest::begin_unpromised(other.upstream()),
            settings: Arc::clone(&turn.settings),
            prefix: turn.prefix,
            strips: turn.strips,
            is_new: false,
            newcomer: None,
            hsts: turn.hsts.clone(),
            origin: Some(site.origin(other)),
        })
    }

    /// Leaves an answer that the client does not get. Its connection is kept if the rest of it is short.
    fn pass_over(&self, (answered, turn): (Answered, Turn), record: &Record) {
        let (response, connection) = answered;
        record.passed_over(turn.open.upstream(), response.status());
        let config = Arc::clone(&self.shared.config);
        let mut body = response.into_body();
        if body.is_end_stream() {
            connection.release(&config);
            return;
        }
        self.tasks.spawn(async move {
            let mut left = MOST_REST;
            let read = async {
                while let Some(frame) = body.frame().await {
                    let length = frame.ok()?.data_ref().map_or(0, Bytes::len);
                    left = left.checked_sub(length)?;
                }
                Some(())
            };
            if let Ok(Some(())) = timeout(REST_WAIT, read).await {
                connection.release(&config);
            }
            drop(turn);
        });
    }
}

/// How long another release may take for the head of its answer, while the client waits. In that time it is connected
/// to as well.
const MOST_WAIT: Duration = Duration::from_secs(10);

/// So much of an answer that nobody gets is read, in bytes, to use its connection again.
const MOST_REST: usize = 64 * 1024;
/// In which time.
const REST_WAIT: Duration = Duration::from_secs(1);
