//! Which app instances use which images.

use std::collections::{HashMap, HashSet};

use crate::{ImageName, InstanceView, Wanted, engine::ListedImage};

#[derive(Default)]
pub(super) struct Usage {
    /// What each instance wants that is not being removed.
    instances: HashMap<String, Want>,
    /// The instances that want an image, by its key.
    wanting: HashMap<String, HashSet<String>>,
    /// The instances that have a container of an image, by its content id.
    having: HashMap<String, HashSet<String>>,
}

struct Want {
    image: ImageName,
    key: String,
    container: Option<String>,
}

/// What is new of an instance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Change {
    /// It wants another image, or none any more.
    pub(super) wants_another: bool,
    /// It has another container, or none any more.
    pub(super) has_another: bool,
}

impl Usage {
    /// Enters what an instance wants, and which container it has.
    pub(super) fn instance_changed(&mut self, id: &str, view: Option<&InstanceView>) -> Change {
        let view = view.filter(|view| view.record.wanted != Wanted::Removed);
        let known = self.instances.get(id);
        let container = view.and_then(|view| view.observed.container_id.as_ref());
        let change = Change {
            wants_another: known.map(|k| &k.image) != view.map(|view| &view.record.image),
            has_another: known.and_then(|k| k.container.as_ref()) != container,
        };
        // This is asked for each change of each instance, and mostly there is nothing to do.
        if change != Change::default() {
            self.enter(id, view);
        }
        change
    }

    fn enter(&mut self, id: &str, view: Option<&InstanceView>) {
        if let Some(former) = self.instances.remove(id) {
            self.no_longer_wants(id, &former.key);
        }
        let Some(view) = view else { return };
        let image = view.record.image.clone();
        let key = image.canonical();
        let wanting = self.wanting.entry(key.clone()).or_default();
        wanting.insert(id.to_owned());
        let container = view.observed.container_id.clone();
        let want = Want {
            image,
            key,
            container,
        };
        self.instances.insert(id.to_owned(), want);
    }

    /// Enters which containers there are.
    pub(super) fn listed(&mut self, listing: &[ListedImage]) {
        let instances = |image: &ListedImage| {
            let users = image.users.iter().filter_map(|user| user.instance.clone());
            users.collect::<HashSet<_>>()
        };
        let having = listing
            .iter()
            .map(|image| (image.id.clone(), instances(image)));
        self.having = having.filter(|(_, users)| !users.is_empty()).collect();
    }

    /// How many instances use what has this key and this content.
    pub(super) fn count(&self, key: &str, content: Option<&str>) -> usize {
        let wanting = self.wanting.get(key);
        let having = content.and_then(|content| self.having.get(content));
        // Another launcher's instances, and those that are being removed, are not known.
        let known = having
            .into_iter()
            .flatten()
            .filter(|id| self.instances.contains_key(*id));
        let others = known.filter(|id| wanting.is_none_or(|wanting| !wanting.contains(*id)));
        wanting.map_or(0, HashSet::len) + others.count()
    }

    /// The instances that want the image with this key.
    pub(super) fn wanting(&self, key: &str) -> Vec<String> {
        let mut ids: Vec<String> = self
            .wanting
            .get(key)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        ids.sort_unstable();
        ids
    }

    fn no_longer_wants(&mut self, id: &str, key: &str) {
        if let Some(wanting) = self.wanting.get_mut(key) {
            wanting.remove(id);
            if wanting.is_empty() {
                self.wanting.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppInstance, Observed, engine::ImageUser, store::contract::sample_instance};

    fn view(id: &str, image: &str, wanted: Wanted) -> InstanceView {
        let record = AppInstance {
            image: ImageName::parse(image).unwrap(),
            wanted,
            ..sample_instance(id, 1)
        };
        InstanceView {
            record: record.into(),
            observed: Observed::default(),
            host: String::new(),
        }
    }

    fn key(name: &str) -> String {
        ImageName::parse(name).unwrap().canonical()
    }

    #[test]
    fn instances_count_once_by_name_and_by_what_they_run() {
        let stopped = Wanted::Stopped { kill: false };
        let mut usage = Usage::default();
        for id in ["one", "two"] {
            let view = view(id, "app", stopped.clone());
            assert!(usage.instance_changed(id, Some(&view)).wants_another);
            let nothing = Change::default();
            assert_eq!(usage.instance_changed(id, Some(&view)), nothing);
        }
        let user = |instance: &str| ImageUser {
            container: String::new(),
            owner: None,
            instance: Some(instance.into()),
        };
        usage.listed(&[ListedImage {
            id: "sha256:1".into(),
            users: vec![user("one"), user("another launcher's")],
            ..ListedImage::default()
        }]);
        assert_eq!(usage.count(&key("app:latest"), Some("sha256:1")), 2);
        assert_eq!(usage.count(&key("app:latest"), Some("sha256:2")), 2);
        assert_eq!(usage.count(&key("alias"), Some("sha256:1")), 1);
        assert_eq!(usage.count(&key("alias"), Some("sha256:2")), 0);
        assert_eq!(usage.wanting(&key("app")), ["one", "two"]);

        let removed = view("one", "app", Wanted::Removed);
        usage.instance_changed("one", Some(&removed));
        assert_eq!(usage.instance_changed("one", None), Change::default());
        assert_eq!(usage.count(&key("app"), Some("sha256:1")), 1);
        assert_eq!(usage.count(&key("alias"), Some("sha256:1")), 0);
        usage.instance_changed("two", Some(&view("two", "other", stopped)));
        assert_eq!(usage.count(&key("app"), None), 0);
        assert_eq!(usage.count(&key("other"), None), 1);
    }
}
