//! What goes wrong on the wire.
//!
//! - `plan`: what a test writes.
//! - `bad_day`: plans ready made.
//! - `desk`: the plan in force, and what it makes of the next request.

mod bad_day;
mod desk;
mod plan;

pub(crate) use desk::{Asked, Effects, FaultDesk};
pub use plan::{Fault, FaultPlan, FaultRule, RateLimit, RetryHint, When};
