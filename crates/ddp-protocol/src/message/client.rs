use crate::ejson::{Fields, TypeRegistry, Value, decode_in_place};
use crate::json;

/// Why a frame is no message at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Not JSON, or JSON that is neither an object nor an array.
    BadRequest,
    /// The EJSON in it is broken.
    ParseError,
}

impl Rejection {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad request",
            Self::ParseError => "Parse error",
        }
    }
}

/// A frame that was read, before anyone asked whether it makes sense.
#[derive(Debug)]
pub(crate) struct Incoming(Value);

/// What a message is about, as far as the order of checks must tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no `msg`, or none that JavaScript takes for true.
    Missing,
    Connect,
    Ping,
    Pong,
    Other,
}

impl Incoming {
    /// Reads a frame and the EJSON in its `params`, `fields` and `result`
    /// (`DDPCommon.parseDDP` in `packages/ddp-common/utils.js`).
    pub(crate) fn read(frame: &str, types: &TypeRegistry) -> Result<Self, Rejection> {
        match json::parse(frame).map_err(rejection)? {
            Value::Object(fields) => Ok(Self(Value::Object(decode_message(fields, types)?))),
            array @ Value::Array(_) => Ok(Self(array)),
            _ => Err(Rejection::BadRequest),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.0.get("msg") {
            None | Some(Value::Null | Value::Bool(false)) => Kind::Missing,
            Some(Value::Number(number)) if *number == 0.0 => Kind::Missing,
            Some(Value::String(msg)) => match msg.as_str() {
                "" => Kind::Missing,
                "connect" => Kind::Connect,
                "ping" => Kind::Ping,
                "pong" => Kind::Pong,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }

    /// The `version` and `support` of a `connect`, or `None` where they are not valid together.
    pub(crate) fn versions(&self) -> Option<(&str, Vec<&str>)> {
        let version = self.0.get("version")?.as_str()?;
        let support = self.0.get("support")?.as_array()?;
        let support = support
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()?;
        support.contains(&version).then_some((version, support))
    }

    /// The `id` of a ping, whatever it is.
    pub(crate) fn id(&self) -> Option<&Value> {
        self.0.get("id")
    }

    /// The message for an `offendingMessage`.
    pub(crate) fn into_offending(self) -> Value {
        self.0
    }

    /// What the session's queue is to do for it.
    pub(crate) fn into_request(self) -> Request {
        let fields = match self.0 {
            Value::Object(fields) => fields,
            other => {
                return Request::Refuse {
                    reason: "Bad request",
                    offending: other,
                };
            }
        };
        match fields.get("msg").and_then(Value::as_str) {
            Some("method") => method(fields),
            Some("sub") => sub(fields),
            Some("unsub") => Request::Unsub {
                id: fields.get("id").cloned(),
            },
            _ => refuse("Bad request", fields),
        }
    }
}

/// A message that waits for its turn.
#[derive(Debug)]
pub(crate) enum Request {
    Method {
        id: String,
        name: String,
        params: Vec<Value>,
        random_seed: Option<String>,
    },
    Sub {
        id: String,
        name: String,
        params: Vec<Value>,
    },
    Unsub {
        id: Option<Value>,
    },
    Refuse {
        reason: &'static str,
        offending: Value,
    },
}

/// Meteor reads JSON of any depth, and fails when it looks for EJSON in it.
fn rejection(error: json::SyntaxError) -> Rejection {
    if error.too_deep {
        Rejection::ParseError
    } else {
        Rejection::BadRequest
    }
}

fn decode_message(mut fields: Fields, types: &TypeRegistry) -> Result<Fields, Rejection> {
    if fields
        .get("cleared")
        .is_some_and(|cleared| cleared.as_array().is_none())
    {
        return Err(Rejection::ParseError);
    }
    for key in ["fields", "params", "result"] {
        if let Some(value) = fields.get_mut(key) {
            decode_in_place(value, types).map_err(|_| Rejection::ParseError)?;
        }
    }
    Ok(fields)
}

fn method(mut fields: Fields) -> Request {
    let random_seed = optional_string(&fields, "randomSeed");
    let (Some(id), Some(name), Ok(random_seed), true) = (
        string(&fields, "id"),
        string(&fields, "method"),
        random_seed,
        has_params(&fields),
    ) else {
        return refuse("Malformed method invocation", fields);
    };
    Request::Method {
        id,
        name,
        params: take_params(&mut fields),
        random_seed,
    }
}

fn sub(mut fields: Fields) -> Request {
    let (Some(id), Some(name), true) = (
        string(&fields, "id"),
        string(&fields, "name"),
        has_params(&fields),
    ) else {
        return refuse("Malformed subscription", fields);
    };
    Request::Sub {
        id,
        name,
        params: take_params(&mut fields),
    }
}

fn refuse(reason: &'static str, fields: Fields) -> Request {
    Request::Refuse {
        reason,
        offending: Value::Object(fields),
    }
}

fn string(fields: &Fields, key: &str) -> Option<String> {
    fields.get(key)?.as_str().map(str::to_owned)
}

fn optional_string(fields: &Fields, key: &str) -> Result<Option<String>, ()> {
    match fields.get(key) {
        None => Ok(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or(()),
    }
}

fn has_params(fields: &Fields) -> bool {
    fields
        .get("params")
        .is_none_or(|params| params.as_array().is_some())
}

fn take_params(fields: &mut Fields) -> Vec<Value> {
    match fields.swap_remove("params") {
        Some(Value::Array(params)) => params,
        _ => Vec::new(),
    }
}
