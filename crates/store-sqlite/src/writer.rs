//! The one connection that writes, on a thread of its own.
//!
//! Writes that wait for the disk are committed together if they come together: while one is being stored others queue up, and then share one
//! transaction, each within a savepoint. A failed one is rolled back alone. So eight clients cost the disk little more than one.
//!
//! While nobody asks for it the writer gives free pages back to the file system, a few at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lethe_store::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::{
    error::{Error, Result},
    purge::give_some_back,
};

/// Writes that share one commit, at most.
const SHARED_MAX: usize = 32;
/// A transaction takes in others for so long: whoever waits for the writer waits for it. About what the disk takes to store it.
const SHARING_MAX: Duration = Duration::from_millis(15);

/// After so long without a task the writer is idle.
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// How long an idle writer listens for a task between giving pages back.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// What the writer is lent for.
enum Task {
    /// The connection by itself.
    Alone(Box<dyn FnOnce(&mut Connection) + Send>),
    /// A write that can share its transaction with others.
    Shared(Box<dyn SharedWrite>),
}

/// A write whose answer waits for the commit.
trait SharedWrite: Send {
    /// Does it; `false` if what it did is to be rolled back.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;
    /// Answers, now that the commit is known to be on disk, or not to be.
    fn answer(self: Box<Self>, committed: std::result::Result<(), StoreError>);
}

struct Write<T, E, W> {
    work: Option<W>,
    done: Option<std::result::Result<T, E>>,
    reply: oneshot::Sender<std::result::Result<T, E>>,
}

impl<T, E, W> SharedWrite for Write<T, E, W>
where
    T: Send,
    E: From<StoreError> + Send,
    W: FnOnce(&Transaction<'_>) -> std::result::Result<T, E> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        self.done = self.work.take().map(|work| work(transaction));
        matches!(self.done, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: std::result::Result<(), StoreError>) {
        let done = match (self.done, committed) {
            (Some(Ok(done)), Ok(())) => Ok(done),
            (Some(Ok(_)), Err(error)) => Err(error.into()),
            // It had failed by itself, whatever became of the others.
            (Some(Err(error)), _) => Err(error),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StoreError::Failed("a write was not carried out".into()).into()),
        };
        // OK because whoever asked may have given up by now.
        drop(self.reply.send(done));
    }
}

/// The writer. Tasks are done in the order of asking.
pub(crate) struct Writer {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(mut connection: Connection) -> Self {
        let (tasks, queue) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut next = next_task(&connection, &queue);
            while let Some(task) = next {
                let left = match task {
                    Task::Alone(work) => {
                        // A panic is told to whoever asked, by their reply being dropped; the transaction has been rolled back on the way.
                        drop(catch_unwind(AssertUnwindSafe(|| work(&mut connection))));
                        None
                    }
                    Task::Shared(write) => commit_together(&mut connection, write, &queue),
                };
                next = left.or_else(|| next_task(&connection, &queue));
            }
        });
        Self { tasks: Some(tasks), thread: Some(thread) }
    }

    /// Lends the connection, outside a transaction.
    pub(crate) async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Alone(Box::new(move |connection| drop(reply.send(work(connection))))))?;
        answer.await.map_err(|_| ended())
    }

    /// Does a write that is on disk when it is answered.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Shared(Box::new(Write { work: Some(work), done: None, reply })))?;
        answer.await.map_err(|_| ended())?
    }

    fn send(&self, task: Task) -> std::result::Result<(), StoreError> {
        self.tasks.as_ref().and_then(|tasks| tasks.send(task).ok()).ok_or_else(ended)
    }
}

/// Waits for a task, and gives free pages back meanwhile. `None` when there will be no more.
fn next_task(connection: &Connection, queue: &Receiver<Task>) -> Option<Task> {
    let mut wait = IDLE_AFTER;
    loop {
        match queue.recv_timeout(wait) {
            Ok(task) => return Some(task),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => match give_some_back(connection) {
                Ok(true) => wait = IDLE_PAUSE,
                Ok(false) => return queue.recv().ok(),
                Err(error) => {
                    tracing::debug!(%error, "free pages could not be given back; that is tried again after the next write");
                    return queue.recv().ok();
                }
            },
        }
    }
}

fn ended() -> StoreError {
    StoreError::Failed("the thread of a database connection has ended, or its task panicked".into())
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.tasks.take());
        // OK because a panic has been told already.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Stores `first` and what has queued up behind it in one transaction; returns the task that has to wait for it to end.
fn commit_together(connection: &mut Connection, first: Box<dyn SharedWrite>, queue: &Receiver<Task>) -> Option<Task> {
    let mut writes = vec![first];
    let mut left = None;
    let stored = catch_unwind(AssertUnwindSafe(|| store_together(connection, &mut writes, &mut left, queue)));
    let stored = stored.unwrap_or_else(|_| Err(StoreError::Failed("a task panicked; its transaction was rolled back".into()).into()));
    match stored {
        Ok(()) => writes.into_iter().for_each(|write| write.answer(Ok(()))),
        Err(error) => {
            // Each is told: an error cannot be copied, its kind and text can.
            let error = StoreError::from(error);
            for write in writes {
                write.answer(Err(match &error {
                    StoreError::Unavailable(source) => StoreError::Unavailable(source.to_string().into()),
                    StoreError::Failed(source) => StoreError::Failed(source.to_string().into()),
                    other => StoreError::Failed(other.to_string().into()),
                }));
            }
        }
    }
    left
}

fn store_together(
    connection: &mut Connection,
    writes: &mut Vec<Box<dyn SharedWrite>>,
    left: &mut Option<Task>,
    queue: &Receiver<Task>,
) -> Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let start = Instant::now();
    loop {
        // Of a write that comes first nothing but itself would be rolled back, so that it needs no savepoint.
        let last = writes.len() - 1;
        let is_kept = if last == 0 { writes[0].run(&transaction) } else { store_behind(&transaction, writes[last].as_mut())? };
        // A full disk or an I/O error rolls back everything: then nothing of what went before is stored either.
        if transaction.is_autocommit() {
            return Err(Error::Store(StoreError::Failed("the database gave up the transaction".into())));
        }
        if last == 0 && !is_kept {
            return Ok(transaction.rollback()?);
        }
        if writes.len() == SHARED_MAX || start.elapsed() >= SHARING_MAX {
            break;
        }
        match queue.try_recv() {
            Ok(Task::Shared(write)) => writes.push(write),
            Ok(alone) => {
                *left = Some(alone);
                break;
            }
            Err(_) => break,
        }
    }
    Ok(transaction.commit()?)
}

/// A write behind others, in a savepoint: if it fails it is undone alone.
fn store_behind(transaction: &Transaction<'_>, write: &mut dyn SharedWrite) -> Result<bool> {
    transaction.prepare_cached("savepoint one_write")?.execute([])?;
    let is_kept = write.run(transaction);
    if !transaction.is_autocommit() {
        if !is_kept {
            transaction.prepare_cached("rollback to one_write")?.execute([])?;
        }
        transaction.prepare_cached("release one_write")?.execute([])?;
    }
    Ok(is_kept)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::store_error;

    fn writer() -> Arc<Writer> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("create table number (n integer not null check (n >= 0)) strict").unwrap();
        Arc::new(Writer::start(connection))
    }

    async fn insert(writer: Arc<Writer>, number: i64) -> std::result::Result<usize, StoreError> {
        writer.write(move |tx| tx.execute("insert into number values (?1)", [number]).map_err(store_error)).await
    }

    async fn numbers(writer: &Writer) -> Vec<i64> {
        writer
            .alone(|connection| {
                let mut statement = connection.prepare("select n from number order by n").unwrap();
                statement.query_map([], |row| row.get(0)).unwrap().map(rusqlite::Result::unwrap).collect()
            })
            .await
            .unwrap()
    }

    /// Keeps the writer busy until all of `numbers` are queued behind it, so that they share a transaction.
    async fn insert_together(writer: &Arc<Writer>, numbers: &[i64]) -> Vec<std::result::Result<usize, StoreError>> {
        let (release, wait) = mpsc::channel::<()>();
        let busy = writer.clone();
        let blocker = tokio::spawn(async move { busy.alone(move |_| wait.recv().unwrap()).await });
        tokio::task::yield_now().await;
        let tasks: Vec<_> = numbers.iter().map(|number| tokio::spawn(insert(writer.clone(), *number))).collect();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        blocker.await.unwrap().unwrap();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn one_that_fails_takes_nobody_along() {
        let writer = writer();
        let answers = insert_together(&writer, &[1, -1, 2, -2, 3]).await;
        assert_eq!(answers.iter().map(std::result::Result::is_ok).collect::<Vec<_>>(), [true, false, true, false, true]);
        assert_eq!(numbers(&writer).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn one_that_loses_the_transaction_is_told_to_all_and_nothing_is_stored() {
        let writer = writer();
        insert(writer.clone(), 1).await.unwrap();
        let (release, wait) = mpsc::channel::<()>();
        let busy = writer.clone();
        let blocker = tokio::spawn(async move { busy.alone(move |_| wait.recv().unwrap()).await });
        tokio::task::yield_now().await;
        let before = tokio::spawn(insert(writer.clone(), 2));
        tokio::task::yield_now().await;
        // What a full disk does.
        let lost = writer.clone();
        let lost = tokio::spawn(async move { lost.write(|tx| tx.execute_batch("rollback").map_err(store_error)).await });
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        blocker.await.unwrap().unwrap();
        assert!(before.await.unwrap().is_err() && lost.await.unwrap().is_err());
        assert_eq!(numbers(&writer).await, [1]);
        insert(writer.clone(), 3).await.unwrap();
        assert_eq!(numbers(&writer).await, [1, 3], "and the writer writes on");
    }

    #[tokio::test]
    async fn a_panic_ends_nothing_but_its_transaction() {
        let writer = writer();
        let panicking = writer.write(|_| -> std::result::Result<(), StoreError> { panic!("planted") }).await;
        assert!(panicking.is_err());
        insert(writer.clone(), 7).await.unwrap();
        assert_eq!(numbers(&writer).await, [7]);
    }

    #[tokio::test]
    async fn an_idle_writer_gives_free_pages_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lethe.db");
        let connection = crate::connections::open_writer(&path).unwrap();
        connection.execute_batch("create table filler (bytes blob); insert into filler values (zeroblob(8000000))").unwrap();
        let pages = || Connection::open(&path).unwrap().pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0)).unwrap();
        assert!(pages() > 900);
        let writer = Writer::start(connection);
        writer.alone(|connection| connection.execute_batch("delete from filler").unwrap()).await.unwrap();
        let began = Instant::now();
        while pages() > 10 {
            assert!(began.elapsed() < Duration::from_secs(60), "{} pages are left", pages());
            tokio::task::yield_now().await;
        }
    }
}
