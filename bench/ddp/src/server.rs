use std::io::{BufRead as _, BufReader, Error, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::spent::Spent;

/// A server in a process of its own, ended when dropped.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Server {
    /// `ddp-server` with its test service.
    pub(crate) fn ddp(programs: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = programs.join("examples/test_service");
        let process = Command::new(program)
            .args(["--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()?;
        let address = ([127, 0, 0, 1], port).into();
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                return Ok(Self {
                    name: "ddp-server",
                    address,
                    process,
                });
            }
            sleep(Duration::from_millis(20));
        }
        Err(Error::other("test_service did not start"))
    }

    /// A baseline.
    pub(crate) fn bare(programs: &Path, mode: &'static str) -> Result<Self> {
        let mut command = Command::new(programs.join("bare"));
        let mut process = command.arg(mode).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = process
            .stdout
            .take()
            .ok_or_else(|| Error::other("no output"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let port: u16 = line.trim().parse().map_err(Error::other)?;
        let address = ([127, 0, 0, 1], port).into();
        Ok(Self {
            name: mode,
            address,
            process,
        })
    }

    /// The CPU time that it and this process have spent up to now.
    pub(crate) fn spent(&self) -> Result<Spent> {
        Spent::by(self.process.id())
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.kibibytes("smaps_rollup", "Rss:")
    }

    /// The most resident memory that it has had, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.kibibytes("status", "VmHWM:")
    }

    fn kibibytes(&self, file: &str, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        Ok(first_number(line.unwrap_or_default()) * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _is_gone_already = self.process.kill();
        let _is_gone_already = self.process.wait();
    }
}

fn first_number(text: &str) -> u64 {
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
