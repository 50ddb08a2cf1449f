//! Interned tipos, with the number of stored Eventos that have each.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The number of a tipo. It is reused once no stored Evento has that tipo.
pub(super) type TipoId = u32;

/// Approximate memory of an interned tipo besides its text.
const OVERHEAD: usize = 64;

/// The tipos of stored Eventos.
#[derive(Default)]
pub(super) struct Tipos {
    /// Ids by the UTF-8 bytes of the tipo.
    ids: HashMap<Box<[u8]>, TipoId, RandomState>,
    /// Counts by id.
    counts: Vec<Count>,
    free: Vec<TipoId>,
    memory: usize,
    unused: usize,
}

#[derive(Clone, Copy, Default)]
struct Count {
    eventos: u64,
    memory: usize,
}

impl Tipos {
    /// Returns the id of a tipo, and counts one more Evento with it.
    pub(super) fn acquire(&mut self, tipo: &[u8]) -> TipoId {
        let id = self.get(tipo).unwrap_or_else(|| self.intern(tipo));
        let count = &mut self.counts[id as usize];
        if count.eventos == 0 {
            self.unused -= count.memory;
        }
        count.eventos += 1;
        id
    }

    /// Counts one Evento less.
    pub(super) fn release(&mut self, id: TipoId) {
        let count = &mut self.counts[id as usize];
        count.eventos -= 1;
        if count.eventos == 0 {
            self.unused += count.memory;
        }
    }

    /// Returns the id of a tipo, if it is interned.
    pub(super) fn get(&self, tipo: &[u8]) -> Option<TipoId> {
        self.ids.get(tipo).copied()
    }

    /// Returns how many stored Eventos have this tipo.
    pub(super) fn count(&self, tipo: &[u8]) -> u64 {
        self.get(tipo)
            .map_or(0, |id| self.counts[id as usize].eventos)
    }

    /// Returns the approximate memory in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Removes unused tipos once they take a good part of the memory, so that the cost of the search is spread over
    /// the tipos that became unused.
    pub(super) fn sweep(&mut self) {
        if self.unused <= 4096 + self.memory / 4 {
            return;
        }
        let (counts, free) = (&self.counts, &mut self.free);
        self.ids.retain(|_, id| {
            let used = counts[*id as usize].eventos > 0;
            if !used {
                free.push(*id);
            }
            used
        });
        self.memory -= self.unused;
        self.unused = 0;
    }

    fn intern(&mut self, tipo: &[u8]) -> TipoId {
        let memory = tipo.len() + OVERHEAD;
        let count = Count { eventos: 0, memory };
        let id = match self.free.pop() {
            Some(id) => {
                self.counts[id as usize] = count;
                id
            }
            None => {
                self.counts.push(count);
                TipoId::try_from(self.counts.len() - 1).expect("fewer than 2^32 tipos in memory")
            }
        };
        self.ids.insert(tipo.into(), id);
        self.memory += memory;
        self.unused += memory;
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tipos_are_counted_and_forgotten() {
        let mut tipos = Tipos::default();
        let quake = tipos.acquire(b"quake");
        assert_eq!(tipos.acquire(b"quake"), quake);
        assert_eq!((tipos.count(b"quake"), tipos.count(b"blast")), (2, 0));
        for i in 0..10_000 {
            let id = tipos.acquire(format!("once {i}").as_bytes());
            tipos.release(id);
            tipos.sweep();
        }
        assert!(tipos.memory() < 10_000, "{}", tipos.memory());
        assert!(tipos.counts.len() < 200, "numbers are used again");
        assert_eq!(tipos.get(b"quake"), Some(quake));
        tipos.release(quake);
        tipos.release(quake);
        assert_eq!(tipos.count(b"quake"), 0);
        assert_eq!(tipos.acquire(b"quake"), quake);
    }
}
