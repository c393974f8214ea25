//! The connections that read, each on a thread of its own, lent in the order of asking.
//!
//! SQLite's memory for a connection is then always asked for and given back by the same thread: lent to whichever thread is free, it
//! spreads over the allocator's arenas and grows (157 MiB instead of 70 at the end of one purge).

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use lethe_store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

/// What a connection is lent for.
type Task = Box<dyn FnOnce(&mut Connection) + Send>;

/// Tasks that wait. One that comes wakes one reader: with a channel behind a lock, it would wake the next in line for the lock as well.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    has_changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    is_closed: bool,
}

impl Queue {
    /// The next task, when there is one; `None` when there will be none.
    fn next(&self) -> Option<Task> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(task) = waiting.tasks.pop_front() {
                return Some(task);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.has_changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn push(&self, task: Task) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).tasks.push_back(task);
        self.has_changed.notify_one();
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.has_changed.notify_all();
    }
}

/// See the module.
pub(crate) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>) -> Self {
        let queue = Arc::new(Queue::default());
        let work = |mut connection: Connection| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                while let Some(task) = queue.next() {
                    // A panic is told to whoever asked, by their reply being dropped; the transaction has been rolled back on the way.
                    drop(catch_unwind(AssertUnwindSafe(|| task(&mut connection))));
                }
            })
        };
        let threads = connections.into_iter().map(work).collect();
        Self { queue, threads }
    }

    /// Lends a connection.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        // OK because whoever asked may have given up by now.
        self.queue.push(Box::new(move |connection| drop(reply.send(work(connection)))));
        answer.await.map_err(|_| StoreError::Failed("the task of a database connection panicked".into()))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // OK because a panic has been told already.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers() -> Readers {
        Readers::start((0..2).map(|_| Connection::open_in_memory().unwrap()).collect())
    }

    #[tokio::test]
    async fn a_panic_is_told_to_whoever_asked_and_the_readers_read_on() {
        let readers = readers();
        for _ in 0..4 {
            assert!(readers.run(|_| panic!("planted")).await.map(|(): ()| ()).is_err());
        }
        let number = readers.run(|connection| connection.query_row("select 7", [], |row| row.get::<_, i64>(0)).unwrap()).await.unwrap();
        assert_eq!(number, 7);
    }

    #[tokio::test]
    async fn more_tasks_than_readers_are_all_done() {
        let readers = Arc::new(readers());
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let readers = Arc::clone(&readers);
                tokio::spawn(async move { readers.run(move |_| number).await.unwrap() })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
    }
}
