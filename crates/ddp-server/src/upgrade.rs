use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use sockjs::handshake::accept;

/// Those that Meteor's server speaks.
const VERSIONS: [&str; 2] = ["13", "8"];

/// Answers a request to speak WebSocket, with 101 if it may. No subprotocol and no extension is
/// selected, as clients offer both without needing them.
pub(crate) fn answer<B>(request: &Request<B>) -> Response<String> {
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "");
        response
            .headers_mut()
            .insert(ALLOW, http::HeaderValue::from_static("GET"));
        return response;
    }
    accept(request.headers(), &VERSIONS).map_or_else(
        || plain(StatusCode::BAD_REQUEST, "Not a valid websocket request"),
        |response| response.map(|()| String::new()),
    )
}

pub(crate) fn plain(status: StatusCode, body: &str) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = status;
    let text = http::HeaderValue::from_static("text/plain; charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use http::header::SEC_WEBSOCKET_ACCEPT;

    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method(method);
        let builder = headers.iter().fold(builder, |builder, (key, value)| {
            builder.header(*key, *value)
        });
        builder.body(()).unwrap()
    }

    const VALID: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn a_valid_request_is_accepted_without_subprotocol() {
        let mut headers = VALID.to_vec();
        headers.push(("sec-websocket-protocol", "ddp"));
        let response = answer(&request("GET", &headers));
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
    }

    #[test]
    fn anything_else_is_refused() {
        for missing in 0..VALID.len() {
            let mut headers = VALID.to_vec();
            headers.remove(missing);
            let response = answer(&request("GET", &headers));
            assert_eq!(response.status(), 400);
            assert_eq!(response.body(), "Not a valid websocket request");
        }
        let mut old = VALID;
        old[2].1 = "7";
        assert_eq!(answer(&request("GET", &old)).status(), 400);
    }

    #[test]
    fn only_get_is_allowed() {
        let response = answer(&request("POST", &VALID));
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET");
    }
}
