/// How clients reach a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transports {
    /// The path below which `/websocket` and `/sockjs` are, such as that of Meteor's `ROOT_URL`.
    /// Default: none, they are at the root.
    pub path_prefix: String,
    /// Whether WebSockets are served. Without them clients use HTTP, as with Meteor's
    /// `DISABLE_WEBSOCKETS`. Default: yes.
    pub websockets: bool,
    /// Whether browsers are told that pages of other origins may connect over HTTP; Meteor's
    /// `DISABLE_SOCKJS_CORS` says no. Default: yes. It does not keep them from WebSockets, JSONP and
    /// [`iframes`](Self::iframes).
    pub sockjs_cors: bool,
    /// Whether there is the page that a page of another origin can put into a frame to connect
    /// through it. What comes through it has this server's own `Origin`, and it runs a script from
    /// `cdn.jsdelivr.net` (as in Meteor): a server that lets clients in by their `Origin` must not
    /// have it. Default: yes.
    pub iframes: bool,
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
            iframes: true,
            jsessionid: false,
        }
    }
}
