//! Records: from the text of an answer to a finished line. Nothing here makes a request or knows a stream.
//!
//! | file | what it answers |
//! |---|---|
//! | `column` | the table of columns, what each holds, and the schemas that are made from it |
//! | `record` | the fields of an answer and those that the API has added, the values that code sets, what is wrong with a record |
//! | `row` | finished lines, and hashes of those that have been written |
//! | `value` | what goes out of each kind of column for whatever comes in |
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

pub use column::{Column, Kind, Table, all_of, column, snake_case};
pub use personal::{PersonalData, PersonalPlace};
pub use record::{Fields, Record, RecordError, Times, Value, added_fields, readable_id};
pub use row::{Format, Hashes, Remembered, Rows, WrittenHashes};
pub use secrets::{MASK, Place, cut_urls, host, mask_text, rewritten};
pub use strings::{decoded, text_in};
pub use time::Timestamp;
pub use value::{as_bool, keep_on_one_line, number, written_as_object};
pub use walk::quoted;
