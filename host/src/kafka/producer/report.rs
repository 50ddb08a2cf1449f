//! The result of a record that is produced by itself: what librdkafka reports of it.

use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::{DeliveryResult, Message as _, OwnedMessage},
    producer::ProducerContext as RdkafkaContext,
};
use tokio::sync::oneshot;

use super::{Delivered, ProducerContext};
use crate::event::{Offset, Partition};

/// Where a record is, or why it was not produced, with the record.
pub(super) type Report = Result<Delivered, (KafkaError, Box<OwnedMessage>)>;

/// The report of a record, once there is one.
pub(super) type PendingReport = oneshot::Receiver<Report>;

/// The context of a producer that reports on each record to the one who sent it.
#[derive(Clone)]
pub(super) struct ReportContext(pub(super) ProducerContext);

impl ClientContext for ReportContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.stats(statistics);
    }
}

impl RdkafkaContext for ReportContext {
    type DeliveryOpaque = Box<oneshot::Sender<Report>>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        let report = match delivered {
            Ok(record) => Ok(Delivered {
                partition: Partition(record.partition()),
                offset: Offset(record.offset()),
            }),
            Err((error, record)) => Err((error.clone(), Box::new(record.detach()))),
        };
        // The sender of the record may have gone away.
        let _ = sender.send(report);
    }
}
