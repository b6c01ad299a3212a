use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Body;
use thiserror::Error;

use crate::settings::SiteSettings;

/// Which limit a request has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Limited {
    #[error("The request's headers are larger than this site allows.")]
    HeadTooLarge,
    #[error("The request did not arrive in time.")]
    HeadTooSlow,
    #[error("The request's body is larger than this site allows.")]
    BodyTooLarge,
    #[error("The request's body did not arrive in time.")]
    BodyTooSlow,
    #[error("Too many requests come from your address. Please try again soon.")]
    TooManyRequests(Duration),
    #[error("Too many connections are open from your address.")]
    TooManyConnections,
    /// After so many seconds there may be room.
    #[error(
        "The app has just started and lets visitors in a few at a time. Please try again soon."
    )]
    NotAdmitted(u64),
}

impl Limited {
    /// Whether `request` is too large for a site, as far as its head tells.
    pub(crate) fn check<B: Body>(
        request: &Request<B>,
        settings: &SiteSettings,
    ) -> Result<(), Self> {
        if let Some(most) = settings.header_bytes {
            let headers = request.headers().iter();
            let bytes = headers.map(|(name, value)| name.as_str().len() + value.len());
            if bytes.sum::<usize>() > most {
                return Err(Self::HeadTooLarge);
            }
        }
        if let Some(most) = settings.body_bytes
            && request.body().size_hint().lower() > most
        {
            return Err(Self::BodyTooLarge);
        }
        Ok(())
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooSlow | Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyRequests(_) | Self::TooManyConnections => StatusCode::TOO_MANY_REQUESTS,
            Self::NotAdmitted(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "headers-too-large",
            Self::BodyTooLarge => "body-too-large",
            Self::HeadTooSlow => "head-too-slow",
            Self::BodyTooSlow => "body-too-slow",
            Self::TooManyRequests(_) => "too-many-requests",
            Self::TooManyConnections => "too-many-connections",
            Self::NotAdmitted(_) => "not-admitted",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::HeadTooLarge | Self::BodyTooLarge => "Too large",
            Self::HeadTooSlow | Self::BodyTooSlow => "Too slow",
            Self::TooManyRequests(_) | Self::TooManyConnections => "Too many requests",
            Self::NotAdmitted(_) => "Just starting",
        }
    }

    /// Whole seconds, at least one.
    pub(crate) fn retry_after(self) -> Option<u64> {
        match self {
            Self::TooManyRequests(wait) => Some(wait.as_secs() + 1),
            Self::TooManyConnections => Some(5),
            Self::NotAdmitted(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// Whether what the client sends after this is the rest of a body that nobody reads.
    pub(crate) fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::HeadTooSlow | Self::BodyTooLarge | Self::BodyTooSlow
        )
    }
}
