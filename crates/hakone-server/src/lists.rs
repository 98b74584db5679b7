//! Lists beside a database, for servers and cabinets alike.

use hakone::{Database, Result};
use hakone_wire::resp::verbs::ListRequest;

/// Bytes of elements after which one request pops no more: 1 MiB.
const POPPED_BYTES: usize = 1 << 20;

/// What a list answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListAnswer {
    /// How many elements there are, or were.
    Count(u64),
    /// Elements, from this index on where they were only read.
    Elements(u64, Vec<Vec<u8>>),
}

/// Asks something of the list `name` beside a database.
///
/// # Errors
/// Those of a write or read of the store.
pub fn list(database: &Database, name: &[u8], request: &ListRequest<'_>) -> Result<ListAnswer> {
    let list = database.list(name)?;
    Ok(match *request {
        ListRequest::Push(end, ref values) => ListAnswer::Count(list.push(end, values)?),
        ListRequest::Pop(end, count) => {
            // One by one, since how large they are is known only then.
            let (mut popped, mut bytes) = (Vec::new(), 0);
            while popped.len() < count && bytes < POPPED_BYTES {
                let Some(element) = list.pop(end, 1)?.pop() else {
                    break;
                };
                bytes += element.len();
                popped.push(element);
            }
            ListAnswer::Elements(0, popped)
        }
        ListRequest::Range(first, last, limit) => {
            let found = list.range(first, last, limit)?;
            ListAnswer::Elements(found.first, found.values)
        }
        ListRequest::Length => ListAnswer::Count(list.len()?),
        ListRequest::Clear => ListAnswer::Count(list.clear()?),
    })
}
