//! EJSON: JSON that can also say dates, binary data, infinite numbers, regular expressions and
//! Mongo object ids (Meteor's `packages/ejson`).

mod binary;
mod convert;
mod date;
mod decode;
mod encode;
mod regexp;
mod typed;
mod value;

pub use binary::Binary;
pub use date::Date;
pub(crate) use decode::decode;
pub use decode::{Error, from_json_value, parse};
pub(crate) use encode::write_ejson;
pub use encode::{stringify, to_json_value};
pub use regexp::Regexp;
pub use typed::{SerdeError, from_value, to_result, to_value};
pub use value::{Fields, ObjectId, Value};
