use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap};

use crate::headers::tokens;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl Coding {
    /// Those that are served rather come first.
    pub(crate) const ALL: [Self; 5] = [
        Self::Brotli,
        Self::Zstd,
        Self::Gzip,
        Self::Deflate,
        Self::Identity,
    ];

    /// That of an answer; `None` if it has one that is not known here, or several.
    pub(crate) fn of(answer: &HeaderMap) -> Option<Self> {
        let mut named = tokens(answer, &CONTENT_ENCODING);
        match (named.next(), named.next()) {
            (None, _) => Some(Self::Identity),
            (Some(name), None) => Self::ALL.into_iter().find(|coding| coding.is_named(name)),
            _ => None,
        }
    }

    /// Whether who asks takes it (RFC 9110 §12.5.3). Who names no coding gets none, though he might take any.
    pub(crate) fn is_accepted(self, request: &HeaderMap) -> bool {
        let accepts = |is_meant: &dyn Fn(&str) -> bool| {
            let mut elements = tokens(request, &ACCEPT_ENCODING).map(element);
            elements.find_map(|(name, accepted)| is_meant(name).then_some(accepted))
        };
        accepts(&|name| self.is_named(name))
            .or_else(|| accepts(&|name| name == "*"))
            .unwrap_or(self == Self::Identity)
    }

    fn is_named(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Identity => &["identity"],
            Self::Gzip => &["gzip", "x-gzip"],
            Self::Brotli => &["br"],
            Self::Zstd => &["zstd"],
            Self::Deflate => &["deflate"],
        };
        names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The name in an element of `Accept-Encoding`, and whether its weight is above 0.
fn element(element: &str) -> (&str, bool) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
    (name, weight > 0.0)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn accepted(accept: &'static str) -> Vec<Coding> {
        let mut request = HeaderMap::new();
        request.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
        let all = Coding::ALL.into_iter();
        all.filter(|coding| coding.is_accepted(&request)).collect()
    }

    #[test]
    fn who_asks_says_what_he_takes() {
        use Coding::{Brotli, Deflate, Gzip, Identity, Zstd};
        assert_eq!(
            accepted("gzip, deflate, br, zstd"),
            [Brotli, Zstd, Gzip, Deflate, Identity]
        );
        assert_eq!(accepted("X-GZip;q=0.5, br;q=0"), [Gzip, Identity]);
        assert_eq!(accepted("gzip, *;q=0"), [Gzip]);
        assert_eq!(accepted("identity;q=0, br"), [Brotli]);
        assert_eq!(accepted("*"), Coding::ALL);
        assert_eq!(accepted(""), [Identity]);
        assert!(Coding::Identity.is_accepted(&HeaderMap::new()));
        assert!(!Coding::Gzip.is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn an_answer_has_one_coding_or_none() {
        let of = |value: &'static str| {
            let mut answer = HeaderMap::new();
            answer.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
            Coding::of(&answer)
        };
        assert_eq!(of("BR"), Some(Coding::Brotli));
        assert_eq!(of("x-gzip"), Some(Coding::Gzip));
        assert_eq!(of("compress"), None);
        assert_eq!(of("gzip, br"), None);
        assert_eq!(Coding::of(&HeaderMap::new()), Some(Coding::Identity));
    }
}
