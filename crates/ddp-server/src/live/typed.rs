//! Documents as Rust types.

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{self, Fields, SerdeError, Value};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

/// The fields of a document, and its `_id` if it has one.
pub(super) fn to_fields<T: Serialize + ?Sized>(
    document: &T,
) -> Result<(Option<DocumentId>, Fields), SerdeError> {
    let Value::Object(mut fields) = ejson::to_value(document)? else {
        return Err(SerdeError::custom("a document must have fields"));
    };
    let id = match fields.shift_remove("_id") {
        None | Some(Value::Null) => return Ok((None, fields)),
        Some(id) => DocumentId::from_value(&id),
    };
    let id = id.ok_or_else(|| SerdeError::custom("_id: this kind of value cannot be an id"))?;
    Ok((Some(id), fields))
}

/// A document with its id as `_id`.
pub(super) fn from_document<T: DeserializeOwned>(
    id: &DocumentId,
    fields: &Fields,
) -> Result<T, SerdeError> {
    let id = id.to_value().map(|id| ("_id".to_owned(), id));
    let fields = fields
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    ejson::from_value(Value::Object(id.into_iter().chain(fields).collect()))
}

#[cfg(test)]
mod tests {
    use ddp_protocol::fields;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Task {
        #[serde(rename = "_id", skip_serializing)]
        id: Option<String>,
        text: String,
    }

    #[test]
    fn a_document_has_its_id_among_its_fields() {
        let task: Task = from_document(&"milk".into(), &fields! { "text": "Buy milk" }).unwrap();
        assert_eq!(
            (task.id.as_deref(), &*task.text),
            (Some("milk"), "Buy milk")
        );
        assert_eq!(to_fields(&task), Ok((None, fields! { "text": "Buy milk" })));
        let with_id = fields! { "_id": "milk", "text": "x" };
        assert_eq!(
            to_fields(&with_id),
            Ok((Some("milk".into()), fields! { "text": "x" }))
        );
    }

    #[test]
    fn not_everything_is_a_document() {
        assert!(to_fields("text").is_err());
        assert!(to_fields(&fields! { "_id": [1] }).is_err());
        assert!(from_document::<Task>(&"a".into(), &fields! { "text": 5 }).is_err());
    }
}
