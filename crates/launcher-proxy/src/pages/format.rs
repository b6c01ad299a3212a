//! How a client wants to read a page.

use http::header::{ACCEPT, HeaderMap, HeaderValue};

/// How the client wants to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
}

/// What a request says of it. Kept as it is: few requests get a page.
pub(crate) struct Accept(Vec<HeaderValue>);

impl Accept {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(ACCEPT).iter().cloned().collect())
    }

    /// JSON if it is named, and no HTML that is as welcome.
    pub(super) fn format(&self) -> Format {
        let lines = self.0.iter().filter_map(|value| value.to_str().ok());
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
            Format::Json
        } else {
            Format::Html
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
    use super::*;

    fn wanted(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        Accept::of(&headers).format()
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
        assert_eq!(Accept::of(&HeaderMap::new()).format(), Format::Html);
    }
}
