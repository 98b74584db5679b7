//! Kyoto Tycoon's protocols: the binary bulk calls, and the procedures called over HTTP below
//! `/rpc/`, whose parameters and results are columns of names and values.

mod answer;
mod binary;
mod codec;
mod columns;
mod expiry;
mod number;
mod procedure;
mod rpc;

pub use answer::{Status, answer, failure, number, sum};
pub use binary::{Decoder, Item, Piece, Place, Request, Verb, reply};
pub use codec::Encoding;
pub use columns::{Columns, PAIRS_MAX, TooMany};
pub use expiry::{NEVER, expiry_of, expiry_of_xt, xt_of};
pub use number::{parse_double, parse_integer};
pub use procedure::Procedure;
pub use rpc::{Action, Answer, Bulk, Call, Counter, Matching, Refusal, read, translate};
