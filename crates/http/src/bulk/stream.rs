//! A body that is made while it is sent.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use futures_core::Stream;
use lethe_store::StoreError;
use tokio::sync::mpsc;

/// Parts that wait for a client: while it reads one, the next is made, and no more.
const PARTS_WAITING: usize = 1;

/// Takes the parts of a body, in order. An error breaks the connection off, so that nobody takes half a body for the whole.
pub type Parts = mpsc::Sender<Result<Bytes, StoreError>>;

struct Received(mpsc::Receiver<Result<Bytes, StoreError>>);

impl Stream for Received {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// A body, and where its parts go. Sending fails once the client has gone.
pub fn streamed() -> (Parts, Body) {
    let (parts, received) = mpsc::channel(PARTS_WAITING);
    (parts, Body::from_stream(Received(received)))
}
