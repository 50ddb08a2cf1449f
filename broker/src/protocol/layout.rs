//! How the fields of a request are written, in a form that can be checked before the request is decoded.

/// A field of a request, and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The encoding of the field.
    pub(crate) kind: Kind,
    /// The first version that has the field.
    pub(crate) from: i16,
    /// The last version that has the field.
    pub(crate) to: i16,
}

/// The encoding of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A fixed number of bytes.
    Fixed(usize),
    /// A string, which may be null.
    Text,
    /// Bytes, which may be null.
    Blob,
    /// An array of plain fields, which may be null.
    List(&'static Field),
    /// An array of structures, which may be null.
    Structs(&'static [Field]),
    /// A structure, which may be null.
    Nullable(&'static [Field]),
}

impl Field {
    /// Limits the field to the versions from `from` on.
    pub(crate) const fn since(self, from: i16) -> Self {
        Self { from, ..self }
    }

    /// Limits the field to the versions up to `to`.
    pub(crate) const fn until(self, to: i16) -> Self {
        Self { to, ..self }
    }
}

/// Returns a field that every version has.
pub(crate) const fn every(kind: Kind) -> Field {
    Field {
        kind,
        from: 0,
        to: i16::MAX,
    }
}

/// Returns a structure that may be null.
pub(crate) const fn nullable(fields: &'static [Field]) -> Field {
    every(Kind::Nullable(fields))
}

pub(crate) const I8: Field = every(Kind::Fixed(1));
pub(crate) const I16: Field = every(Kind::Fixed(2));
pub(crate) const I32: Field = every(Kind::Fixed(4));
pub(crate) const I64: Field = every(Kind::Fixed(8));
pub(crate) const UUID: Field = every(Kind::Fixed(16));
pub(crate) const TEXT: Field = every(Kind::Text);
pub(crate) const BLOB: Field = every(Kind::Blob);
pub(crate) const TEXTS: Field = every(Kind::List(&TEXT));
pub(crate) const I8S: Field = every(Kind::List(&I8));
pub(crate) const I32S: Field = every(Kind::List(&I32));
pub(crate) const I64S: Field = every(Kind::List(&I64));

/// An array of structures with these fields.
macro_rules! structs {
    ($($field:expr),* $(,)?) => {
        $crate::protocol::layout::every($crate::protocol::layout::Kind::Structs(const { &[$($field),*] }))
    };
}
pub(crate) use structs;
