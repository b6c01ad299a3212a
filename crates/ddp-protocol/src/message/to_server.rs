use std::fmt;

use crate::ejson::{Value, write_ejson};
use crate::json::{write_array, write_json, write_string};

/// A message from client to server.
///
/// Its `Debug` form leaves the arguments out: passwords travel in them.
#[derive(Clone, PartialEq)]
pub enum ClientMessage {
    /// Opens a session.
    Connect {
        /// The version that the client would like to speak.
        version: String,
        /// All versions that it speaks, the best one first.
        support: Vec<String>,
        /// The session that was lost, if there was one. Servers of today ignore it.
        session: Option<String>,
    },
    /// Is anybody there?
    Ping,
    /// The answer to a ping.
    Pong {
        /// The `id` of the ping, if it had one.
        id: Option<Value>,
    },
    /// Calls a method.
    Method {
        /// Names the call in the answers.
        id: String,
        /// The method.
        method: String,
        /// Its arguments.
        params: Vec<Value>,
        /// The seed for ids that client and server make alike.
        random_seed: Option<String>,
    },
    /// Subscribes to a publication.
    Sub {
        /// Names the subscription.
        id: String,
        /// The publication.
        name: String,
        /// Its arguments.
        params: Vec<Value>,
    },
    /// Ends a subscription.
    Unsub {
        /// The subscription.
        id: String,
    },
}

impl ClientMessage {
    /// The text of the frame: compact JSON, `msg` first, keys in the order of Meteor's client.
    ///
    /// ```
    /// use ddp_protocol::message::ClientMessage;
    ///
    /// let unsub = ClientMessage::Unsub { id: "s".into() };
    /// assert_eq!(unsub.to_text(), r#"{"msg":"unsub","id":"s"}"#);
    /// ```
    pub fn to_text(&self) -> String {
        let mut out = format!("{{\"msg\":\"{}\"", self.msg());
        match self {
            Self::Connect {
                version,
                support,
                session,
            } => {
                optional(&mut out, "session", session.as_deref());
                string(&mut out, "version", version);
                key(&mut out, "support");
                write_array(&mut out, support, |out, version| write_string(out, version));
            }
            Self::Ping => {}
            Self::Pong { id } => {
                if let Some(id) = id {
                    key(&mut out, "id");
                    write_json(&mut out, id);
                }
            }
            Self::Method {
                id,
                method,
                params,
                random_seed,
            } => {
                string(&mut out, "method", method);
                write_params(&mut out, params);
                string(&mut out, "id", id);
                optional(&mut out, "randomSeed", random_seed.as_deref());
            }
            Self::Sub { id, name, params } => {
                string(&mut out, "id", id);
                string(&mut out, "name", name);
                write_params(&mut out, params);
            }
            Self::Unsub { id } => string(&mut out, "id", id),
        }
        out.push('}');
        out
    }

    fn msg(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Ping => "ping",
            Self::Pong { .. } => "pong",
            Self::Method { .. } => "method",
            Self::Sub { .. } => "sub",
            Self::Unsub { .. } => "unsub",
        }
    }
}

impl fmt::Debug for ClientMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.msg());
        match self {
            Self::Method { id, method, .. } => out.field("id", id).field("method", method),
            Self::Sub { id, name, .. } => out.field("id", id).field("name", name),
            Self::Unsub { id } => out.field("id", id),
            Self::Connect { version, .. } => out.field("version", version),
            Self::Ping | Self::Pong { .. } => &mut out,
        }
        .finish_non_exhaustive()
    }
}

fn key(out: &mut String, key: &str) {
    out.push(',');
    write_string(out, key);
    out.push(':');
}

fn string(out: &mut String, name: &str, value: &str) {
    key(out, name);
    write_string(out, value);
}

fn optional(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(out, name, value);
    }
}

fn write_params(out: &mut String, params: &[Value]) {
    key(out, "params");
    write_array(out, params, write_ejson);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::Date;

    #[test]
    fn what_is_not_there_is_left_out() {
        let connect = ClientMessage::Connect {
            version: "1".into(),
            support: vec!["1".into(), "pre1".into()],
            session: None,
        };
        assert_eq!(
            connect.to_text(),
            r#"{"msg":"connect","version":"1","support":["1","pre1"]}"#
        );
        assert_eq!(ClientMessage::Ping.to_text(), r#"{"msg":"ping"}"#);
        assert_eq!(
            ClientMessage::Pong { id: None }.to_text(),
            r#"{"msg":"pong"}"#
        );
        let null = ClientMessage::Pong {
            id: Some(Value::Null),
        };
        assert_eq!(null.to_text(), r#"{"msg":"pong","id":null}"#);
    }

    #[test]
    fn arguments_are_ejson_and_always_there() {
        let call = ClientMessage::Method {
            id: "1".into(),
            method: "m".into(),
            params: vec![Value::Date(Date::from_millis(5)), f64::INFINITY.into()],
            random_seed: Some("s".into()),
        };
        assert_eq!(
            call.to_text(),
            r#"{"msg":"method","method":"m","params":[{"$date":5},{"$InfNaN":1}],"id":"1","randomSeed":"s"}"#
        );
        let sub = ClientMessage::Sub {
            id: "s".into(),
            name: "n".into(),
            params: vec![],
        };
        assert_eq!(
            sub.to_text(),
            r#"{"msg":"sub","id":"s","name":"n","params":[]}"#
        );
    }

    #[test]
    fn arguments_do_not_show_up_in_debug_output() {
        let call = ClientMessage::Method {
            id: "1".into(),
            method: "login".into(),
            params: vec!["secret".into()],
            random_seed: None,
        };
        assert_eq!(
            format!("{call:?}"),
            r#"method { id: "1", method: "login", .. }"#
        );
    }
}
