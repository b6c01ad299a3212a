//! Where a client may put the token of an upload: into `Authorization`, as tus clients that can set
//! headers do; into tus's `Upload-Metadata` or the query, as the others do.

use axum::http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The token that a request carries.
pub(crate) fn token(head: &Parts) -> Option<String> {
    bearer(&head.headers)
        .or_else(|| metadata(&head.headers))
        .or_else(|| query(head.uri.query()))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim().to_owned())
}

/// `Upload-Metadata: token <base64>, filename <base64>`
fn metadata(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("upload-metadata")?.to_str().ok()?;
    let mut pairs = value
        .split(',')
        .filter_map(|pair| pair.trim().split_once(' '));
    let (_, encoded) = pairs.find(|(key, _)| *key == "token")?;
    String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()
}

fn query(query: Option<&str>) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query?.as_bytes());
    let (_, token) = pairs.find(|(key, _)| key == "token")?;
    Some(token.into_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn carried(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let request = Request::builder().uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        token(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_token_comes_in_a_header_in_metadata_or_in_the_query() {
        let expected = Some("a+b c".to_owned());
        let metadata = "filename YXBwLnRhcg==, token YStiIGM=";
        assert_eq!(
            carried("/uploads", &[("authorization", "bearer a+b c")]),
            expected
        );
        assert_eq!(
            carried("/uploads", &[("upload-metadata", metadata)]),
            expected
        );
        assert_eq!(carried("/uploads?x=1&token=a%2Bb+c", &[]), expected);
    }

    #[test]
    fn what_is_no_token_is_none() {
        assert_eq!(
            carried("/uploads", &[("authorization", "Basic YStiIGM=")]),
            None
        );
        assert_eq!(
            carried("/uploads", &[("upload-metadata", "token, x y")]),
            None
        );
        assert_eq!(
            carried("/uploads", &[("upload-metadata", "token ***")]),
            None
        );
        assert_eq!(carried("/uploads?tokens=a", &[]), None);
    }
}
