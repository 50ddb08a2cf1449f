//! File descriptors: how many of them the process may have open, and what the broker uses them for.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many descriptors the broker may use for what. Each is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DescriptorBudget {
    /// Partitions of all topics, of which each keeps the file of its active segment open.
    pub(crate) partitions: usize,
    /// Connections.
    pub(crate) connections: usize,
}

/// The most descriptors that are left over for the rest of the process, and for files that are open for a moment.
const MAX_RESERVE: u64 = 256;

/// Returns the budget. The first call raises the soft limit of this process to the hard one.
pub(crate) fn budget() -> DescriptorBudget {
    static BUDGET: OnceLock<DescriptorBudget> = OnceLock::new();
    *BUDGET.get_or_init(|| divide(raise_limit()))
}

/// Raises the limit of open files as far as a process may do that itself. Returns the limit.
fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            limit.current
        }
    };
    current.unwrap_or(u64::MAX)
}

/// Divides the descriptors of a process: a quarter for connections, the rest but for a reserve for partitions.
fn divide(limit: u64) -> DescriptorBudget {
    let connections = limit / 4;
    let reserve = connections.min(MAX_RESERVE);
    let number = |of: u64| usize::try_from(of).unwrap_or(usize::MAX).max(1);
    DescriptorBudget {
        partitions: number(limit - connections - reserve),
        connections: number(connections),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_leaves_a_reserve() {
        for limit in [4, 64, 256, 1_024, 4_096, 1 << 20, u64::MAX] {
            let DescriptorBudget {
                partitions,
                connections,
            } = divide(limit);
            assert!(partitions >= connections, "{limit}");
            assert!(((partitions + connections) as u64) < limit, "{limit}");
        }
        assert!(divide(4_096).partitions > 2_000);
    }
}
