//! The threads that connections are served on.
//!
//! Each has an event loop of its own, and a connection stays on the one that it came to:
//! see docs/decisions/0018.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::turn;

/// The threads: one for each processor, and one that has work where another has run out of
/// it. Once this is dropped, each ends with what it does at that moment.
pub struct Threads {
    all: Vec<Thread>,
    _stop: DropGuard,
}

struct Thread {
    tasks: Handle,
    /// Held by each of its connections.
    connection: Arc<()>,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// If the system has no more threads or descriptors to give.
    pub fn start() -> io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let stop = CancellationToken::new();
        let all = (0..=processors).map(|number| Thread::start(number, stop.clone()));
        Ok(Self {
            all: all.collect::<io::Result<_>>()?,
            _stop: stop.drop_guard(),
        })
    }

    /// Serves a connection on the thread that has the fewest.
    pub fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let fewest = self.all.iter().min_by_key(|thread| thread.connections());
        let thread = fewest.unwrap_or_else(|| unreachable!("there is more than one"));
        let here = Arc::clone(&thread.connection);
        thread.tasks.spawn(async move {
            connection.await;
            drop(here);
        });
    }
}

impl Thread {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(turn::ask)
            .on_thread_unpark(turn::go_on)
            .build()?;
        let tasks = runtime.handle().clone();
        std::thread::Builder::new()
            .name(format!("http-{number}"))
            .spawn(move || {
                lakehouse_runtime::come_first();
                runtime.block_on(stop.cancelled());
                runtime.shutdown_background();
            })?;
        Ok(Self {
            tasks,
            connection: Arc::default(),
        })
    }

    fn connections(&self) -> usize {
        Arc::strong_count(&self.connection) - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::thread::ThreadId;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// A connection that tells its thread and lasts until what is returned drops.
    fn open(threads: &Threads, told: &mpsc::UnboundedSender<ThreadId>) -> oneshot::Sender<()> {
        let (end, ended) = oneshot::channel::<()>();
        let told = told.clone();
        threads.serve(async move {
            told.send(std::thread::current().id()).unwrap();
            ended.await.unwrap_err();
        });
        end
    }

    #[tokio::test]
    async fn a_connection_goes_where_the_fewest_are() {
        let threads = Threads::start().unwrap();
        let count = threads.all.len();
        let (told, mut heard) = mpsc::unbounded_channel();
        let mut open_ones = HashMap::<_, Vec<_>>::new();
        for _ in 0..2 * count {
            let connection = open(&threads, &told);
            let thread = heard.recv().await.unwrap();
            open_ones.entry(thread).or_default().push(connection);
        }
        assert_eq!(open_ones.len(), count);
        assert!(open_ones.values().all(|there| there.len() == 2));

        let quiet = *open_ones.keys().next().unwrap();
        open_ones.remove(&quiet);
        while threads.all.iter().all(|thread| thread.connections() > 0) {
            tokio::task::yield_now().await;
        }
        let _next = open(&threads, &told);
        assert_eq!(heard.recv().await, Some(quiet));
    }
}
