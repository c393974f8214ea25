//! A few calls at a time, over a stream of things to do.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{sync::mpsc, task::JoinSet};

/// Calls under way at the same time.
const LANES: usize = 6;

/// Does `act` for every item, some at the same time, and tells `told` each outcome as it comes.
///
/// # Errors
/// The first error; what is under way is abandoned.
pub(super) async fn for_each<I, A, F, T>(items: I, act: A, mut told: impl FnMut(T)) -> Result<()>
where
    I: Iterator<Item: Send> + Send + 'static,
    A: Fn(I::Item) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T>> + Send,
    T: Send + 'static,
{
    let items = Arc::new(Mutex::new(items));
    let (sender, mut outcomes) = mpsc::channel(LANES);
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (items, act, sender) = (Arc::clone(&items), act.clone(), sender.clone());
        lanes.spawn(async move {
            loop {
                // OK because an iterator that panicked gives nothing more, and the panic is reported by its own lane.
                let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(item) = next else { return };
                if sender.send(act(item).await).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    while let Some(outcome) = outcomes.recv().await {
        told(outcome?);
    }
    while let Some(ended) = lanes.join_next().await {
        ended?;
    }
    Ok(())
}
