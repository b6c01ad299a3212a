//! Credentials of registries, as Docker takes them.

use std::collections::HashMap;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use bollard::auth::DockerCredentials;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request,
    header::{CONTENT_TYPE, HeaderValue},
};

use super::{EngineError, RegistryLogin, docker_request::ask};
use crate::registries::{RegistryHost, without};

/// The username by which `docker login` marks a password that is an identity token.
const TOKEN_USER: &str = "<token>";
/// How Docker calls Docker Hub where it means its accounts.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";
/// The header with the credentials of one registry, and that of a build.
pub(super) const HEADER: &str = "x-registry-auth";
const BUILD_HEADER: &str = "x-registry-config";

/// Has the engine log in, which tells whether the registry takes the credentials.
pub(super) async fn check(
    host: &str,
    version: &str,
    login: &RegistryLogin,
) -> Result<(), EngineError> {
    let body = serde_json::to_vec(&credentials(login));
    let body = body.map_err(|e| EngineError::Failed(e.to_string()))?;
    let request = Request::post(format!("/v{version}/auth"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    let answered = ask(host, request).await?.document().await;
    answered
        .map(drop)
        .map_err(|error| masked(error, Some(login)))
}

fn credentials(login: &RegistryLogin) -> DockerCredentials {
    let secret = Some(login.password.reveal().to_owned());
    let address = Some(address(&login.registry));
    match login.username == TOKEN_USER {
        true => DockerCredentials {
            identitytoken: secret,
            serveraddress: address,
            ..Default::default()
        },
        false => DockerCredentials {
            username: Some(login.username.clone()),
            password: secret,
            serveraddress: address,
            ..Default::default()
        },
    }
}

/// Those of several registries, for a build.
pub(super) fn all_credentials(logins: &[RegistryLogin]) -> HashMap<String, DockerCredentials> {
    logins
        .iter()
        .map(|login| (address(&login.registry), credentials(login)))
        .collect()
}

fn address(registry: &RegistryHost) -> String {
    match registry.is_docker_hub() {
        true => HUB_ADDRESS.to_owned(),
        false => registry.as_str().to_owned(),
    }
}

/// A request's header value with credentials, in the alphabet that the engine reads; what it cannot
/// read it takes for no credentials at all.
pub(super) fn header(login: &RegistryLogin) -> Result<HeaderValue, EngineError> {
    let json = serde_json::to_vec(&credentials(login));
    let json = json.map_err(|e| EngineError::Failed(e.to_string()))?;
    let mut value = HeaderValue::try_from(URL_SAFE.encode(json))
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `bollard` writes a build's credentials in plain Base64, whose alphabet is not that of URLs.
pub(super) fn make_credentials_readable<B>(request: &mut hyper::Request<B>) {
    if let Some(value) = request.headers_mut().get_mut(BUILD_HEADER) {
        let text = value.to_str().unwrap_or_default();
        let text = text.replace('+', "-").replace('/', "_");
        if let Ok(readable) = HeaderValue::try_from(text) {
            *value = readable;
            value.set_sensitive(true);
        }
    }
}

/// An error without the credentials, which a registry may send back in its words.
pub(super) fn masked(error: EngineError, login: Option<&RegistryLogin>) -> EngineError {
    let secrets = login.map(secrets).unwrap_or_default();
    match error {
        EngineError::Failed(text) => EngineError::Failed(without(&text, &secrets)),
        EngineError::NotFound(text) => EngineError::NotFound(without(&text, &secrets)),
        EngineError::Conflict(text) => EngineError::Conflict(without(&text, &secrets)),
        error @ (EngineError::Unreachable(_) | EngineError::Deadline(_)) => error,
    }
}

/// The password as it is, and as it goes over the wire.
fn secrets(login: &RegistryLogin) -> [String; 2] {
    let password = login.password.reveal();
    let basic = STANDARD.encode(format!("{}:{password}", login.username));
    [password.to_owned(), basic]
}
