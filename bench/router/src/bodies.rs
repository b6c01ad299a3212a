//! Bodies of 1 MB and 100 MB, down and up, one after the other.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use measure::{Sample, say};
use serde_json::{Value, json};

use crate::Options;
use crate::candidate::{Candidate, hostname};

const MEGABYTE: usize = 1_000_000;
/// Megabytes of one body, and how many of them make a round.
const SIZES: [(usize, usize); 2] = [(1, 100), (100, 2)];

pub(crate) fn run(options: &Options, candidates: &[Candidate]) -> Result<Vec<Value>> {
    let mut report = Vec::new();
    for (megabytes, bodies) in SIZES {
        for direction in [Direction::Down, Direction::Up] {
            report.extend(compare(options, candidates, megabytes, bodies, direction)?);
        }
    }
    Ok(report)
}

#[derive(Clone, Copy)]
enum Direction {
    Down,
    Up,
}

fn compare(
    options: &Options,
    candidates: &[Candidate],
    megabytes: usize,
    bodies: usize,
    direction: Direction,
) -> Result<Vec<Value>> {
    let mut samples: Vec<Sample> = candidates.iter().map(|_| Sample::default()).collect();
    for _ in 0..options.rounds {
        for (candidate, sample) in candidates.iter().zip(&mut samples) {
            let mut visitor = Visitor::connect(candidate.address)?;
            let spent = candidate.process.spent()?;
            for _ in 0..bodies {
                match direction {
                    Direction::Down => visitor.download(megabytes * MEGABYTE)?,
                    Direction::Up => visitor.upload(megabytes * MEGABYTE)?,
                }
            }
            let operations = (megabytes * bodies) as u64;
            sample.add(operations, candidate.process.spent()? - spent);
        }
    }
    let baseline = samples[0].micros();
    let word = match direction {
        Direction::Down => "down",
        Direction::Up => "up",
    };
    let mut report = Vec::new();
    for (candidate, sample) in candidates.iter().zip(&mut samples) {
        let mut line = sample.report(
            &format!("{megabytes} MB {word}, per MB"),
            candidate.name,
            Some(baseline),
        );
        line["peak_mib"] = json!(candidate.process.peak()? >> 20);
        report.push(say(line));
    }
    Ok(report)
}

struct Visitor {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Visitor {
    fn connect(router: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(router)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            socket,
            buffer: vec![0; 256 * 1024],
        })
    }

    fn download(&mut self, bytes: usize) -> Result<()> {
        let request = format!(
            "GET /bytes/{bytes} HTTP/1.1\r\nHost: {}\r\n\r\n",
            hostname(1)
        );
        self.socket.write_all(request.as_bytes())?;
        self.answer(bytes)
    }

    fn upload(&mut self, bytes: usize) -> Result<()> {
        let request = format!(
            "POST /taken HTTP/1.1\r\nHost: {}\r\nContent-Length: {bytes}\r\n\r\n",
            hostname(1)
        );
        self.socket.write_all(request.as_bytes())?;
        let mut left = bytes;
        while left > 0 {
            let now = left.min(self.buffer.len());
            self.socket.write_all(&self.buffer[..now])?;
            left -= now;
        }
        self.answer("taken".len())
    }

    /// Reads an answer with so long a body.
    fn answer(&mut self, length: usize) -> Result<()> {
        let mut read = 0;
        let head = loop {
            read += self.read(read)?;
            let head = self.buffer[..read]
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(head) = head {
                break head + 4;
            }
        };
        if !self.buffer.starts_with(b"HTTP/1.1 200") {
            return Err(Error::other(
                String::from_utf8_lossy(&self.buffer[..head]).into_owned(),
            ));
        }
        let mut body = read - head;
        while body < length {
            body += self.read(0)?;
        }
        Ok(())
    }

    fn read(&mut self, from: usize) -> Result<usize> {
        match self.socket.read(&mut self.buffer[from..])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}
