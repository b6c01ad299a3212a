use std::io::Result;
use std::ops::{AddAssign, Sub};
use std::time::Duration;

/// CPU time that was spent on both sides of the sockets.
#[derive(Debug, Default, Clone, Copy)]
pub struct Spent {
    /// By the server.
    pub server: Duration,
    /// By this process, the load generator.
    pub load: Duration,
}

impl Spent {
    /// Up to now.
    ///
    /// # Errors
    ///
    /// When the server has ended.
    pub fn by(server: u32) -> Result<Self> {
        Ok(Self {
            server: cpu_of(&server.to_string())?,
            load: cpu_of("self")?,
        })
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            load: self.load.saturating_sub(earlier.load),
        }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.server += more.server;
        self.load += more.load;
    }
}

/// The time that all threads of a process have spent on processors, from the scheduler's own
/// account.
fn cpu_of(process: &str) -> Result<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let account = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let spent = account.split_whitespace().next();
        nanos += spent.and_then(|spent| spent.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}
