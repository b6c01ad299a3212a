use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::collection::{Collection, Document};

/// What has happened to a document since the observer last looked at it.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentChange {
    /// It is new.
    Added(Document),
    /// It has other fields.
    Changed {
        /// What it is now.
        document: Document,
        /// What it was.
        before: Arc<Fields>,
    },
    /// It is gone.
    Removed(
        /// What it was.
        Document,
    ),
}

/// The changes of a collection, from [`Collection::observe`]. It ends when the client is closed.
///
/// It is a [`Stream`]; [`next`](Self::next) needs no other crate.
pub struct Observer {
    collection: Collection,
    dirty: Arc<Dirty>,
    seen: HashMap<DocumentId, Arc<Fields>>,
}

impl Observer {
    pub(crate) fn new(collection: Collection, dirty: Arc<Dirty>) -> Self {
        Self {
            collection,
            dirty,
            seen: HashMap::new(),
        }
    }

    /// Waits for the next change. `None` when the client is closed.
    pub async fn next(&mut self) -> Option<DocumentChange> {
        poll_fn(|context| self.poll_change(context)).await
    }

    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<Option<DocumentChange>> {
        // before looking: what comes while looking wakes again
        self.dirty.waker.register(context.waker());
        loop {
            match self.dirty.next() {
                Next::Look(id) => {
                    if let Some(change) = self.look(id) {
                        return Poll::Ready(Some(change));
                    }
                }
                Next::Wait => return Poll::Pending,
                Next::End => return Poll::Ready(None),
            }
        }
    }

    /// Compares a document with what was last seen of it.
    fn look(&mut self, id: DocumentId) -> Option<DocumentChange> {
        let Some(fields) = self.collection.fields(&id) else {
            let fields = self.seen.remove(&id)?;
            return Some(DocumentChange::Removed(Document { id, fields }));
        };
        let before = self.seen.insert(id.clone(), Arc::clone(&fields));
        let document = Document { id, fields };
        match before {
            None => Some(DocumentChange::Added(document)),
            Some(before) if before == document.fields => None,
            Some(before) => Some(DocumentChange::Changed { document, before }),
        }
    }
}

impl Stream for Observer {
    type Item = DocumentChange;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_change(context)
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("collection", &self.collection.name())
            .field("seen", &self.seen.len())
            .finish_non_exhaustive()
    }
}

/// The documents that an observer has to look at, each once.
pub(crate) struct Dirty {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

struct Queue {
    order: VecDeque<DocumentId>,
    waiting: HashSet<DocumentId>,
    closed: bool,
}

enum Next {
    Look(DocumentId),
    Wait,
    End,
}

impl Dirty {
    pub(crate) fn new<'a>(ids: impl Iterator<Item = &'a DocumentId>, closed: bool) -> Self {
        let order: VecDeque<_> = ids.cloned().collect();
        let waiting = order.iter().cloned().collect();
        Self {
            queue: Mutex::new(Queue {
                order,
                waiting,
                closed,
            }),
            waker: AtomicWaker::new(),
        }
    }

    pub(crate) fn mark(&self, ids: &[DocumentId]) {
        let mut queue = self.queue.lock();
        for id in ids {
            if queue.waiting.insert(id.clone()) {
                queue.order.push_back(id.clone());
            }
        }
        drop(queue);
        self.waker.wake();
    }

    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.waker.wake();
    }

    fn next(&self) -> Next {
        let mut queue = self.queue.lock();
        match queue.order.pop_front() {
            Some(id) => {
                queue.waiting.remove(&id);
                Next::Look(id)
            }
            None if queue.closed => Next::End,
            None => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use ddp_protocol::client::Change;
    use ddp_protocol::fields;

    use super::*;

    fn set(collection: &Collection, id: &str, n: Option<i32>) {
        collection.apply(vec![Change {
            collection: "c".into(),
            id: id.into(),
            before: None,
            after: n.map(|n| Arc::new(fields! { "n": n })),
        }]);
    }

    fn told(observer: &mut Observer) -> Vec<String> {
        let mut context = Context::from_waker(Waker::noop());
        let mut told = Vec::new();
        while let Poll::Ready(change) = observer.poll_change(&mut context) {
            told.push(match change {
                Some(DocumentChange::Added(document)) => format!("+{}", document.id),
                Some(DocumentChange::Changed { document, before }) => {
                    let n = |fields: &Fields| fields["n"].as_f64().unwrap();
                    format!("{} {}>{}", document.id, n(&before), n(&document.fields))
                }
                Some(DocumentChange::Removed(document)) => format!("-{}", document.id),
                None => {
                    told.push("end".to_owned());
                    break;
                }
            });
        }
        told
    }

    #[test]
    fn an_observer_begins_with_what_is_there() {
        let collection = Collection::new("c".into());
        set(&collection, "b", Some(1));
        set(&collection, "a", Some(1));
        let mut observer = collection.observe();
        set(&collection, "c", Some(1));
        assert_eq!(told(&mut observer), ["+a", "+b", "+c"]);
        set(&collection, "a", None);
        set(&collection, "b", Some(2));
        assert_eq!(told(&mut observer), ["-a", "b 1>2"]);
    }

    #[test]
    fn a_slow_observer_is_told_less_and_holds_no_more() {
        let collection = Collection::new("c".into());
        set(&collection, "a", Some(0));
        let mut observer = collection.observe();
        assert_eq!(told(&mut observer), ["+a"]);
        for n in 0..1000 {
            set(&collection, "a", Some(n));
            set(&collection, "fleeting", Some(n));
        }
        set(&collection, "fleeting", None);
        assert_eq!(observer.dirty.queue.lock().order.len(), 2);
        assert_eq!(told(&mut observer), ["a 0>999"]);
        set(&collection, "a", Some(1));
        set(&collection, "a", Some(999));
        assert!(told(&mut observer).is_empty());
    }

    #[test]
    fn an_observer_ends_after_what_was_left_to_tell() {
        let collection = Collection::new("c".into());
        let mut observer = collection.observe();
        set(&collection, "a", Some(1));
        collection.close();
        assert_eq!(told(&mut observer), ["+a", "end"]);
        assert_eq!(told(&mut collection.observe()), ["+a", "end"]);
    }
}
