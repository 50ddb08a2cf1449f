//! Divides the bytes of an input.

/// Bytes that are divided into columns: each begins with its length.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl Input<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    /// Small numbers, and now and then the greatest.
    pub(crate) fn numbers(&mut self) -> Vec<u32> {
        let number = |byte| {
            if byte == u8::MAX {
                u32::MAX
            } else {
                u32::from(byte)
            }
        };
        self.bytes().into_iter().map(number).collect()
    }
}
