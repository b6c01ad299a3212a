/// How clients reach a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transports {
    /// The path below which `/websocket` and `/sockjs` are, such as that of Meteor's `ROOT_URL`.
    /// Default: none, they are at the root.
    pub path_prefix: String,
    /// Whether WebSockets are served. Without them clients use HTTP, as with Meteor's
    /// `DISABLE_WEBSOCKETS`. Default: yes.
    pub websockets: bool,
    /// Whether pages of other origins may connect over HTTP; Meteor's `DISABLE_SOCKJS_CORS` says
    /// no. Default: yes.
    pub sockjs_cors: bool,
    /// Whether the cookie `JSESSIONID` is set, by which load balancers keep a client at one
    /// server (Meteor's `USE_JSESSIONID`). Default: no.
    pub jsessionid: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self {
            path_prefix: String::new(),
            websockets: true,
            sockjs_cors: true,
            jsessionid: false,
        }
    }
}
