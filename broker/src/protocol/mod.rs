//! The Kafka protocol: connections, frames, the table of APIs, and the way from a request to its handler in
//! [`api`](crate::api).
//!
//! A frame passes [`server`] (its length), [`dispatch`] (its header and version), [`length_check`] (the lengths in its
//! body), the decoder of the protocol crate, and then its handler. What does not pass gets an [`error_response`].

mod api_versions;
pub(crate) mod apis;
pub(crate) mod dispatch;
pub(crate) mod error_response;
mod layout;
pub(crate) mod length_check;
pub(crate) mod server;
#[cfg(test)]
mod tests;
