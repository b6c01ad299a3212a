//! EJSON: JSON that can also say dates, binary data, infinite numbers, regular expressions and
//! Mongo object ids (Meteor's `packages/ejson`).

mod binary;
mod convert;
mod custom;
mod date;
mod decode;
mod encode;
mod regexp;
mod registry;
mod typed;
mod utf16;
mod value;

pub use binary::Binary;
pub use custom::{Custom, CustomType};
pub use date::Date;
pub(crate) use decode::decode_in_place;
pub use decode::{Error, from_json_value, parse};
pub(crate) use encode::write_ejson;
pub use encode::{stringify, to_json_value};
pub use regexp::Regexp;
pub use registry::{DuplicateType, TypeRegistry};
pub use typed::{SerdeError, from_value, to_result, to_value};
pub(crate) use utf16::{MARK, MARK_BYTES, Marked, marked, push_char, push_surrogate};
pub use utf16::{from_utf16, utf16};
pub use value::{Fields, ObjectId, Value};
