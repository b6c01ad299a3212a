use std::sync::Arc;

use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::body::{ForwardedResponse, ResponseBody};
use crate::connections::OpenConnection;
use crate::forward::{self, Failure};
use crate::headers::{self, Origin};
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
        // Cloned, since the table must not be held while an answer is awaited.
        let route = self.shared.table.load().lookup(&host).cloned();
        match route {
            None => Err(Refusal::UnknownHost(host)),
            Some(Route::Unavailable { reason }) => Err(Refusal::Unavailable { host, reason }),
            Some(Route::To(upstream)) => {
                self.forward(request, &host, &upstream)
                    .await
                    .map_err(|failure| {
                        tracing::warn!(%host, %upstream, %failure, "no answer from an upstream");
                        refusal(&failure)
                    })
            }
        }
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        host: &str,
        upstream: &Upstream,
    ) -> Result<Response<ResponseBody>, Failure> {
        let version = request.version();
        let protocol = headers::requested_upgrade(request.headers(), version);
        let client = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
        let protocol = protocol.as_ref();
        headers::prepare_request(request.headers_mut(), version, host, self.origin, protocol);

        let config = &self.shared.config;
        let (mut response, connection) = forward::exchange(request, upstream, config).await?;
        *response.version_mut() = Version::HTTP_11;
        let status = response.status();
        headers::prepare_response(response.headers_mut(), status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let client = client.ok_or(Failure::UnaskedUpgrade)?;
            self.relay(client, hyper::upgrade::on(&mut response));
            connection.switch();
            return Ok(response.map(|_| ResponseBody::empty()));
        }
        let config = Arc::clone(config);
        Ok(response
            .map(|body| ResponseBody::Forwarded(ForwardedResponse::new(body, connection, config))))
    }

    /// Relays in the background: hyper switches protocols after the 101 has been written.
    fn relay(&self, client: OnUpgrade, upstream: OnUpgrade) {
        let tasks = self.tasks.clone();
        let config = Arc::clone(&self.shared.config);
        let open = Arc::clone(&self.open);
        self.tasks.spawn(async move {
            let _upgraded = open.upgraded();
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

fn refusal(failure: &Failure) -> Refusal {
    match failure {
        Failure::ConnectTimeout | Failure::AnswerTimeout => Refusal::GatewayTimeout,
        Failure::Connect(_) | Failure::Answer(_) | Failure::UnaskedUpgrade => Refusal::BadGateway,
        Failure::RequestBody(_) => Refusal::BadRequest("The request's body could not be read."),
    }
}
