//! What goes wrong on the wire.
//!
//! - `plan`: what a test writes, and plans ready made.
//! - `schedule`: the plan in force, and what it makes of the next request.

mod plan;
mod schedule;

pub use plan::{BAD_BYTE, Fault, FaultPlan, FaultRule, RateLimit, RetryHint, TokenPart, When};
pub(crate) use schedule::{Asked, Effects, FaultSchedule};
