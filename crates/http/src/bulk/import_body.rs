//! The body of an import as something that a thread can read from, piece by piece as it arrives.

use std::{
    io::{self, Read},
    pin::Pin,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_core::Stream;
use tokio::{sync::mpsc, time::timeout};

/// Pieces that wait for the reading thread. The connection waits when there are so many: nothing piles up.
const PIECES_WAITING: usize = 8;

/// How long nothing may arrive, in seconds.
const SILENCE_S_MAX: u64 = 60;

/// What arrives.
enum Piece {
    Bytes(Bytes),
    /// The body is whole.
    End,
    /// It is not, and nothing more will come.
    Broken(String),
}

/// Sends the body on to a [`BodyReader`].
pub struct BodyPump(mpsc::Sender<Piece>);

/// Reads the body. An end that was not announced is an error, so that half a body is never taken for the whole.
pub struct BodyReader {
    pieces: mpsc::Receiver<Piece>,
    open: Bytes,
    is_at_end: bool,
}

/// A body on its way from the one to the other.
pub fn body_pipe() -> (BodyPump, BodyReader) {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    (BodyPump(sender), BodyReader { pieces, open: Bytes::new(), is_at_end: false })
}

impl BodyPump {
    /// Sends all of it; returns early when nobody reads any more.
    pub async fn pump(self, body: Body) {
        let mut stream = body.into_data_stream();
        loop {
            let next = std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context));
            let piece = match timeout(Duration::from_secs(SILENCE_S_MAX), next).await {
                Ok(Some(Ok(bytes))) => Piece::Bytes(bytes),
                Ok(Some(Err(_))) => Piece::Broken("the connection broke off".to_owned()),
                Ok(None) => Piece::End,
                Err(_) => Piece::Broken(format!("nothing arrived for {SILENCE_S_MAX} s")),
            };
            let is_last = !matches!(piece, Piece::Bytes(_));
            if self.0.send(piece).await.is_err() || is_last {
                return;
            }
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.open.is_empty() && !self.is_at_end {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.open = bytes,
                Some(Piece::End) => self.is_at_end = true,
                Some(Piece::Broken(why)) => return Err(io::Error::other(why)),
                None => return Err(io::Error::other("the connection broke off")),
            }
        }
        let length = self.open.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.open.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: Body) -> io::Result<String> {
        let (pump, reader) = body_pipe();
        let reading = tokio::task::spawn_blocking(move || io::read_to_string(reader));
        pump.pump(body).await;
        reading.await.unwrap()
    }

    struct Pieces(Vec<Result<&'static str, io::Error>>);

    impl Stream for Pieces {
        type Item = Result<&'static str, io::Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
            let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
            std::task::Poll::Ready(next)
        }
    }

    #[tokio::test]
    async fn a_whole_body_ends_and_half_a_body_is_an_error() {
        assert_eq!(read(Body::from_stream(Pieces(vec![Ok("ab"), Ok(""), Ok("c")]))).await.unwrap(), "abc");
        let broken = Pieces(vec![Ok("ab"), Err(io::Error::other("reset"))]);
        assert_eq!(read(Body::from_stream(broken)).await.unwrap_err().to_string(), "the connection broke off");
        let (pump, reader) = body_pipe();
        drop(pump);
        assert!(tokio::task::spawn_blocking(move || io::read_to_string(reader)).await.unwrap().is_err(), "the call was dropped");
    }
}
