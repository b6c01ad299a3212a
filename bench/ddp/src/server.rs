use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use measure::{Process, Spent, free_address};

/// A server in a process of its own, ended when dropped.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Server {
    /// `ddp-server` with its test service.
    pub(crate) fn ddp(programs: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(programs.join("examples/test_service"));
        command.args(["--port", &address.port().to_string()]);
        Ok(Self {
            name: "ddp-server",
            address,
            process: Process::listening(&mut command, address)?,
        })
    }

    /// A baseline.
    pub(crate) fn bare(programs: &Path, mode: &'static str) -> Result<Self> {
        let mut command = Command::new(programs.join("bare"));
        let (process, ports) = Process::announcing(command.arg(mode))?;
        let port = ports.first().copied().unwrap_or_default();
        Ok(Self {
            name: mode,
            address: ([127, 0, 0, 1], port).into(),
            process,
        })
    }

    /// The CPU time that it and this process have spent up to now.
    pub(crate) fn spent(&self) -> Result<Spent> {
        self.process.spent()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.process.resident()
    }

    /// The most resident memory that it has had, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.process.peak()
    }
}
