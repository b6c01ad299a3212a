use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::decode::decode_in_place;
use super::{Custom, CustomType, Error, Value};
use crate::json;

type Factory = Arc<dyn Fn(Value) -> Result<Custom, String> + Send + Sync>;

/// The types that are known when EJSON is read, besides those that are built in.
///
/// ```
/// use ddp_protocol::ejson::{self, Custom, CustomType, TypeRegistry, Value};
///
/// #[derive(Debug)]
/// struct Money {
///     cents: f64,
/// }
///
/// impl CustomType for Money {
///     fn type_name(&self) -> &str {
///         "Money"
///     }
///     fn to_json_value(&self) -> Value {
///         self.cents.into()
///     }
/// }
///
/// let mut types = TypeRegistry::new();
/// types.add("Money", |json| match json {
///     Value::Number(cents) => Ok(Money { cents }),
///     _ => Err("money is a number of cents"),
/// })?;
///
/// let text = r#"{"price":{"$type":"Money","$value":250}}"#;
/// let value = types.parse(text)?;
/// let price = value.get("price").and_then(Value::as_custom);
/// let money = price.and_then(Custom::downcast_ref::<Money>);
/// assert_eq!(money.map(|money| money.cents), Some(250.0));
/// assert_eq!(ejson::stringify(&value), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct TypeRegistry {
    factories: BTreeMap<String, Factory>,
}

/// There is a type of this name already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Type {0} already present")]
pub struct DuplicateType(pub String);

impl TypeRegistry {
    /// Only the built-in types.
    pub const fn new() -> Self {
        Self {
            factories: BTreeMap::new(),
        }
    }

    /// Adds a type, as `EJSON.addType`. The factory is given what stands in `$value`, in which
    /// EJSON was not looked for; what it refuses is no EJSON.
    ///
    /// # Errors
    ///
    /// [`DuplicateType`] when the name is taken; `oid` is, by [`ObjectId`](super::ObjectId).
    pub fn add<T: CustomType, E: fmt::Display>(
        &mut self,
        name: impl Into<String>,
        factory: impl Fn(Value) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<&mut Self, DuplicateType> {
        let name = name.into();
        if name == OID || self.factories.contains_key(&name) {
            return Err(DuplicateType(name));
        }
        let factory: Factory = Arc::new(move |json| {
            let made = factory(json).map(Custom::new);
            made.map_err(|error| error.to_string())
        });
        self.factories.insert(name, factory);
        Ok(self)
    }

    /// Reads EJSON text, as [`ejson::parse`](super::parse) and with these types.
    ///
    /// # Errors
    ///
    /// As [`ejson::parse`](super::parse), and [`Error::Custom`] when a type refuses its value.
    pub fn parse(&self, text: &str) -> Result<Value, Error> {
        let mut value = json::parse(text)?;
        decode_in_place(&mut value, self)?;
        Ok(value)
    }

    /// Reads EJSON from a JSON tree, as [`ejson::from_json_value`](super::from_json_value) and
    /// with these types.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_json_value(&self, json: serde_json::Value) -> Result<Value, Error> {
        let mut value = json.into();
        decode_in_place(&mut value, self)?;
        Ok(value)
    }

    /// The value of a type that is not built in.
    pub(super) fn make(&self, name: &str, json: Value) -> Result<Value, Error> {
        let factory = self.factories.get(name).ok_or(Error::Type("$type"))?;
        factory(json).map(Value::Custom).map_err(|reason| {
            let name = name.to_owned();
            Error::Custom { name, reason }
        })
    }
}

/// The name of the built-in type.
pub(super) const OID: &str = "oid";

impl fmt::Debug for TypeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::{self, Date, ObjectId};
    use crate::object;

    /// A number in some unit; metres equal centimetres.
    #[derive(Debug)]
    struct Length {
        value: f64,
        unit: String,
    }

    impl Length {
        fn read(json: &Value) -> Option<Self> {
            Some(Self {
                value: json.get("value")?.as_f64()?,
                unit: json.get("unit")?.as_str()?.to_owned(),
            })
        }

        fn metres(&self) -> f64 {
            if self.unit == "cm" {
                self.value / 100.0
            } else {
                self.value
            }
        }
    }

    impl CustomType for Length {
        fn type_name(&self) -> &str {
            "Length"
        }

        fn to_json_value(&self) -> Value {
            object! { "value": self.value, "unit": self.unit.as_str() }
        }

        fn equals(&self, other: &dyn CustomType) -> bool {
            let other: &dyn std::any::Any = other;
            let other = other.downcast_ref::<Self>();
            other.is_some_and(|other| other.metres() == self.metres())
        }
    }

    /// Whatever it was given.
    #[derive(Debug)]
    struct Raw(Value);

    impl CustomType for Raw {
        fn type_name(&self) -> &str {
            "Raw"
        }

        fn to_json_value(&self) -> Value {
            self.0.clone()
        }
    }

    fn types() -> TypeRegistry {
        let mut types = TypeRegistry::new();
        types
            .add("Length", |json| Length::read(&json).ok_or("no length"))
            .unwrap()
            .add("Raw", |json| Ok::<_, String>(Raw(json)))
            .unwrap();
        types
    }

    const METRE: &str = r#"{"$type":"Length","$value":{"value":1,"unit":"m"}}"#;
    const CENTIMETRES: &str = r#"{"$value":{"unit":"cm","value":100},"$type":"Length"}"#;

    #[test]
    fn a_registered_type_is_read_and_written() {
        let value = types().parse(&format!("[{METRE}]")).unwrap();
        let length = value.as_array().unwrap()[0].as_custom().unwrap();
        assert_eq!(length.type_name(), "Length");
        assert_eq!(length.downcast_ref::<Length>().unwrap().unit, "m");
        assert!(length.downcast_ref::<Raw>().is_none());
        assert_eq!(ejson::stringify(&value), format!("[{METRE}]"));
        assert_eq!(
            ejson::to_json_value(&value).to_string(),
            format!("[{METRE}]")
        );
        let tree = serde_json::from_str(METRE).unwrap();
        assert_eq!(types().from_json_value(tree), types().parse(METRE));
    }

    #[test]
    fn a_type_says_what_is_equal() {
        assert_eq!(types().parse(METRE), types().parse(CENTIMETRES));
        let raw = |text: &str| types().parse(&format!(r#"{{"$type":"Raw","$value":{text}}}"#));
        assert_eq!(raw(r#"{"a":1,"b":2}"#), raw(r#"{"b":2,"a":1}"#));
        assert_ne!(raw("1"), raw("2"));
        assert_ne!(raw("1"), Ok(1.into()));
    }

    #[test]
    fn ejson_is_not_looked_for_in_a_value() {
        let text = r#"{"$type":"Raw","$value":{"$date":0,"$escape":{"$type":"Length"}}}"#;
        let inner = r#"{"$type":"Raw","$value":[{"$date":0},{"$type":"nosuch","$value":1}]}"#;
        for text in [text, inner] {
            let value = types().parse(text).unwrap();
            assert_eq!(ejson::stringify(&value), text);
            assert_eq!(ejson::to_json_value(&value).to_string(), text);
        }
        let date = Custom::new(Raw(vec![
            Value::from(Date::from_millis(0)),
            f64::NAN.into(),
        ]
        .into()));
        let text = r#"{"$type":"Raw","$value":["1970-01-01T00:00:00.000Z",null]}"#;
        assert_eq!(ejson::stringify(&date.clone().into()), text);
        assert_eq!(ejson::to_json_value(&date.into()).to_string(), text);
    }

    #[test]
    fn what_a_type_refuses_is_no_ejson() {
        let wrong = types().parse(r#"{"$type":"Length","$value":1}"#);
        assert_eq!(wrong.unwrap_err().to_string(), "Length: no length");
        assert_eq!(ejson::parse(METRE), Err(Error::Type("$type")));
        let unknown = types().parse(r#"{"$type":"nosuch","$value":1}"#);
        assert_eq!(unknown, Err(Error::Type("$type")));
    }

    #[test]
    fn names_are_taken_once() {
        let mut types = types();
        for name in ["oid", "Raw"] {
            let taken = types.add(name, |json| Ok::<_, String>(Raw(json)));
            assert_eq!(taken.unwrap_err(), DuplicateType(name.to_owned()));
        }
        assert_eq!(format!("{types:?}"), r#"{"Length", "Raw"}"#);
        let id = ObjectId::from_bytes([1; 12]);
        assert_eq!(types.parse(&ejson::stringify(&id.into())), Ok(id.into()));
    }

    #[test]
    fn a_custom_value_passes_through_serde() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Plank {
            length: Custom,
        }
        let value = types().parse(&format!(r#"{{"length":{METRE}}}"#)).unwrap();
        let plank: Plank = ejson::from_value(value.clone()).unwrap();
        assert!(plank.length.downcast_ref::<Length>().is_some());
        assert_eq!(ejson::to_value(&plank), Ok(value));
    }
}
