use std::io::{BufRead as _, BufReader, Error, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::spent::Spent;

/// A server in a process of its own, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it and waits until something listens at `address`.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or nothing listens after 5 s.
    pub fn listening(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let child = command.stdout(Stdio::null()).spawn()?;
        let process = Self { child };
        for _ in 0..250 {
            if TcpStream::connect(address).is_ok() {
                return Ok(process);
            }
            sleep(Duration::from_millis(20));
        }
        Err(Error::other(format!("{command:?} did not start")))
    }

    /// Starts it and reads the ports that it prints in its first line.
    ///
    /// # Errors
    ///
    /// When it cannot be started or prints something else.
    pub fn announcing(command: &mut Command) -> Result<(Self, Vec<u16>)> {
        let mut process = Self {
            child: command.stdout(Stdio::piped()).spawn()?,
        };
        let stdout = process.child.stdout.take();
        let stdout = stdout.ok_or_else(|| Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ports = line.split_whitespace().map(str::parse);
        let ports = ports.collect::<std::result::Result<_, _>>();
        Ok((process, ports.map_err(Error::other)?))
    }

    /// The CPU time that it and this process have spent up to now.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn spent(&self) -> Result<Spent> {
        Spent::by(self.child.id())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn resident(&self) -> Result<u64> {
        self.kibibytes("smaps_rollup", "Rss:")
    }

    /// The most resident memory that it has had, in bytes.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn peak(&self) -> Result<u64> {
        self.kibibytes("status", "VmHWM:")
    }

    fn kibibytes(&self, file: &str, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        Ok(first_number(line.unwrap_or_default()) * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _is_gone_already = self.child.kill();
        let _is_gone_already = self.child.wait();
    }
}

/// An address of the loopback where nothing listens.
///
/// # Errors
///
/// When there is no free port.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn first_number(text: &str) -> u64 {
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
