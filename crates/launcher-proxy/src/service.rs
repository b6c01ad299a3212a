use std::sync::Arc;

use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::balance::Choice;
use crate::body::{ForwardedResponse, ResponseBody};
use crate::connections::OpenConnection;
use crate::forward::{self, Answered, Failure, Outgoing};
use crate::headers::{self, Origin};
use crate::load::{OpenRequest, OpenUpgrade};
use crate::pages::{Format, Refusal};
use crate::proxy::Shared;
use crate::route_table::Route;
use crate::shutdown::Tasks;
use crate::target;
use crate::upgrade;
use crate::upstream::Upstream;

/// Answers the requests of one client connection.
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) origin: Origin,
    pub(crate) tasks: Tasks,
    /// Held until the connection is closed, which may be long after it was upgraded.
    pub(crate) open: Arc<OpenConnection>,
}

impl Client {
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let format = Format::wanted(request.headers());
        match self.route(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.page(format),
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<ResponseBody>, Refusal> {
        if target::asks_for_a_tunnel(&request) {
            return Err(Refusal::NoTunnels);
        }
        let host = target::host(&request).map_err(Refusal::BadRequest)?;
        let open = self.turn(&host, &[])?.ok_or(Refusal::BadGateway)?;
        self.forward(request, &host, open).await
    }

    /// Whose turn it is at `host`, by the table in force. `None` if all have been `tried`.
    fn turn(&self, host: &str, tried: &[Upstream]) -> Result<Option<OpenRequest>, Refusal> {
        loop {
            // Not held for longer than the choice takes, and never while an answer is awaited.
            let table = self.shared.table.load();
            let choice = match table.lookup(host) {
                None => return Err(Refusal::UnknownHost(host.to_owned())),
                Some(Route::Unavailable { reason }) => {
                    return Err(Refusal::Unavailable {
                        host: host.to_owned(),
                        reason: Arc::clone(reason),
                    });
                }
                Some(Route::To(upstreams)) => {
                    upstreams.choose(tried, self.shared.config.avoid_failed)
                }
            };
            match choice {
                Choice::Upstream(open) => return Ok(Some(open)),
                Choice::Nobody => return Ok(None),
                // The table that took the upstream out is in force already.
                Choice::Outdated => {}
            }
        }
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        host: &str,
        open: OpenRequest,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let version = request.version();
        let protocol = headers::requested_upgrade(request.headers(), version);
        let client = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
        let protocol = protocol.as_ref();
        headers::prepare_request(request.headers_mut(), version, host, self.origin, protocol);

        let config = &self.shared.config;
        let outgoing = Outgoing::new(request, config);
        let ((mut response, connection), open) = self.exchange(outgoing, host, open).await?;
        *response.version_mut() = Version::HTTP_11;
        let status = response.status();
        headers::prepare_response(response.headers_mut(), status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else {
                return Err(no_answer(host, open.upstream(), &Failure::UnaskedUpgrade));
            };
            self.relay(client, hyper::upgrade::on(&mut response), open.upgrade());
            connection.switch();
            return Ok(response.map(|_| ResponseBody::empty()));
        }
        let config = Arc::clone(config);
        let forwarded = |body| ForwardedResponse::new(body, connection, config, open);
        Ok(response.map(|body| ResponseBody::Forwarded(forwarded(body))))
    }

    /// Asks one upstream of `host` after the other, until one answers or none is left that the
    /// request may go to.
    async fn exchange(
        &self,
        mut outgoing: Outgoing,
        host: &str,
        mut open: OpenRequest,
    ) -> Result<(Answered, OpenRequest), Refusal> {
        let (mut tried, mut timeouts) = (Vec::new(), 0);
        loop {
            let upstream = open.upstream();
            let exchanged = forward::exchange(outgoing, upstream, &self.shared.config).await;
            let failed = match exchanged {
                Ok(answered) => return Ok((answered, open)),
                Err(failed) => failed,
            };
            let refusal = no_answer(host, upstream, &failed.failure);
            timeouts += usize::from(matches!(failed.failure, Failure::ConnectTimeout));
            tried.push(upstream.clone());
            drop(open);
            let Some(again) = failed.again.filter(|_| timeouts < MOST_TIMEOUTS) else {
                return Err(refusal);
            };
            open = self.turn(host, &tried)?.ok_or(refusal)?;
            outgoing = again;
        }
    }

    /// Relays in the background: hyper switches protocols after the 101 has been written.
    fn relay(&self, client: OnUpgrade, upstream: OnUpgrade, counted: OpenUpgrade) {
        let tasks = self.tasks.clone();
        let config = Arc::clone(&self.shared.config);
        let open = Arc::clone(&self.open);
        self.tasks.spawn(async move {
            let _upgraded = (open.upgraded(), counted);
            tokio::select! {
                ended = upgrade::relay(client, upstream, &config) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "an upgraded connection broke");
                    }
                }
                () = tasks.draining() => {}
            }
        });
    }
}

/// How many upstreams a client waits for that cannot even be connected to.
const MOST_TIMEOUTS: usize = 2;

/// What the client is told of a failure; the log is told all.
fn no_answer(host: &str, upstream: &Upstream, failure: &Failure) -> Refusal {
    tracing::warn!(%host, %upstream, %failure, "no answer from an upstream");
    match failure {
        Failure::ConnectTimeout | Failure::AnswerTimeout => Refusal::GatewayTimeout,
        Failure::Connect(_) | Failure::Answer(_) | Failure::UnaskedUpgrade => Refusal::BadGateway,
        Failure::RequestBody(_) => Refusal::BadRequest("The request's body could not be read."),
    }
}
