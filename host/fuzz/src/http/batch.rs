//! The two formats of a batch.

#[path = "../../../src/http/batch/json_array.rs"]
mod json_array;
#[path = "../../../src/http/batch/ndjson.rs"]
mod ndjson;

use std::io;

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};

use super::{body, problem::Problem};

/// As in the daemon.
#[derive(Debug)]
enum Item {
    Text(Bytes),
    TooLong,
    Broken(Problem),
}

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Lines,
    Array,
}

/// An item that can be compared.
#[derive(Debug, PartialEq)]
pub(crate) enum Split {
    Text(Bytes),
    TooLong,
    Broken,
}

/// Returns the items of a body.
///
/// # Errors
/// If the body cannot be read.
pub(crate) async fn split(
    chunks: BoxStream<'static, io::Result<Bytes>>,
    format: Format,
) -> io::Result<Vec<Split>> {
    match format {
        Format::Lines => collect(ndjson::items(chunks)).await,
        Format::Array => collect(json_array::items(chunks)).await,
    }
}

async fn collect(items: impl Stream<Item = io::Result<Item>> + Send) -> io::Result<Vec<Split>> {
    let items = items.map_ok(|item| match item {
        Item::Text(text) => Split::Text(text),
        Item::TooLong => Split::TooLong,
        Item::Broken(_) => Split::Broken,
    });
    items.boxed().try_collect().await
}
