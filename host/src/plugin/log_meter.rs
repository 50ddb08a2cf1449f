//! How much a handler may log: each call, and all calls of a second together. What exceeds that is left out and counted.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Maximum number of lines that one call may log: several for each record of the largest batch.
const CALL_LINES: u64 = 10_000;

/// Maximum number of bytes that one call may log.
const CALL_BYTES: u64 = 1 << 20;

/// Maximum length of a line in bytes; the end of a longer one is left out.
pub(super) const MAX_LINE: usize = 8 << 10;

/// In a second a handler may log this many bytes for each line that it may log.
const BYTES_PER_LINE: u64 = 1 << 10;

const SECOND: Duration = Duration::from_secs(1);

/// What one call has logged so far.
#[derive(Default)]
pub(super) struct CallLog {
    lines: u64,
    bytes: u64,
}

/// What the instances of one handler have logged in the current second, and what they could not log.
pub(super) struct LogMeter {
    /// Maximum number of lines a second; 0 for any number.
    max_lines: u64,
    second: Mutex<Second>,
    /// The number of lines that were left out and not reported yet.
    left_out: AtomicU64,
}

struct Second {
    began: Instant,
    lines: u64,
    bytes: u64,
    /// When lines that were left out were last reported.
    reported: Option<Instant>,
}

impl LogMeter {
    /// Returns a meter that admits `max_lines` lines a second, or any number if that is 0.
    pub(super) fn new(max_lines: u32) -> Self {
        Self {
            max_lines: max_lines.into(),
            second: Mutex::new(Second {
                began: Instant::now(),
                lines: 0,
                bytes: 0,
                reported: None,
            }),
            left_out: AtomicU64::new(0),
        }
    }

    /// Maximum number of lines a second; 0 for any number.
    pub(super) fn max_lines(&self) -> u64 {
        self.max_lines
    }

    /// Returns whether a call that has logged `call` may log a line of this many bytes as well. If not, the line is counted
    /// as left out.
    pub(super) fn admits_in_call(&self, call: &mut CallLog, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = call.lines < CALL_LINES && call.bytes + bytes <= CALL_BYTES;
        if fits {
            call.lines += 1;
            call.bytes += bytes;
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    /// Returns whether a line of this many bytes may be written in this second. If not, the line is counted as left out.
    pub(super) fn admits(&self, bytes: usize, now: Instant) -> bool {
        let fits = self.fits_in_second(bytes as u64, now);
        if !fits {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    fn fits_in_second(&self, bytes: u64, now: Instant) -> bool {
        if self.max_lines == 0 {
            return true;
        }
        let mut second = self.second.lock();
        if now.saturating_duration_since(second.began) >= SECOND {
            (second.began, second.lines, second.bytes) = (now, 0, 0);
        }
        // The first line of a second always fits: no line is longer than the shortest maximum times eight.
        let max_bytes = (self.max_lines * BYTES_PER_LINE).max(MAX_LINE as u64);
        let fits = second.lines < self.max_lines && second.bytes + bytes <= max_bytes;
        if fits {
            second.lines += 1;
            second.bytes += bytes;
        }
        fits
    }

    /// Takes the number of lines that were left out, to report it: at most once a second, unless this is the last time.
    pub(super) fn take_left_out(&self, is_last: bool, now: Instant) -> Option<u64> {
        // In the common case there is nothing to report.
        if self.left_out.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut second = self.second.lock();
        let is_due = |reported: Instant| now.saturating_duration_since(reported) >= SECOND;
        if !is_last && !second.reported.is_none_or(is_due) {
            return None;
        }
        second.reported = Some(now);
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        (left_out > 0).then_some(left_out)
    }
}

/// Cuts a message that is longer than a line may be, and says how much is missing.
pub(super) fn cut(message: &mut String) {
    if message.len() > MAX_LINE {
        let end = message.floor_char_boundary(MAX_LINE);
        let missing = message.len() - end;
        message.truncate(end);
        message.push_str(&format!(" … ({missing} more bytes)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(
        meter: &LogMeter,
        call: &mut CallLog,
        lines: usize,
        bytes: usize,
        now: Instant,
    ) -> usize {
        let admits = |_: &usize| meter.admits_in_call(call, bytes) && meter.admits(bytes, now);
        (0..lines).filter(admits).count()
    }

    #[test]
    fn a_second_has_room_for_so_many_lines_and_bytes_and_the_next_one_too() {
        let (meter, now) = (LogMeter::new(100), Instant::now());
        assert_eq!(admitted(&meter, &mut CallLog::default(), 150, 10, now), 100);
        assert_eq!(meter.take_left_out(false, now), Some(50));
        assert_eq!(meter.take_left_out(false, now), None);
        assert_eq!(admitted(&meter, &mut CallLog::default(), 7, 10, now), 0);
        // Reported once a second, or at the end.
        assert_eq!(meter.take_left_out(false, now), None);
        assert_eq!(meter.take_left_out(true, now), Some(7));
        let later = now + SECOND;
        assert_eq!(
            admitted(&meter, &mut CallLog::default(), 150, MAX_LINE, later),
            12
        );
        assert_eq!(meter.take_left_out(false, later), Some(138));
    }

    #[test]
    fn a_call_has_room_for_so_many_even_without_a_limit_of_the_second() {
        let (meter, now) = (LogMeter::new(0), Instant::now());
        let mut call = CallLog::default();
        assert_eq!(admitted(&meter, &mut call, 10_001, 1, now), 10_000);
        let mut call = CallLog::default();
        assert_eq!(admitted(&meter, &mut call, 1_000, MAX_LINE, now), 128);
        assert_eq!(meter.take_left_out(false, now), Some(873));
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let mut text = "é".repeat(MAX_LINE);
        text.insert(0, 'x');
        cut(&mut text);
        assert!(
            text.ends_with(&format!("é … ({} more bytes)", MAX_LINE + 2)),
            "{}",
            &text[text.len() - 40..]
        );
    }
}
