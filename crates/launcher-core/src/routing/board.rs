//! The routes as they are, for whoever tells them elsewhere.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::RouteDocument;

/// What has changed: addresses, and how they are now; `None`: gone.
pub type RouteChanges = Vec<(String, Option<Arc<RouteDocument>>)>;

/// All routes by their addresses.
///
/// A launcher that has just started does not know yet what runs. Until it does, nobody elsewhere is to act on
/// what is here: they have the table of its predecessor, which was true a moment ago.
#[derive(Default)]
pub struct RouteBoard {
    state: Mutex<State>,
    revision: watch::Sender<Revision>,
}

/// How often the routes have changed, and whether they may be acted on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Revision {
    changes: u64,
    is_settled: bool,
}

#[derive(Default)]
struct State {
    routes: BTreeMap<String, Arc<RouteDocument>>,
    /// Whether each instance's containers have been looked at.
    seen: HashMap<String, bool>,
    has_started: bool,
}

impl RouteBoard {
    /// Takes over the routes of an instance, and whether its containers have been looked at.
    pub fn replace(
        &self,
        instance: &str,
        routes: Vec<RouteDocument>,
        is_seen: bool,
    ) -> RouteChanges {
        let mut state = self.state.lock();
        state.seen.insert(instance.to_owned(), is_seen);
        self.enter(&mut state, instance, routes)
    }

    /// An instance is gone, and its routes with it.
    pub fn remove(&self, instance: &str) -> RouteChanges {
        let mut state = self.state.lock();
        state.seen.remove(instance);
        self.enter(&mut state, instance, Vec::new())
    }

    /// All instances that there were at the start have been told.
    pub fn started(&self) {
        let mut state = self.state.lock();
        state.has_started = true;
        self.tell(&state, false);
    }

    /// All routes.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RouteDocument>> {
        self.state.lock().routes.values().cloned().collect()
    }

    /// Waits until the launcher has looked at all instances that there were when it started.
    pub async fn settled(&self) {
        let mut revision = self.revision.subscribe();
        // The sender is `self`'s.
        let _settled = revision.wait_for(|revision| revision.is_settled).await;
    }

    /// Whether it has by now.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.revision.borrow().is_settled
    }

    /// Counts changes.
    pub(super) fn revisions(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    fn enter(&self, state: &mut State, instance: &str, routes: Vec<RouteDocument>) -> RouteChanges {
        let is_kept = |address: &String| routes.iter().any(|route| route.hostname == *address);
        let gone = state.routes.iter();
        // What another instance has meanwhile is that one's.
        let gone = gone
            .filter(|(address, route)| route.instance_id == instance && !is_kept(address))
            .map(|(address, _)| (address.clone(), None));
        let mut changes: RouteChanges = gone.collect();
        let news = routes.into_iter().map(Arc::new);
        let news = news.filter(|route| state.routes.get(&route.hostname) != Some(route));
        changes.extend(news.map(|route| (route.hostname.clone(), Some(route))));
        for (address, route) in &changes {
            match route {
                Some(route) => state.routes.insert(address.clone(), Arc::clone(route)),
                None => state.routes.remove(address),
            };
        }
        self.tell(state, !changes.is_empty());
        changes
    }

    fn tell(&self, state: &State, has_changed: bool) {
        self.revision.send_if_modified(|revision| {
            let before = *revision;
            revision.changes += u64::from(has_changed);
            revision.is_settled |= state.has_started && state.seen.values().all(|seen| *seen);
            *revision != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SiteOptions, routing::Page};

    fn route(hostname: &str, instance: &str) -> RouteDocument {
        RouteDocument {
            hostname: hostname.to_owned(),
            instance_id: instance.to_owned(),
            upstreams: Vec::new(),
            page: Some(Page::Stopped),
            progress: None,
            options: SiteOptions::default(),
            is_default: false,
        }
    }

    fn told(changes: &RouteChanges) -> Vec<(&str, Option<&str>)> {
        changes
            .iter()
            .map(|(address, route)| {
                let instance = route.as_ref().map(|route| route.instance_id.as_str());
                (address.as_str(), instance)
            })
            .collect()
    }

    #[test]
    fn an_address_that_another_instance_has_taken_over_stays_its() {
        let board = RouteBoard::default();
        board.replace("a", vec![route("x.test", "a"), route("y.test", "a")], true);
        let taken = board.replace("b", vec![route("x.test", "b")], true);
        assert_eq!(told(&taken), [("x.test", Some("b"))]);
        assert_eq!(told(&board.remove("a")), [("y.test", None)]);
        assert_eq!(board.all().len(), 1);
        let again = board.replace("b", vec![route("x.test", "b")], true);
        assert!(again.is_empty());
    }

    #[test]
    fn routes_are_settled_when_all_instances_of_the_start_have_been_looked_at() {
        let board = RouteBoard::default();
        let is_settled = || board.is_settled();
        board.replace("a", vec![], false);
        board.replace("b", vec![], true);
        board.started();
        assert!(!is_settled());
        board.replace("a", vec![], true);
        assert!(is_settled());
        board.replace("new", vec![], false);
        assert!(is_settled());
    }
}
