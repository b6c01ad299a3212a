use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, Value, stringify};

/// Which documents a query has, and which of their fields. Equal ones share an observer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Selector {
    pub(super) id: Option<DocumentId>,
    equals: Vec<Equals>,
    filters: Vec<Filter>,
    projection: Projection,
}

impl Selector {
    pub(super) fn equals(&mut self, field: String, value: Value) {
        let key = stringify(&value);
        self.equals.push(Equals { field, value, key });
        self.equals
            .sort_by(|a, b| (&a.field, &a.key).cmp(&(&b.field, &b.key)));
    }

    pub(super) fn filter(&mut self, filter: Filter) {
        self.filters.push(filter);
    }

    pub(super) fn project(&mut self, projection: Projection) {
        self.projection = projection;
    }

    /// The document as the query shows it, if it is one of the query's. Runs the application's
    /// filters, which may panic.
    pub(super) fn view(&self, id: &DocumentId, fields: &Arc<Fields>) -> Option<Arc<Fields>> {
        self.matches(id, fields)
            .then(|| self.projection.apply(fields))
    }

    fn matches(&self, id: &DocumentId, fields: &Fields) -> bool {
        self.id.as_ref().is_none_or(|only| only == id)
            && self.equals.iter().all(|equals| equals.matches(fields))
            && self.filters.iter().all(|filter| (filter.run)(fields))
    }
}

/// A field that must have a value. `null` is also matched by a document without the field.
#[derive(Debug, Clone)]
struct Equals {
    field: String,
    value: Value,
    key: String,
}

impl Equals {
    fn matches(&self, fields: &Fields) -> bool {
        match fields.get(&self.field) {
            Some(value) => *value == self.value,
            None => self.value.is_null(),
        }
    }
}

impl PartialEq for Equals {
    fn eq(&self, other: &Self) -> bool {
        (&self.field, &self.key) == (&other.field, &other.key)
    }
}

impl Eq for Equals {}

impl Hash for Equals {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.field, &self.key).hash(state);
    }
}

/// The application's own condition.
#[derive(Clone)]
pub(super) struct Filter {
    name: Option<String>,
    run: Arc<dyn Fn(&Fields) -> bool + Send + Sync>,
}

impl Filter {
    pub(super) fn new(
        name: Option<String>,
        run: impl Fn(&Fields) -> bool + Send + Sync + 'static,
    ) -> Self {
        let run = Arc::new(run);
        Self { name, run }
    }

    /// Filters are the same if their names are. One without a name is the same as its clones; it
    /// cannot be mistaken for a later one at the same address, as whoever compares holds it.
    fn identity(&self) -> Result<&str, *const ()> {
        let address = || Arc::as_ptr(&self.run).cast::<()>();
        self.name.as_deref().ok_or_else(address)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Which of a document's top-level fields are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Projection {
    #[default]
    All,
    Only(Vec<String>),
    Without(Vec<String>),
}

impl Projection {
    pub(super) fn only(names: Vec<String>) -> Self {
        Self::Only(in_order(names))
    }

    pub(super) fn without(names: Vec<String>) -> Self {
        Self::Without(in_order(names))
    }

    fn apply(&self, fields: &Arc<Fields>) -> Arc<Fields> {
        if matches!(self, Self::All) {
            return Arc::clone(fields);
        }
        let shown = fields.iter().filter(|(name, _)| self.shows(name));
        Arc::new(
            shown
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    fn shows(&self, name: &String) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.binary_search(name).is_ok(),
            Self::Without(names) => names.binary_search(name).is_err(),
        }
    }
}

fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use ddp_protocol::fields;

    use super::*;

    fn selector(build: impl FnOnce(&mut Selector)) -> Selector {
        let mut selector = Selector::default();
        build(&mut selector);
        selector
    }

    fn matches(selector: &Selector, fields: Fields) -> bool {
        selector.view(&"id".into(), &Arc::new(fields)).is_some()
    }

    #[test]
    fn all_conditions_must_hold() {
        let both = selector(|selector| {
            selector.equals("list".into(), "home".into());
            selector.filter(Filter::new(None, |fields| fields.contains_key("due")));
        });
        assert!(matches(&both, fields! { "list": "home", "due": 1 }));
        assert!(!matches(&both, fields! { "list": "work", "due": 1 }));
        assert!(!matches(&both, fields! { "list": "home" }));
        let only = selector(|selector| selector.id = Some("other".into()));
        assert!(!matches(&only, Fields::new()));
    }

    #[test]
    fn null_is_matched_by_a_missing_field() {
        let without = selector(|selector| selector.equals("owner".into(), Value::Null));
        assert!(matches(&without, Fields::new()));
        assert!(matches(&without, fields! { "owner": () }));
        assert!(!matches(&without, fields! { "owner": "ada" }));
    }

    #[test]
    fn the_same_conditions_are_the_same_selector() {
        let home = |order: [&str; 2]| {
            selector(|selector| {
                for field in order {
                    selector.equals(field.into(), 1.into());
                }
                selector.project(Projection::only(vec!["b".into(), "a".into(), "a".into()]));
            })
        };
        assert_eq!(home(["x", "y"]), home(["y", "x"]));
        assert_ne!(home(["x", "y"]), home(["x", "z"]));
    }

    #[test]
    fn filters_are_the_same_by_name_or_by_origin() {
        let named = |name: &str| Filter::new(Some(name.into()), |_| true);
        assert_eq!(named("a"), named("a"));
        assert_ne!(named("a"), named("b"));
        let limit = 3;
        let nameless = || Filter::new(None, move |fields| fields.len() > limit);
        let first = nameless();
        assert_eq!(first, first.clone());
        assert_ne!(first, nameless());
    }

    #[test]
    fn a_projection_keeps_the_order_of_fields() {
        let fields = Arc::new(fields! { "c": 1, "a": 2, "b": 3 });
        let names = |projection: Projection| {
            let shown = projection.apply(&fields);
            shown.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            names(Projection::only(vec!["a".into(), "c".into()])),
            ["c", "a"]
        );
        assert_eq!(names(Projection::without(vec!["c".into()])), ["a", "b"]);
        assert!(Arc::ptr_eq(&Projection::All.apply(&fields), &fields));
    }
}
