//! How frames are put into the HTTP responses of each transport.

use std::fmt::Write as _;

/// What iframes in a browser run before the first frame.
const HTML_FILE: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{{ callback }};
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"#;
/// Browsers show nothing of a page before there is so much of it.
const HTML_FILE_BYTES: usize = 1037;
/// Some browsers hold back the first 2 KiB of a response.
const STREAMING_PRELUDE: usize = 2048;

/// How a response carries frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoding {
    Polling,
    Streaming,
    EventSource,
    HtmlFile { callback: String },
    Jsonp { callback: String },
}

impl Encoding {
    /// What comes before the first frame.
    pub(crate) fn prelude(&self) -> Option<String> {
        match self {
            Self::Polling | Self::Jsonp { .. } => None,
            Self::Streaming => Some("h".repeat(STREAMING_PRELUDE) + "\n"),
            Self::EventSource => Some("\r\n".to_owned()),
            Self::HtmlFile { callback } => {
                let page = format!("{HTML_FILE:HTML_FILE_BYTES$}\r\n\r\n");
                Some(page.replace("{{ callback }}", callback))
            }
        }
    }

    /// A frame as this transport sends it.
    pub(crate) fn encode(&self, frame: &str) -> String {
        match self {
            Self::Polling | Self::Streaming => format!("{frame}\n"),
            Self::EventSource => event(frame),
            Self::HtmlFile { .. } => {
                format!("<script>\np({});\n</script>\r\n", script_string(frame))
            }
            // the comment keeps the response from being taken for something else, as a Flash file
            Self::Jsonp { callback } => {
                format!("/**/{callback}({});\r\n", script_string(frame))
            }
        }
    }

    /// Whether a response ends with its first frame.
    pub(crate) fn one_frame(&self) -> bool {
        matches!(self, Self::Polling | Self::Jsonp { .. })
    }
}

/// The client decodes what it gets as a URI.
fn event(frame: &str) -> String {
    let mut event = String::with_capacity(frame.len() + 16);
    event.push_str("data: ");
    for character in frame.chars() {
        match character {
            '%' | '\r' | '\n' | '\0' => {
                let _never_fails = write!(event, "%{:02X}", u32::from(character));
            }
            other => event.push(other),
        }
    }
    event.push_str("\r\n\r\n");
    event
}

/// The frame as a string in a script in a page: nothing in it may end the script.
fn script_string(frame: &str) -> String {
    let mut string = String::new();
    crate::frame::quote(frame, &mut string);
    string.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback() -> String {
        "_jp.abc".to_owned()
    }

    #[test]
    fn xhr_ends_frames_with_a_new_line() {
        assert_eq!(Encoding::Polling.prelude(), None);
        assert_eq!(Encoding::Polling.encode("o"), "o\n");
        let prelude = Encoding::Streaming.prelude().unwrap();
        assert_eq!(prelude.len(), 2049);
        assert!(prelude.starts_with('h') && prelude.ends_with("h\n"));
    }

    #[test]
    fn events_are_escaped_as_a_uri() {
        assert_eq!(Encoding::EventSource.prelude().unwrap(), "\r\n");
        assert_eq!(Encoding::EventSource.encode("o"), "data: o\r\n\r\n");
        assert_eq!(
            Encoding::EventSource.encode("a[\"100%\r\n\0\"]"),
            "data: a[\"100%25%0D%0A%00\"]\r\n\r\n"
        );
    }

    #[test]
    fn html_is_padded_and_calls_the_parent() {
        let encoding = Encoding::HtmlFile {
            callback: callback(),
        };
        let prelude = encoding.prelude().unwrap();
        assert!(prelude.contains("var c = parent._jp.abc;"));
        assert!(prelude.len() > 1024 && prelude.ends_with("  \r\n\r\n"));
        assert_eq!(
            encoding.encode(r#"a["x"]"#),
            "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n"
        );
    }

    #[test]
    fn a_message_cannot_end_the_script_that_carries_it() {
        let encoding = Encoding::HtmlFile {
            callback: callback(),
        };
        let encoded = encoding.encode("a[\"</script><b>\"]");
        assert_eq!(encoded.matches('<').count(), 2, "{encoded}");
        assert!(encoded.contains("\\u003c/script>\\u003cb>"));
    }

    #[test]
    fn jsonp_calls_a_function() {
        let encoding = Encoding::Jsonp {
            callback: callback(),
        };
        assert_eq!(encoding.encode("o"), "/**/_jp.abc(\"o\");\r\n");
        assert_eq!(
            encoding.encode(r#"a["x"]"#),
            "/**/_jp.abc(\"a[\\\"x\\\"]\");\r\n"
        );
    }
}
