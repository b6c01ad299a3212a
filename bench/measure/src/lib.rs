//! What benchmarks share: how much of a processor and of memory a process takes, samples of it, and a
//! WebSocket client that is cheap enough not to be what is measured.

mod machine;
mod peer;
mod process;
mod report;
mod sample;
mod spent;

pub use machine::report as machine;
pub use peer::{Peer, frame};
pub use process::{Process, free_address};
pub use report::{round, say};
pub use sample::Sample;
pub use spent::Spent;
