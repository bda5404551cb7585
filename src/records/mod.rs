//! Records: from the text of an answer to a finished line. Nothing here makes a request or knows a stream.
//!
//! | file | what it answers |
//! |---|---|
//! | `column` | the table of columns, and the schemas that are made from it; fields that the API has added |
//! | `record` | the fields of an answer, the values that code sets, and what is wrong with a record |
//! | `row` | finished lines, and hashes of those that have been written |
//! | `value` | kinds of columns: what goes out for whatever comes in |
//! | `time` | times in all their spellings |
//! | `secrets` | what never leaves the connector |
//! | `personal` | what is about people, which leaves it as the user chooses |
//! | `walk`, `spelling` | a value that is rewritten on its way, and the names in it in any spelling |
//! | `strings` | texts that every reader of JSON accepts |

pub(crate) mod column;
pub(crate) mod personal;
pub(crate) mod record;
pub(crate) mod row;
pub(crate) mod secrets;
pub(crate) mod strings;
pub(crate) mod time;
pub(crate) mod value;
pub(crate) mod walk;

mod spelling;

pub use column::{Column, Personal, Table, added_fields, all_of, column, place, snake_case};
pub use personal::{PersonalData, Salt};
pub use record::{Fields, Record, RecordError, Times, readable_id};
pub use row::{Format, Hashes, Remembered, Rows, WrittenHashes};
pub use secrets::{MASK, Place, cut_urls, host, mask_text, rewritten};
pub use time::Timestamp;
pub use value::{Kind, Value, as_bool, keep_on_one_line, number, text_in, written_as_object};
