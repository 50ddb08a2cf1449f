//! Records as a struct of arrays: the layout in which they cross into a handler and back (`wit/types.wit`), and in
//! which they wait in between, so that no record is allocated by itself.

mod check;
mod records;
#[cfg(test)]
mod tests;
mod texts;

pub(super) use self::check::check_ends;
pub use self::{
    check::ColumnFault,
    records::{Headers, RecordRef, Records, flag},
    texts::Texts,
};

/// Converts a length to the 32 bits of a column. A batch stays far below 4 GiB, because the broker's largest record
/// does.
pub(super) fn end<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).expect("a batch is smaller than 4 GiB")
}

pub(super) fn before(ends: &[u32], i: usize) -> usize {
    i.checked_sub(1)
        .map_or(0, |previous| ends[previous] as usize)
}
