//! Asks apps whether they answer: by TCP, HTTP, and DDP.
//!
//! A probe leaves nothing behind: no task, no connection that is kept. What an app says is read up to
//! a limit and repeated nowhere but for its status code.

mod attempt;
mod ddp;
mod http;
mod sockjs;
mod tcp;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use launcher_core::health::{HealthKind, ProbeTarget, Prober};

use self::{
    attempt::{Attempt, Refusal},
    sockjs::Info,
};

/// The prober of the launcher.
pub(crate) struct AppProber;

#[async_trait]
impl Prober for AppProber {
    async fn probe(&self, target: &ProbeTarget, thorough: bool) -> Result<HealthKind, String> {
        let attempt = Attempt::new(target);
        let found = match target.kind {
            HealthKind::Auto | HealthKind::None => find_out(&attempt, thorough).await,
            HealthKind::Meteor => meteor(&attempt, thorough).await,
            HealthKind::Http => http(&attempt).await,
            HealthKind::Tcp => tcp::stays_open(&attempt).await.map(|()| HealthKind::Tcp),
        };
        found.map_err(|refusal| refusal.to_string())
    }
}

/// What has SockJS is a Meteor app; what answers otherwise is asked for its path; what answers
/// something that is not HTTP at least takes connections.
async fn find_out(attempt: &Attempt<'_>, thorough: bool) -> Result<HealthKind, Refusal> {
    match sockjs::info(attempt).await {
        Ok(Info::SockJs { websocket }) => speaks_ddp(attempt, websocket && thorough).await,
        // What stands before an app says so while the app starts.
        Ok(Info::Other(status)) if matches!(status.as_u16(), 502..=504) => {
            Err(sockjs::answered(attempt, status))
        }
        Ok(Info::Other(_)) => http(attempt).await,
        Err(Refusal::NotHttp) => Ok(HealthKind::Tcp),
        Err(Refusal::Closed) => dislikes_http(attempt).await,
        Err(refusal) => Err(refusal),
    }
}

async fn meteor(attempt: &Attempt<'_>, thorough: bool) -> Result<HealthKind, Refusal> {
    match sockjs::info(attempt).await? {
        Info::SockJs { websocket } => speaks_ddp(attempt, websocket && thorough).await,
        Info::Other(status) => Err(sockjs::answered(attempt, status)),
    }
}

async fn speaks_ddp(attempt: &Attempt<'_>, ask: bool) -> Result<HealthKind, Refusal> {
    if ask {
        ddp::handshake(attempt).await?;
    }
    Ok(HealthKind::Meteor)
}

/// An error of the server's own is none of the visitor's.
async fn http(attempt: &Attempt<'_>) -> Result<HealthKind, Refusal> {
    let path = attempt.target.path.as_deref().unwrap_or("/");
    let status = http::status(attempt, path).await?;
    match status.is_server_error() {
        true => Err(http::answered(path, status)),
        false => Ok(HealthKind::Http),
    }
}

/// It closed the connection when it was asked by HTTP. So does what forwards a port to an app that
/// does not listen yet: the app itself leaves a connection open as long as nothing is said, and
/// closes it again when it is asked by HTTP.
async fn dislikes_http(attempt: &Attempt<'_>) -> Result<HealthKind, Refusal> {
    tcp::stays_open(attempt).await?;
    match sockjs::info(attempt).await {
        Err(Refusal::Closed | Refusal::NotHttp) => Ok(HealthKind::Tcp),
        Err(refusal) => Err(refusal),
        // It has just come to listen.
        Ok(_) => Err(Refusal::Closed),
    }
}
