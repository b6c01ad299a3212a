//! A page for people, readable in light and dark.

use super::Said;

pub(super) const TYPE: &str = "text/html; charset=utf-8";

/// A page needs its own style and nothing else.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const STYLE: &str = ":root{color-scheme:light dark;font:1.1rem/1.5 system-ui,sans-serif;\
    color:light-dark(#222,#ddd);background:light-dark(#fff,#181818)}\
    main{max-width:32rem;margin:20vh auto 0;padding:0 1.5rem;overflow-wrap:anywhere}\
    h1{font-size:1.6rem;margin:0}small{opacity:.6}";

/// The proxy's own page.
pub(super) fn page(said: &Said<'_>) -> String {
    let Said { title, status, .. } = said;
    let (status, reason) = (status.as_u16(), escaped(&said.reason));
    let refresh = said
        .refresh
        .map(|seconds| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"));
    let progress = said
        .progress
        .map(|text| format!("<p>{}</p>\n", escaped(text)));
    let (refresh, progress) = (refresh.unwrap_or_default(), progress.unwrap_or_default());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n{refresh}\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <main>\n<h1>{title}</h1>\n<p>{reason}</p>\n{progress}<p><small>{status}</small></p>\n</main>\n"
    )
}

/// `text` as it is shown.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            plain => escaped.push(plain),
        }
    }
    escaped
}
