//! Connections, requests and their responses.

mod api_versions;
mod apis;
pub mod dispatch;
pub mod error_response;
pub mod length_check;
pub mod server;
#[cfg(test)]
pub(crate) mod tests;
