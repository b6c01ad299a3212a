//! How a client wants to read a page.

use http::header::{ACCEPT, HeaderMap};

/// How the client wants to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Json,
}

impl Format {
    /// JSON if `Accept` names it, and names no HTML that is as welcome.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let lines = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = lines
            .flat_map(|line| line.split(','))
            .map(media_range)
            .collect();
        let quality = |wanted: &str| {
            let named = ranges
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, quality)| *quality).fold(0.0, f32::max)
        };
        if quality("application/json") > quality("text/html") {
            Self::Json
        } else {
            Self::Html
        }
    }
}

/// The type and the quality of one element of `Accept` (RFC 9110 §12.5.1).
fn media_range(element: &str) -> (&str, f32) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q="));
    (
        name,
        quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wanted(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        Format::wanted(&headers)
    }

    #[test]
    fn json_is_for_those_who_prefer_it() {
        assert_eq!(wanted("application/json"), Format::Json);
        assert_eq!(wanted("application/json, text/plain, */*"), Format::Json);
        assert_eq!(
            wanted("text/html;q=0.5, application/json;q=0.9"),
            Format::Json
        );
        assert_eq!(wanted("*/*"), Format::Html);
        assert_eq!(wanted("text/html, application/json"), Format::Html);
        assert_eq!(
            wanted("text/html,application/xhtml+xml,*/*;q=0.8"),
            Format::Html
        );
        assert_eq!(wanted("application/json;q=0"), Format::Html);
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Html);
    }
}
