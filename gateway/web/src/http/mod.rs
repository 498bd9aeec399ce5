//! HTTP as every service speaks it, of the types of the crate of that name: what is bounded of a head, bodies on their way in, answers on
//! their way out and what is recorded of them, dates.

mod access_line;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod date;
mod error;
pub(crate) mod head;

pub use access_line::ACCESS_LINES;
pub(crate) use access_line::AccessLine;
pub(crate) use answer::{
    Answer, Record, empty as answer_empty, json as answer_json, set as set_header, stream as answer_stream,
    text_xml,
};
pub(crate) use body::{Pace, RequestBody};
pub(crate) use date::{http as http_date, iso};
pub(crate) use error::{BodyError, HeadError};
pub(crate) use head::{check_head, digits, host, name_host};
