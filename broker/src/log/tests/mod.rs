//! Tests of a partition log as a whole.

mod partition_log;
mod retention;
mod startup;
mod times;
