//! A keep-alive connection that reads just enough of HTTP/1.1: status, length and body. What it costs is taken from the server, since
//! both share the processors.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail, ensure};

/// Longer than the server lets a call take.
const WAIT: Duration = Duration::from_secs(150);
/// Grown by so much when an answer does not fit.
const ROOM: usize = 1 << 16;

/// What the server answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// One connection, one call at a time.
pub struct Connection<S> {
    stream: S,
    /// What has been read of one answer; the first `read` bytes count.
    buffer: Vec<u8>,
    read: usize,
    /// A body that came in chunks, put together.
    joined: Vec<u8>,
}

/// How long a body is.
enum Length {
    Bytes(usize),
    Chunked,
}

impl Connection<TcpStream> {
    /// Connects.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT))?;
        Ok(Self::over(stream))
    }
}

impl<S: Read + Write> Connection<S> {
    fn over(stream: S) -> Self {
        Self { stream, buffer: vec![0; ROOM], read: 0, joined: Vec::new() }
    }

    /// Sends a request and reads the whole answer.
    pub fn call(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request)?;
        self.read = 0;
        let head = self.read_head()?;
        let (status, length) = parse_head(&self.buffer[..head])?;
        match length {
            Length::Bytes(length) => {
                let end = head + length;
                self.read_up_to(end)?;
                ensure!(self.read == end, "the answer is longer than it says");
                Ok(Answer { status, body: &self.buffer[head..end] })
            }
            Length::Chunked => {
                self.join_chunks(head)?;
                Ok(Answer { status, body: &self.joined })
            }
        }
    }

    /// Where the body begins.
    fn read_head(&mut self) -> anyhow::Result<usize> {
        loop {
            if let Some(end) = find(&self.buffer[..self.read], b"\r\n\r\n") {
                return Ok(end + 4);
            }
            self.read_more()?;
        }
    }

    fn join_chunks(&mut self, mut place: usize) -> anyhow::Result<()> {
        self.joined.clear();
        loop {
            let line = loop {
                match find(&self.buffer[place..self.read], b"\r\n") {
                    Some(length) => break place..place + length,
                    None => self.read_more()?,
                }
            };
            let text = std::str::from_utf8(&self.buffer[line.clone()])?;
            let length = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16).context("the size of a chunk")?;
            let start = line.end + 2;
            place = start + length + 2;
            self.read_up_to(place)?;
            self.joined.extend_from_slice(&self.buffer[start..start + length]);
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn read_up_to(&mut self, end: usize) -> anyhow::Result<()> {
        while self.read < end {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() - self.read < ROOM / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.read..])?;
        ensure!(count > 0, "the server closed the connection");
        self.read += count;
        Ok(())
    }
}

fn parse_head(head: &[u8]) -> anyhow::Result<(u16, Length)> {
    let text = std::str::from_utf8(head)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok((status, Length::Bytes(value.trim().parse()?)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            return Ok((status, Length::Chunked));
        }
    }
    bail!("the answer does not say how long it is")
}

/// Where `needle` is. Meant for what stands near the beginning.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives its bytes a few at a time, so that every border is crossed.
    struct Trickle {
        bytes: Vec<u8>,
        at_once: usize,
        given: usize,
    }

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.at_once.min(into.len()).min(self.bytes.len() - self.given);
            into[..count].copy_from_slice(&self.bytes[self.given..self.given + count]);
            self.given += count;
            Ok(count)
        }
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answered(text: &str, at_once: usize) -> anyhow::Result<(u16, String)> {
        let mut connection = Connection::over(Trickle { bytes: text.as_bytes().to_vec(), at_once, given: 0 });
        let answer = connection.call(b"")?;
        Ok((answer.status, String::from_utf8(answer.body.to_vec())?))
    }

    #[test]
    fn an_answer_is_read_whole_however_it_arrives() {
        let large = "x".repeat(3 * ROOM);
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_owned(), 200, "abc".to_owned()),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(), 404, String::new()),
            (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{large}", large.len()), 200, large),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n".to_owned(),
                200,
                "abc0123456789".to_owned(),
            ),
        ];
        for (text, status, body) in cases {
            for at_once in [1, 7, usize::MAX] {
                let answer = answered(&text, at_once).unwrap();
                assert!(answer == (status, body.clone()), "{} at once: {}", at_once, &text[..40]);
            }
        }
    }

    #[test]
    fn an_answer_that_ends_early_or_goes_on_is_an_error() {
        for text in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"] {
            assert!(answered(text, 100).is_err(), "{text}");
        }
        assert!(answered("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcd", 100).is_err());
    }
}
