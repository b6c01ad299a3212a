use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use measure::Sample;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::candidate::{HOSTNAMES, hostname};

/// Many keep-alive connections, each with one request under way, for one hostname after the other.
pub(crate) struct Visitors {
    all: Vec<Visitor>,
    /// What is sent for each hostname: with the cookie that its first answer has set.
    requests: Vec<String>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

struct Visitor {
    socket: TcpStream,
    answer: Vec<u8>,
    asked: Instant,
    next: usize,
}

impl Visitors {
    pub(crate) fn new(number: usize, router: SocketAddr) -> Result<Self> {
        let poll = Poll::new()?;
        let mut all = Vec::new();
        for token in 0..number {
            let socket = TcpStream::connect(router)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let descriptor = socket.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            poll.registry()
                .register(&mut source, Token(token), Interest::READABLE)?;
            all.push(Visitor {
                socket,
                answer: Vec::new(),
                asked: Instant::now(),
                next: token * HOSTNAMES / number,
            });
        }
        Ok(Self {
            all,
            requests: first_visits(router)?,
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Asks for so long, waits for the last answers, and enters latencies and failures. Returns how many answers
    /// there were.
    pub(crate) fn ask(&mut self, length: Duration, sample: &mut Sample) -> Result<u64> {
        let end = Instant::now() + length;
        let (mut answers, mut waiting) = (0, self.all.len());
        for visitor in &mut self.all {
            visitor.ask(&self.requests)?;
        }
        while waiting > 0 {
            self.poll
                .poll(&mut self.events, Some(Duration::from_secs(10)))?;
            if self.events.is_empty() {
                return Err(Error::other("no answer for 10 s"));
            }
            for event in &self.events {
                let visitor = &mut self.all[event.token().0];
                let Some(status) = visitor.read(&mut self.buffer)? else {
                    continue;
                };
                answers += 1;
                sample.lost += u64::from(status != 200);
                let now = Instant::now();
                sample
                    .latencies
                    .push((now - visitor.asked).as_micros() as u32);
                if now < end {
                    visitor.ask(&self.requests)?;
                } else {
                    waiting -= 1;
                }
            }
        }
        Ok(answers)
    }
}

impl Visitor {
    fn ask(&mut self, requests: &[String]) -> Result<()> {
        self.answer.clear();
        self.asked = Instant::now();
        let request = &requests[self.next % requests.len()];
        self.next += 1;
        self.socket.write_all(request.as_bytes())
    }

    /// The status of an answer that has come completely.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<u16>> {
        match self.socket.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.answer.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(complete(&self.answer))
    }
}

/// The answers are all of one kind: a length, no chunks.
fn complete(answer: &[u8]) -> Option<u16> {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let length: usize = header(text, "content-length")?.parse().ok()?;
    (answer.len() >= head + length)
        .then(|| text.get(9..12)?.parse().ok())
        .flatten()
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// One request for each hostname; browsers come again with the cookies that they got.
fn first_visits(router: SocketAddr) -> Result<Vec<String>> {
    let mut socket = TcpStream::connect(router)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut buffer = [0; 8192];
    let visit = |number| {
        let host = hostname(number);
        socket.write_all(request(&host, None).as_bytes())?;
        let mut answer = Vec::new();
        while complete(&answer).is_none() {
            let read = socket.read(&mut buffer)?;
            answer.extend_from_slice(&buffer[..read]);
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let text = String::from_utf8_lossy(&answer);
        let cookie = header(&text, "set-cookie").and_then(|cookie| cookie.split(';').next());
        Ok(request(&host, cookie))
    };
    (0..HOSTNAMES).map(visit).collect()
}

/// As long as a browser's.
fn request(host: &str, cookie: Option<&str>) -> String {
    let cookie = cookie
        .map(|cookie| format!("Cookie: {cookie}\r\n"))
        .unwrap_or_default();
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101\r\n\
         Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n{cookie}\r\n"
    )
}
