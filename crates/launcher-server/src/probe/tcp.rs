//! Whether something takes connections.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::attempt::{Attempt, Refusal};

/// Docker's own proxy takes every connection, and closes it when the app behind it took none.
const SETTLED: Duration = Duration::from_millis(100);

/// Whether a connection is taken, and either something comes or it is still open a little later.
pub(super) async fn stays_open(attempt: &Attempt<'_>) -> Result<(), Refusal> {
    let mut stream = attempt.connect().await?;
    match attempt.briefly(SETTLED, stream.read_u8()).await {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(Refusal::Closed),
    }
}
