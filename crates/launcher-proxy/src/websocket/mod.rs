//! What the proxy knows of WebSockets: where frames begin and end, so that it counts messages and never closes a
//! connection in the middle of one. Payloads are neither read nor changed.

mod farewell;
mod follower;

pub(crate) use farewell::{Farewell, Kind};
pub(crate) use follower::Follower;
